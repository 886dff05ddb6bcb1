/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cert.h"
#include "clock.h"
#include "identity.h"

void ql_identity_read(SSL *ssl, struct ql_identity *ret)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    X509 *presented = SSL_get0_peer_certificate(ssl);
    uint8_t *der = NULL;
    int len, r;

    memset(ret, 0, sizeof *ret);
    if (!presented || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    len = i2d_X509(presented, &der);
    if (len <= 0)
        return;
    r = ql_cert_from_der(der, (size_t)len, &cert, NULL);
    OPENSSL_free(der);
    if (r < 0)
        return;
    ret->verified = true;
    if (ql_cert_common_name(cert, ret->name, sizeof ret->name) < 0)
        ret->name[0] = '\0';
    /* A resumed session may outlive its certificate. */
    ret->is_client = ql_cert_is_client(cert) && ql_cert_not_after_ns(cert) > ql_now_ns();
}
