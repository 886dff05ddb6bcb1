/* SPDX-License-Identifier: Apache-2.0 */
/* A reference state from outside, handed to the bundled policies that read one. */
#include "judge.h"
#include "policy_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct policy_host *h = policy_host();
    json_t *ref = NULL;

    if (mb_refstate_load(h->shop.host, data, len, &ref, NULL) < 0)
        return 0;
    policy_ask(h, "example", ref);
    policy_ask(h, "strict", ref);
    json_decref(ref);
    return 0;
}
