/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The body of a public call, which anybody may send. No validator is loaded: what is reached is core. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct ql_registry *registry;
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};

    if (!registry && ql_registry_new(&config, &registry, NULL) < 0)
        abort();
    for (int extensions = 0; extensions < 2; extensions++) {
        json_t *result = NULL;
        int http = 0;

        if (ql_verify_oneshot(registry, (const char *)data, len, extensions == 1, NULL, NULL, &result, &http,
                              NULL) == QL_OK &&
            !json_is_boolean(json_object_get(result, "valid")))
            abort();
        json_decref(result);
    }
    return 0;
}
