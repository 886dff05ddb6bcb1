/* SPDX-License-Identifier: Apache-2.0 */
#include <quicklime/validator.h>

#include "policy.h"
#include "toolhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a policy, and the names that it is asked about. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (uint32_t origin = QL_ORIGIN_UPLOAD; origin <= QL_ORIGIN_STORED; origin++) {
        struct ima_policy *p = NULL;

        if (ima_policy_compile(&ql_tool_host, data, size, origin, &p, NULL) < 0)
            continue;
        for (size_t at = 0; at < size && at < 256; at += 16) {
            size_t len = size - at < 16 ? size - at : 16;

            (void)ima_policy_lookup(p, IMA_MAP_DIGESTS, data + at, len, data, size < 20 ? size : 20);
            (void)ima_policy_excludes(p, data + at, len);
            json_decref(ima_policy_expected(p, IMA_MAP_DIGESTS, data + at, len, 10));
        }
        ima_policy_free(p);
    }
    return 0;
}
