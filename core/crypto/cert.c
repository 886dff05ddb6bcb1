/* SPDX-License-Identifier: Apache-2.0 */
/* Reading foreign certificates. Making our own is in certmake.c, trust in trust.c. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "clock.h"
#include "encode.h"
#include "error.h"

enum {
    PEM_MAX = 2 * QL_CERT_MAX_CHAIN * QL_CERT_MAX_LEN
};

struct ql_cert {
    X509 *x509;
    uint8_t *der; /* as it was read: some certificates are not strict DER and would change */
    size_t der_len;
};

int ql_der_element_len(const uint8_t *data, size_t len, size_t *ret)
{
    size_t head = 2, body = 0;

    if (len < 2 || data[0] != 0x30)
        return QL_EPARSE;
    if (data[1] < 0x80) {
        body = data[1];
    } else {
        size_t count = data[1] & 0x7f;

        if (count == 0 || count > 4 || count > len - 2)
            return QL_EPARSE;
        for (size_t i = 0; i < count; i++)
            body = body << 8 | data[2 + i];
        head += count;
    }
    if (body > len - head)
        return QL_EPARSE;
    *ret = head + body;
    return QL_OK;
}

int ql_cert_from_der(const uint8_t *der, size_t len, struct ql_cert **ret, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *c = NULL;
    const uint8_t *at = der;
    size_t element;

    if (len > QL_CERT_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "certificate of %zu bytes, at most %d", len, QL_CERT_MAX_LEN);
    if (ql_der_element_len(der, len, &element) < 0 || element != len)
        return ql_fail(err, QL_EPARSE, "certificate of %zu bytes is not one DER element", len);
    c = calloc(1, sizeof *c);
    if (!c || !(c->der = malloc(len)))
        return ql_fail_nomem(err);
    memcpy(c->der, der, len);
    c->der_len = len;
    c->x509 = d2i_X509(NULL, &at, (long)len);
    ERR_clear_error(); /* what failed is said below */
    if (!c->x509 || at != der + len)
        return ql_fail(err, QL_EPARSE, "not an X.509 certificate");
    *ret = ql_steal(c);
    return QL_OK;
}

int ql_cert_from_pem(const char *pem, size_t len, struct ql_cert **ret, struct ql_err *err)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;
    BIO *bio;
    bool ok;
    int r;

    if (len > PEM_MAX)
        return ql_fail(err, QL_ELIMIT, "PEM of %zu bytes, at most %d", len, PEM_MAX);
    bio = BIO_new_mem_buf(pem, (int)len);
    /* A header means "encrypted", which no certificate is; PEM_read_bio_X509() would ask for a password. */
    ok = bio && PEM_read_bio(bio, &name, &header, &der, &der_len) == 1 &&
         strcmp(name, PEM_STRING_X509) == 0 && *header == '\0';
    r = ok ? ql_cert_from_der(der, (size_t)der_len, ret, err)
           : ql_fail(err, QL_EPARSE, "no PEM block CERTIFICATE");
    ERR_clear_error(); /* what failed is said */
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    return r;
}

int ql_cert_from_any(const char *text, size_t len, struct ql_cert **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *der = NULL;
    size_t der_len;
    int r;

    if (memmem(text, len, "-----BEGIN", 10))
        return ql_cert_from_pem(text, len, ret, err);
    r = ql_base64_decode_dup(text, len, QL_CERT_MAX_LEN, &der, &der_len, err);
    return r < 0 ? r : ql_cert_from_der(der, der_len, ret, err);
}

void ql_cert_free(struct ql_cert *c)
{
    if (!c)
        return;
    X509_free(c->x509);
    free(c->der);
    free(c);
}

X509 *ql_cert_native(const struct ql_cert *c)
{
    return c->x509;
}

const uint8_t *ql_cert_der(const struct ql_cert *c, size_t *len)
{
    *len = c->der_len;
    return c->der;
}

char *ql_cert_pem(const struct ql_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    long len;

    /* From the bytes that were read, not from a new encoding. */
    if (bio && PEM_write_bio(bio, PEM_STRING_X509, "", c->der, (long)c->der_len) > 0) {
        len = BIO_get_mem_data(bio, &data);
        text = len > 0 ? strndup(data, (size_t)len) : NULL;
    }
    BIO_free(bio);
    ERR_clear_error(); /* NULL says it */
    return text;
}

int ql_cert_key(const struct ql_cert *c, struct ql_key **ret, struct ql_err *err)
{
    EVP_PKEY *pkey = X509_get_pubkey(c->x509);

    ERR_clear_error(); /* what failed is said below */
    return pkey ? ql_key_from_native(pkey, ret, err)
                : ql_fail(err, QL_EUNSUPPORTED, "certificate has an unknown key");
}

int ql_cert_common_name(const struct ql_cert *c, char *out, size_t room)
{
    const X509_NAME *subject = X509_get_subject_name(c->x509);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), len;
    unsigned char *utf8 = NULL;

    /* Two names are as good as none: which of them counts would be a matter of taste. */
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return QL_ENOTFOUND;
    len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    ERR_clear_error(); /* the code says it */
    if (len <= 0) {
        OPENSSL_free(utf8);
        return QL_ENOTFOUND;
    }
    /* A NUL inside would make two names look alike. */
    if ((size_t)len >= room || memchr(utf8, '\0', (size_t)len)) {
        OPENSSL_free(utf8);
        return QL_ELIMIT;
    }
    memcpy(out, utf8, (size_t)len);
    out[len] = '\0';
    OPENSSL_free(utf8);
    return QL_OK;
}

bool ql_cert_is_client(const struct ql_cert *c)
{
    /* Without the extension OpenSSL reports every usage. */
    return (X509_get_extended_key_usage(c->x509) & XKU_SSL_CLIENT) != 0;
}

int64_t ql_cert_not_after_ns(const struct ql_cert *c)
{
    struct tm tm;
    int64_t at;
    bool ok = ASN1_TIME_to_tm(X509_get0_notAfter(c->x509), &tm) == 1;

    ERR_clear_error(); /* the result says it */
    if (!ok)
        return 0;
    at = timegm(&tm);
    /* Certificates of TPMs end in the year 9999, beyond what nanoseconds reach. */
    return at > INT64_MAX / QL_NS_PER_S ? INT64_MAX : at < 0 ? 0 : at * QL_NS_PER_S;
}
