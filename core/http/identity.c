/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/x509v3.h>
#include <string.h>

#include "identity.h"

/* The one common name of the subject; more than one, or a NUL inside, is no name at all. */
static void common_name(X509 *cert, char *out, size_t room)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), len;
    unsigned char *text = NULL;

    out[0] = '\0';
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return;
    len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0 && (size_t)len < room && !memchr(text, '\0', (size_t)len)) {
        memcpy(out, text, (size_t)len);
        out[len] = '\0';
    }
    OPENSSL_free(text);
}

void ql_identity_read(SSL *ssl, struct ql_identity *ret)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    uint32_t usage;

    memset(ret, 0, sizeof *ret);
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return;
    ret->verified = true;
    common_name(cert, ret->name, sizeof ret->name);
    /* UINT32_MAX: no extended key usage, fit for anything. A resumed session may outlive its certificate. */
    usage = X509_get_extended_key_usage(cert);
    ret->is_client = (usage == UINT32_MAX || (usage & (XKU_SSL_CLIENT | XKU_ANYEKU))) &&
                     X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}
