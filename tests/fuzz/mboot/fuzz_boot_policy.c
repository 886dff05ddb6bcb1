/* SPDX-License-Identifier: Apache-2.0 */
/* A policy's script, whatever it says: compiled, asked twice, under limits. */
#include "policy_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct policy_host *h = policy_host();
    struct mb_scripts scripts = {.host = h->shop.host, .imported_count = 1};
    json_t *ref = json_pack("{s:[s], s:b}", "list", "x", "has_secureboot", 1);

    scripts.imported[0] = (struct mb_script){.name = "test", .text = (const char *)data, .len = len};
    h->shop.scripts = &scripts;
    policy_ask(h, "test", ref);
    h->shop.scripts = NULL;
    json_decref(ref);
    return 0;
}
