/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys in PEM, as agents send their payload key. */
#include <stdlib.h>
#include <string.h>

#include "key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_key *key = NULL, *again = NULL;
    uint8_t x[512] = {1}, y[66];
    enum ql_curve curve;
    uint32_t e;
    size_t n;
    char *pem;

    if (ql_key_from_pem((const char *)data, len, &key, NULL) != QL_OK)
        return 0;
    pem = ql_key_public_pem(key);
    if (!pem || ql_key_from_pem(pem, strlen(pem), &again, NULL) != QL_OK || !ql_key_equal(key, again))
        abort();
    if (ql_key_is_rsa(key))
        (void)ql_key_rsa_parts(key, x, sizeof x, &n, &e); /* a large exponent is refused */
    else if (ql_key_ec_parts(key, &curve, x, y, sizeof y, &n) != QL_OK)
        abort();
    if (ql_key_verify(key, ql_key_is_rsa(key) ? QL_RSASSA : QL_ECDSA, QL_SHA256, "x", 1, x, 32, x, 32, 0,
                      NULL) == QL_OK)
        abort();
    free(pem);
    ql_key_free(key);
    ql_key_free(again);
    return 0;
}
