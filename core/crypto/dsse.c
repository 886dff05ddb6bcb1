/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "digest.h"
#include "dsse.h"
#include "encode.h"
#include "error.h"
#include "json.h"
#include "key.h"

enum {
    SIG_MAX = 1024, /* bytes of a signature: ECDSA in DER */
    CERT_DAYS = 30,
    DAY_S = 24 * 60 * 60
};

void ql_dsse_free(struct ql_dsse *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        free(d->signatures[i].sig);
    free(d->type);
    free(d->payload);
    free(d);
}

/* Hex when all of it is, else base64 in either alphabet. */
static int decode(const char *text, size_t len, size_t max_len, uint8_t **ret, size_t *ret_len)
{
    ql_auto_free char *standard = NULL;

    if (len > 0 && len % 2 == 0 && len / 2 <= max_len && strspn(text, "0123456789abcdefABCDEF") == len) {
        ql_auto_free uint8_t *out = malloc(len / 2);

        if (!out)
            return QL_ENOMEM;
        *ret_len = len / 2;
        if (ql_hex_decode(text, len, out, len / 2, NULL) == QL_OK) {
            *ret = ql_steal(out);
            return QL_OK;
        }
    }
    if (ql_base64_decode_dup(text, len, max_len, ret, ret_len, NULL) == QL_OK)
        return QL_OK;
    if (memchr(text, '+', len) || memchr(text, '/', len))
        return QL_EPARSE;
    standard = malloc(len + 1);
    if (!standard)
        return QL_ENOMEM;
    for (size_t i = 0; i < len; i++)
        standard[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    return ql_base64_decode_dup(standard, len, max_len, ret, ret_len, NULL);
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return true;
}

/* What cannot be decoded stays without bytes: it never verifies. */
static void read_signature(const json_t *one, struct ql_dsse_signature *ret)
{
    const json_t *keyid = json_object_get(one, "keyid"), *sig = json_object_get(one, "sig");
    const char *id = json_string_value(keyid);

    if (id && json_string_length(keyid) == QL_DSSE_KEYID_LEN &&
        strspn(id, "0123456789abcdef") == QL_DSSE_KEYID_LEN)
        memcpy(ret->keyid, id, QL_DSSE_KEYID_LEN + 1);
    if (json_is_string(sig))
        (void)decode(json_string_value(sig), json_string_length(sig), SIG_MAX, &ret->sig, &ret->sig_len);
}

int ql_dsse_read(const char *text, size_t len, struct ql_dsse **ret, struct ql_err *err)
{
    ql_auto(ql_dsse_freep) struct ql_dsse *d = calloc(1, sizeof *d);
    ql_auto_json json_t *j = NULL;
    const json_t *payload, *type, *list;
    size_t i;
    json_t *one;
    int r;

    if (!d)
        return ql_fail_nomem(err);
    r = ql_json_parse_object(text, len, QL_DSSE_MAX, &j, err);
    if (r < 0)
        return r;
    payload = json_object_get(j, "payload");
    if (!json_is_string(payload) || json_string_length(payload) == 0)
        return ql_fail(err, QL_ENOTFOUND, "no payload: not signed");
    r = decode(json_string_value(payload), json_string_length(payload), QL_DSSE_MAX, &d->payload,
               &d->payload_len);
    if (r < 0)
        return ql_fail(err, r, "payload is neither hex nor base64");
    type = json_object_get(j, "payloadType");
    if (json_is_string(type) && is_ascii(json_string_value(type), json_string_length(type)))
        d->type = strdup(json_string_value(type));
    list = json_object_get(j, "signatures");
    json_array_foreach(list, i, one)
        if (d->count < QL_DSSE_SIGNATURES_MAX)
            read_signature(one, &d->signatures[d->count++]);
    *ret = ql_steal(d);
    return QL_OK;
}

/* Everything before the payload. */
static int pae_head(const char *type, size_t len, char *out, size_t room)
{
    int n = snprintf(out, room, "DSSEv1 %zu %s %zu ", strlen(type), type, len);

    return n > 0 && (size_t)n < room ? n : -1;
}

int ql_dsse_pae(const char *type, const void *payload, size_t len, uint8_t **ret, size_t *ret_len,
                struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(QL_DSSE_MAX + 4096u);
    char head[512];
    int n = pae_head(type, len, head, sizeof head);
    uint8_t *bytes;

    if (n < 0)
        return ql_fail(err, QL_ELIMIT, "payload type of %zu bytes", strlen(type));
    (void)ql_buf_add(&b, head, (size_t)n); /* a failure is seen below */
    (void)ql_buf_add(&b, payload, len);
    bytes = ql_buf_take(&b, ret_len);
    if (!bytes)
        return ql_fail_nomem(err);
    *ret = bytes;
    return QL_OK;
}

static bool verifies(EVP_PKEY *key, const struct ql_dsse *d, const struct ql_dsse_signature *s)
{
    char head[512];
    int n = pae_head(d->type, d->payload_len, head, sizeof head);
    EVP_MD_CTX *c = n > 0 && s->sig ? EVP_MD_CTX_new() : NULL;
    bool is_good = c && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, key) == 1 &&
                   EVP_DigestVerifyUpdate(c, head, (size_t)n) == 1 &&
                   EVP_DigestVerifyUpdate(c, d->payload, d->payload_len) == 1 &&
                   EVP_DigestVerifyFinal(c, s->sig, s->sig_len) == 1;

    EVP_MD_CTX_free(c);
    ERR_clear_error();
    return is_good;
}

int ql_dsse_verify(const struct ql_dsse *d, const char *pem, size_t len, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    int r = ql_key_from_pem(pem, len, &key, err);

    if (r < 0)
        return ql_fail(err, QL_ECRYPTO, "signing key is no PEM public key");
    if (ql_key_is_rsa(key))
        return ql_fail(err, QL_ECRYPTO, "signing key is not on an elliptic curve");
    if (!d->type || strcmp(d->type, QL_DSSE_TYPE) != 0)
        return ql_fail(err, QL_ECRYPTO, "payload type is not %s", QL_DSSE_TYPE);
    for (size_t i = 0; i < d->count; i++)
        if (verifies(ql_key_native(key), d, &d->signatures[i]))
            return QL_OK;
    return ql_fail(err, QL_ECRYPTO, "none of %zu signatures is the key's", d->count);
}

int ql_dsse_keyid(const struct ql_key *key, char *out, struct ql_err *err)
{
    ql_auto_free char *pem = ql_key_public_pem(key);
    uint8_t digest[32];

    if (!pem || ql_digest_once(QL_SHA256, pem, strlen(pem), digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "public key cannot be written");
    ql_hex_encode(digest, sizeof digest, out);
    return QL_OK;
}

static int sign(const struct ql_key *key, const void *payload, size_t len, uint8_t **ret, size_t *ret_len,
                struct ql_err *err)
{
    ql_auto_free uint8_t *pae = NULL, *sig = malloc(SIG_MAX);
    size_t pae_len = 0, n = SIG_MAX;
    int r = ql_dsse_pae(QL_DSSE_TYPE, payload, len, &pae, &pae_len, err);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool is_done = r == QL_OK && c && sig &&
                   EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, ql_key_native(key)) == 1 &&
                   EVP_DigestSign(c, sig, &n, pae, pae_len) == 1;

    EVP_MD_CTX_free(c);
    if (!is_done)
        return r < 0 ? r : ql_fail(err, QL_ECRYPTO, "the key cannot sign");
    *ret = ql_steal(sig);
    *ret_len = n;
    return QL_OK;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool is_done = e && X509_add_ext(cert, e, -1) == 1;

    X509_EXTENSION_free(e);
    return is_done;
}

/* A certificate that only carries the key. */
static X509 *make_cert(const struct ql_key *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    uint64_t serial;

    ql_random(&serial, sizeof serial);
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), (serial & INT64_MAX) | 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -(long)DAY_S) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), (long)CERT_DAYS * DAY_S) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"dsse_lib", -1, -1, 0) == 1 &&
        X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, ql_key_native(key)) == 1 &&
        add_extension(cert, NID_subject_alt_name, "DNS:dsse_lib") &&
        add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
        X509_sign(cert, ql_key_native(key), EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    ERR_clear_error();
    return NULL;
}

static char *cert_pem(X509 *cert)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;
    long len;

    if (out && PEM_write_bio_X509(out, cert) == 1 && (len = BIO_get_mem_data(out, &data)) > 0)
        text = strndup(data, (size_t)len);
    BIO_free(out);
    return text;
}

int ql_dsse_sign(const struct ql_key *key, bool x509, const void *payload, size_t len, char **ret,
                 char **ret_cert, struct ql_err *err)
{
    ql_auto_free char *cert = NULL, *keyid = NULL, *payload_text = ql_base64_dup(payload, len),
                      *sig_text = NULL;
    ql_auto_free uint8_t *sig = NULL;
    ql_auto_json json_t *j = NULL;
    size_t sig_len = 0;
    int r;

    if (ql_key_is_rsa(key))
        return ql_fail(err, QL_EUNSUPPORTED, "only keys on elliptic curves can sign policies");
    r = sign(key, payload, len, &sig, &sig_len, err);
    if (r < 0)
        return r;
    sig_text = ql_base64_dup(sig, sig_len);
    if (x509) {
        X509 *made = make_cert(key);

        cert = made ? cert_pem(made) : NULL;
        X509_free(made);
        keyid = cert ? ql_base64_dup(cert, strlen(cert)) : NULL;
    } else {
        keyid = malloc(QL_DSSE_KEYID_LEN + 1);
        if (keyid && ql_dsse_keyid(key, keyid, err) < 0)
            return QL_ECRYPTO;
    }
    if (!keyid || !payload_text || !sig_text)
        return ql_fail_nomem(err);
    j = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "payload", payload_text, "payloadType", QL_DSSE_TYPE,
                  "signatures", "keyid", keyid, "sig", sig_text);
    *ret = j ? ql_json_text_spaced(j) : NULL;
    if (!*ret)
        return ql_fail_nomem(err);
    *ret_cert = ql_steal(cert);
    return QL_OK;
}
