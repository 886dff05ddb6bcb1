/* SPDX-License-Identifier: Apache-2.0 */
#include "dsse.h"

/* One key for all inputs: envelopes signed by it would have to be forged. */
static const char key[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOAJBHt1zyBP3F6/PZWsxx66XSfOw\n"
                          "wDagCGuSGuyJMi247L3qUQEInxDgSL6KPAaOmMuddYiZxQxElbmKdHxBGQ==\n"
                          "-----END PUBLIC KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ql_dsse *d = NULL;

    if (ql_dsse_read((const char *)data, size, &d, NULL) == QL_OK)
        (void)ql_dsse_verify(d, key, sizeof key - 1, NULL);
    ql_dsse_free(d);
    return 0;
}
