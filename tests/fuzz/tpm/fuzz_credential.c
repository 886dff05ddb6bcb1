/* SPDX-License-Identifier: Apache-2.0 */
/* Credential blobs: the two parts and their frame are all there is. */
#include <stdlib.h>

#include "credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *id, *secret;
    size_t id_len, secret_len;

    if (ql_credential_split(data, len, &id, &id_len, &secret, &secret_len, NULL) != QL_OK)
        return 0;
    if (12 + id_len + secret_len != len || id != data + 10 || secret != id + id_len + 2)
        abort();
    return 0;
}
