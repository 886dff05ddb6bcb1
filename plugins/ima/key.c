/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "key_parts.h"

enum {
    KEY_BYTES_MAX = 64 * 1024, /* of a certificate or key; the largest RSA keys need a few KiB */
    KEY_ID_LEN = 4,
    COORDINATE_MAX = 128, /* bytes of an EC coordinate */
    DER_SEQUENCE = 0x30
};

#define PEM_BEGIN "-----BEGIN"

/* A key that was read, and the certificate it came in. */
struct loaded {
    EVP_PKEY *pkey;
    X509 *cert;
};

/* Nothing may follow. */
static bool take_whole(EVP_PKEY *pkey, size_t left, struct loaded *ret)
{
    if (pkey && left == 0) {
        ret->pkey = pkey;
        return true;
    }
    EVP_PKEY_free(pkey);
    return false;
}

static bool from_cert(X509 *cert, struct loaded *ret)
{
    if (!cert)
        return false;
    ret->cert = cert;
    ret->pkey = X509_get_pubkey(cert);
    return true;
}

static bool load_cert_der(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    const uint8_t *at = bytes;
    X509 *cert = d2i_X509(NULL, &at, (long)len);

    if (cert && at != bytes + len) {
        X509_free(cert);
        cert = NULL;
    }
    return from_cert(cert, ret);
}

static bool load_public_der(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    const uint8_t *at = bytes, *end = bytes + len;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);

    if (take_whole(pkey, (size_t)(end - at), ret))
        return true;
    at = bytes;
    pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)len);
    return take_whole(pkey, (size_t)(end - at), ret);
}

static bool load_private_der(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    const uint8_t *at = bytes;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &at, (long)len);

    return take_whole(pkey, (size_t)(bytes + len - at), ret);
}

/* Never asks at a terminal. */
static int no_password(char *buf, int size, int is_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)arg;
    return -1;
}

static bool load_cert_pem(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    BIO *in = BIO_new_mem_buf(bytes, (int)len);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, no_password, NULL) : NULL;

    BIO_free(in);
    return from_cert(cert, ret);
}

static bool load_public_pem(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    BIO *in = BIO_new_mem_buf(bytes, (int)len);

    ret->pkey = in ? PEM_read_bio_PUBKEY(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return ret->pkey != NULL;
}

static bool load_private_pem(const uint8_t *bytes, size_t len, struct loaded *ret)
{
    BIO *in = BIO_new_mem_buf(bytes, (int)len);

    ret->pkey = in ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    return ret->pkey != NULL;
}

/* In this order; the first that loads wins. */
static bool load(const uint8_t *bytes, size_t len, bool is_measured, struct loaded *ret)
{
    bool is_loaded, is_der, is_pem;

    *ret = (struct loaded){0};
    if (len == 0 || len > KEY_BYTES_MAX)
        return false;
    /* OpenSSL tries many decoders on what is none of theirs: ask it only where the first bytes fit. */
    is_der = bytes[0] == DER_SEQUENCE;
    is_pem = memmem(bytes, len, PEM_BEGIN, strlen(PEM_BEGIN)) != NULL;
    is_loaded = (is_der && load_cert_der(bytes, len, ret)) || (is_pem && load_cert_pem(bytes, len, ret)) ||
                (is_der && load_public_der(bytes, len, ret)) || (is_pem && load_public_pem(bytes, len, ret));
    /* The kernel measures no private keys: whoever logs one chose its bytes. */
    if (!is_loaded && !is_measured)
        is_loaded =
            (is_der && load_private_der(bytes, len, ret)) || (is_pem && load_private_pem(bytes, len, ret));
    ERR_clear_error(); /* what did not load left its reasons there */
    return is_loaded;
}

static void unload(struct loaded *l)
{
    X509_free(l->cert);
    EVP_PKEY_free(l->pkey);
}

/* End of the subject key identifier; 0: none of at least four bytes. */
static uint32_t id_of_cert(X509 *cert)
{
    const ASN1_OCTET_STRING *skid = cert ? X509_get0_subject_key_id(cert) : NULL;
    const uint8_t *p = skid ? ASN1_STRING_get0_data(skid) : NULL;
    int len = skid ? ASN1_STRING_length(skid) : 0;

    if (len < KEY_ID_LEN)
        return 0;
    p += len - KEY_ID_LEN;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The uncompressed point, whatever form it was written in. */
static size_t point(EVP_PKEY *pkey, uint8_t out[1 + 2 * COORDINATE_MAX])
{
    BIGNUM *x = NULL, *y = NULL;
    size_t field = ((size_t)EVP_PKEY_get_bits(pkey) + 7) / 8, len = 0;

    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 && field <= COORDINATE_MAX &&
        BN_bn2binpad(x, out + 1, (int)field) > 0 && BN_bn2binpad(y, out + 1 + field, (int)field) > 0) {
        out[0] = 4;
        len = 1 + 2 * field;
    }
    BN_free(x);
    BN_free(y);
    return len;
}

static uint32_t id_of_key(EVP_PKEY *pkey, bool is_rsa)
{
    uint8_t bytes[1 + 2 * COORDINATE_MAX], digest[EVP_MAX_MD_SIZE], *der = NULL;
    const uint8_t *data = bytes;
    size_t len = 0;
    unsigned digest_len = 0;

    if (is_rsa) {
        int n = i2d_PublicKey(pkey, &der);

        data = der;
        len = n > 0 ? (size_t)n : 0;
    } else {
        len = point(pkey, bytes);
    }
    if (len == 0 || EVP_Digest(data, len, digest, &digest_len, EVP_sha1(), NULL) != 1)
        digest_len = 0;
    OPENSSL_free(der);
    if (digest_len < KEY_ID_LEN)
        return 0;
    return (uint32_t)digest[digest_len - 4] << 24 | (uint32_t)digest[digest_len - 3] << 16 |
           (uint32_t)digest[digest_len - 2] << 8 | digest[digest_len - 1];
}

static bool is_named_curve(EVP_PKEY *pkey)
{
    char name[64];
    size_t len = 0;

    return EVP_PKEY_get_group_name(pkey, name, sizeof name, &len) == 1 && len > 0;
}

/* RSA, or EC on a curve that has a name. */
static bool is_supported(EVP_PKEY *pkey, bool *is_rsa)
{
    int type = pkey ? EVP_PKEY_get_base_id(pkey) : 0;

    *is_rsa = type == EVP_PKEY_RSA;
    return *is_rsa || (type == EVP_PKEY_EC && is_named_curve(pkey));
}

static enum ima_key_kind make(struct loaded l, struct ima_key **ret)
{
    struct ima_key *key;
    bool is_rsa;

    if (!is_supported(l.pkey, &is_rsa)) {
        unload(&l);
        return IMA_KEY_UNSUPPORTED;
    }
    if (!is_rsa)
        (void)EVP_PKEY_set_utf8_string_param(l.pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                             "uncompressed"); /* only how it is written again */
    key = calloc(1, sizeof *key);
    if (!key) {
        unload(&l);
        return IMA_NOT_A_KEY; /* fail closed: nothing is trusted */
    }
    *key = (struct ima_key){.refs = 1,
                            .id = id_of_cert(l.cert),
                            .is_rsa = is_rsa,
                            .bits = (unsigned)EVP_PKEY_get_bits(l.pkey),
                            .pkey = l.pkey};
    if (key->id == 0)
        key->id = id_of_key(l.pkey, is_rsa);
    X509_free(l.cert);
    *ret = key;
    return IMA_KEY_OK;
}

enum ima_key_kind ima_key_read(const uint8_t *bytes, size_t len, bool is_measured, struct ima_key **ret)
{
    struct loaded l;

    return load(bytes, len, is_measured, &l) ? make(l, ret) : IMA_NOT_A_KEY;
}

enum ima_key_kind ima_key_read_public(const uint8_t *der, size_t len, struct ima_key **ret)
{
    struct loaded l = {0};
    bool is_loaded = len > 0 && len <= KEY_BYTES_MAX && load_public_der(der, len, &l);

    ERR_clear_error();
    return is_loaded ? make(l, ret) : IMA_NOT_A_KEY;
}

const char *ima_key_unsupported_name(const uint8_t *bytes, size_t len, bool is_measured)
{
    static const struct {
        int type;
        const char *name;
    } known[] = {{EVP_PKEY_ED25519, "Ed25519"},
                 {EVP_PKEY_ED448, "Ed448"},
                 {EVP_PKEY_X25519, "X25519"},
                 {EVP_PKEY_X448, "X448"},
                 {EVP_PKEY_DSA, "DSA"},
                 {EVP_PKEY_DH, "DH"},
                 {EVP_PKEY_EC, "EC with explicit parameters"}};
    const char *name = "unknown";
    struct loaded l;

    if (!load(bytes, len, is_measured, &l))
        return name;
    for (size_t i = 0; l.pkey && i < sizeof known / sizeof known[0]; i++)
        if (EVP_PKEY_get_base_id(l.pkey) == known[i].type)
            name = known[i].name;
    unload(&l);
    return name;
}

struct ima_key *ima_key_ref(struct ima_key *key)
{
    key->refs++;
    return key;
}

void ima_key_unref(struct ima_key *key)
{
    if (!key || --key->refs > 0)
        return;
    EVP_PKEY_CTX_free(key->kept);
    EVP_PKEY_free(key->pkey);
    free(key);
}

uint32_t ima_key_id(const struct ima_key *key)
{
    return key->id;
}

bool ima_key_equal(const struct ima_key *a, const struct ima_key *b)
{
    return a == b || EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}
