/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: first byte d (DER, padding allowed for), p (PEM) or anything else (either). */
#include <stdlib.h>
#include <string.h>

#include "cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void use(const struct ql_cert *c)
{
    static struct ql_trust *trust;
    struct ql_cert *again = NULL;
    struct ql_key *key = NULL;
    const uint8_t *der;
    char name[64], *pem;
    size_t der_len;

    der = ql_cert_der(c, &der_len);
    if (ql_cert_from_der(der, der_len, &again, NULL) != QL_OK)
        abort();
    ql_cert_free(again);
    again = NULL;
    pem = ql_cert_pem(c);
    if (!pem || ql_cert_from_pem(pem, strlen(pem), &again, NULL) != QL_OK)
        abort();
    ql_cert_free(again);
    free(pem);
    if (ql_cert_common_name(c, name, sizeof name) == QL_OK && strlen(name) >= sizeof name)
        abort();
    (void)ql_cert_is_client(c); /* any answer is fine here and below: it must not crash */
    (void)ql_cert_not_after_ns(c);
    if (ql_cert_key(c, &key, NULL) == QL_OK)
        ql_key_free(key);
    if (!trust && ql_trust_new(&trust, NULL) < 0)
        abort();
    if (ql_trust_check(trust, c, false, NULL) == QL_OK)
        abort(); /* nobody is trusted */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_cert *cert = NULL;
    size_t element;
    int r;

    if (len == 0)
        return 0;
    if (data[0] == 'd')
        r = ql_der_element_len(data + 1, len - 1, &element) == QL_OK
                ? ql_cert_from_der(data + 1, element, &cert, NULL)
                : QL_EPARSE;
    else if (data[0] == 'p')
        r = ql_cert_from_pem((const char *)data + 1, len - 1, &cert, NULL);
    else
        r = ql_cert_from_any((const char *)data + 1, len - 1, &cert, NULL);
    if (r == QL_OK)
        use(cert);
    ql_cert_free(cert);
    return 0;
}
