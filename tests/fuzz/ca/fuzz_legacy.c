/* SPDX-License-Identifier: Apache-2.0 */
/* Keylime's private.yml, whose outer layer anybody may have written. */
#include "error.h"
#include "legacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_entry(const char *key, size_t key_len, enum ql_legacy_kind kind, const void *value, size_t len,
                    void *arg, struct ql_err *err)
{
    const uint8_t *at = value;
    volatile uint8_t *sink = arg;

    (void)kind;
    (void)err;
    for (size_t i = 0; i < key_len; i++)
        *sink = (uint8_t)(*sink ^ key[i]);
    for (size_t i = 0; i < len; i++)
        *sink = (uint8_t)(*sink ^ at[i]);
    return QL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_err err = QL_ERR_INIT;
    volatile uint8_t sink = 0;

    (void)ql_legacy_walk((const char *)data, len, on_entry, (void *)(uintptr_t)&sink, &err);
    return 0;
}
