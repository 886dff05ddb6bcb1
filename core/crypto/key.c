/* SPDX-License-Identifier: Apache-2.0 */
/* Importing, comparing and writing keys. Signatures are in sign.c, encryption in cipher.c. */
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "error.h"
#include "key_parts.h"

enum {
    PEM_MAX = 16 * 1024,
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 4096,
    EC_LEN_MAX = 66
};

static const struct {
    enum ql_curve curve;
    const char *name;
    size_t len;
} curves[] = {{QL_P256, "prime256v1", 32}, {QL_P384, "secp384r1", 48}, {QL_P521, "secp521r1", 66}};

/* OpenSSL's words for what failed, and an empty queue for the next caller. */
static int openssl_fail(struct ql_err *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return ql_fail(err, QL_ECRYPTO, "%s: %s", what, reason ? reason : "not possible");
}

static int curve_index(const char *name)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(curves); i++)
        if (strcmp(curves[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int check_kind(EVP_PKEY *pkey, bool *is_rsa, struct ql_err *err)
{
    char group[64];

    if (EVP_PKEY_is_a(pkey, "RSA")) {
        int bits = EVP_PKEY_get_bits(pkey);

        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return ql_fail(err, QL_EUNSUPPORTED, "RSA key of %d bits, not %d to %d", bits, RSA_BITS_MIN,
                           RSA_BITS_MAX);
        *is_rsa = true;
        return QL_OK;
    }
    if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) == 1 &&
        curve_index(group) >= 0) {
        *is_rsa = false;
        return QL_OK;
    }
    return ql_fail(err, QL_EUNSUPPORTED, "key is neither RSA nor on P-256, P-384 or P-521");
}

static EVP_PKEY_CTX *make_checker(EVP_PKEY *pkey, bool is_rsa)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    if (ctx && EVP_PKEY_verify_init(ctx) == 1 &&
        (!is_rsa || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1)))
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* the key is good for other things */
    return NULL;
}

int ql_key_from_native(EVP_PKEY *pkey, struct ql_key **ret, struct ql_err *err)
{
    struct ql_key *k;
    bool is_rsa = false;
    int r = check_kind(pkey, &is_rsa, err);

    k = r == QL_OK ? malloc(sizeof *k) : NULL;
    if (!k) {
        EVP_PKEY_free(pkey);
        return r < 0 ? r : ql_fail_nomem(err);
    }
    *k = (struct ql_key){pkey, make_checker(pkey, is_rsa), is_rsa};
    *ret = k;
    return QL_OK;
}

void ql_key_free(struct ql_key *k)
{
    if (!k)
        return;
    EVP_PKEY_CTX_free(k->checker);
    EVP_PKEY_free(k->pkey);
    free(k);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    ERR_clear_error();
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

int ql_key_from_rsa(const uint8_t *n, size_t n_len, uint32_t e, struct ql_key **ret, struct ql_err *err)
{
    BIGNUM *modulus, *exponent;
    OSSL_PARAM_BLD *build;
    EVP_PKEY *pkey = NULL;

    if (n_len == 0 || n_len > RSA_BITS_MAX / 8)
        return ql_fail(err, QL_EUNSUPPORTED, "RSA modulus of %zu bytes", n_len);
    if (e == 0)
        e = 65537; /* TPMT_PUBLIC writes the usual exponent as 0 */
    if (e < 65537 || e % 2 == 0)
        return ql_fail(err, QL_EUNSUPPORTED, "RSA exponent %u", e);
    modulus = BN_bin2bn(n, (int)n_len, NULL);
    exponent = BN_new();
    build = OSSL_PARAM_BLD_new();
    if (modulus && exponent && build && BN_set_word(exponent, e) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        pkey = from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(exponent);
    BN_free(modulus);
    return pkey ? ql_key_from_native(pkey, ret, err) : openssl_fail(err, "RSA key");
}

static int check_point(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int ok = ctx && EVP_PKEY_public_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

int ql_key_from_ec(enum ql_curve curve, const uint8_t *x, size_t x_len, const uint8_t *y, size_t y_len,
                   struct ql_key **ret, struct ql_err *err)
{
    uint8_t point[1 + 2 * EC_LEN_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM_BLD *build;
    EVP_PKEY *pkey = NULL;
    size_t i;

    for (i = 0; i < QL_ARRAY_LEN(curves) && curves[i].curve != curve; i++)
        ;
    if (i == QL_ARRAY_LEN(curves))
        return ql_fail(err, QL_EUNSUPPORTED, "curve %u", curve);
    if (x_len == 0 || y_len == 0 || x_len > curves[i].len || y_len > curves[i].len)
        return ql_fail(err, QL_EPARSE, "coordinates of %zu and %zu bytes on %s", x_len, y_len,
                       curves[i].name);
    memcpy(point + 1 + curves[i].len - x_len, x, x_len);
    memcpy(point + 1 + 2 * curves[i].len - y_len, y, y_len);
    build = OSSL_PARAM_BLD_new();
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].name, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curves[i].len) == 1)
        pkey = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    if (!pkey)
        return openssl_fail(err, "EC point");
    if (!check_point(pkey)) {
        EVP_PKEY_free(pkey);
        return openssl_fail(err, "EC point");
    }
    return ql_key_from_native(pkey, ret, err);
}

static bool only_blanks(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
            return false;
    return true;
}

/* Exactly one block of a kind, white space around it. @return true: so it is */
static bool is_one_block(const char *pem, size_t len, const char *label)
{
    char begin[64], end[64];
    const char *start, *stop;

    snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
    snprintf(end, sizeof end, "-----END %s-----", label);
    start = memmem(pem, len, begin, strlen(begin));
    stop = start ? memmem(start, len - (size_t)(start - pem), end, strlen(end)) : NULL;
    if (!stop)
        return false;
    stop += strlen(end);
    return only_blanks(pem, (size_t)(start - pem)) && only_blanks(stop, len - (size_t)(stop - pem));
}

/* Never prompts: without a password, an encrypted key is a failure. */
static int give_password(char *out, int room, int writing, void *arg)
{
    const struct ql_secret *password = arg;

    (void)writing;
    if (!password || ql_secret_len(password) > (size_t)room)
        return -1;
    memcpy(out, ql_secret_data(password), ql_secret_len(password));
    return (int)ql_secret_len(password);
}

int ql_key_from_pem(const char *pem, size_t len, struct ql_key **ret, struct ql_err *err)
{
    BIO *bio;
    EVP_PKEY *pkey;

    if (len > PEM_MAX)
        return ql_fail(err, QL_ELIMIT, "PEM key of %zu bytes, at most %d", len, PEM_MAX);
    if (!is_one_block(pem, len, "PUBLIC KEY"))
        return ql_fail(err, QL_EPARSE, "not one PEM block PUBLIC KEY");
    ERR_clear_error();
    bio = BIO_new_mem_buf(pem, (int)len);
    /* A block may claim to be encrypted, and OpenSSL's own answer to that is to ask the terminal. */
    pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, give_password, NULL) : NULL;
    BIO_free(bio);
    return pkey ? ql_key_from_native(pkey, ret, err) : openssl_fail(err, "public key");
}

int ql_key_from_private_pem(const char *pem, size_t len, const struct ql_secret *password,
                            struct ql_key **ret, struct ql_err *err)
{
    BIO *bio;
    EVP_PKEY *pkey;

    if (len > PEM_MAX)
        return ql_fail(err, QL_ELIMIT, "PEM key of %zu bytes, at most %d", len, PEM_MAX);
    ERR_clear_error();
    bio = BIO_new_mem_buf(pem, (int)len);
    pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)password) : NULL;
    BIO_free(bio);
    return pkey ? ql_key_from_native(pkey, ret, err) : openssl_fail(err, "private key");
}

int ql_key_generate_rsa(unsigned bits, struct ql_key **ret, struct ql_err *err)
{
    EVP_PKEY *pkey = EVP_RSA_gen(bits);

    return pkey ? ql_key_from_native(pkey, ret, err) : openssl_fail(err, "new RSA key");
}

int ql_key_generate_ec(enum ql_curve curve, struct ql_key **ret, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(curves); i++)
        if (curves[i].curve == curve) {
            EVP_PKEY *pkey = EVP_EC_gen(curves[i].name);

            return pkey ? ql_key_from_native(pkey, ret, err) : openssl_fail(err, "new EC key");
        }
    return ql_fail(err, QL_EUNSUPPORTED, "curve %u", curve);
}

EVP_PKEY *ql_key_native(const struct ql_key *k)
{
    return k->pkey;
}

bool ql_key_is_rsa(const struct ql_key *k)
{
    return k->is_rsa;
}

unsigned ql_key_bits(const struct ql_key *k)
{
    return (unsigned)EVP_PKEY_get_bits(k->pkey);
}

bool ql_key_equal(const struct ql_key *a, const struct ql_key *b)
{
    bool equal = EVP_PKEY_eq(a->pkey, b->pkey) == 1;

    ERR_clear_error(); /* unlike kinds leave an entry */
    return equal;
}

/* Everything written to a memory BIO, as NUL-ended text. */
static char *take_text(BIO *bio)
{
    char *data = NULL, *text;
    long len = BIO_get_mem_data(bio, &data);

    text = len > 0 ? strndup(data, (size_t)len) : NULL;
    BIO_free(bio);
    return text;
}

char *ql_key_public_pem(const struct ql_key *k)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bio || PEM_write_bio_PUBKEY(bio, k->pkey) != 1) {
        BIO_free(bio);
        ERR_clear_error();
        return NULL;
    }
    return take_text(bio);
}

int ql_key_private_pem(const struct ql_key *k, const struct ql_secret *password, struct ql_secret **ret,
                       struct ql_err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    long len;
    int r;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, password ? EVP_aes_256_cbc() : NULL, NULL, 0,
                                              give_password, (void *)(uintptr_t)password) != 1) {
        BIO_free(bio);
        return openssl_fail(err, "writing a private key");
    }
    len = BIO_get_mem_data(bio, &data);
    r = len > 0 ? ql_secret_new(data, (size_t)len, ret, err) : ql_fail(err, QL_ECRYPTO, "empty private key");
    BIO_free(bio);
    return r;
}

int ql_key_rsa_parts(const struct ql_key *k, uint8_t *n, size_t n_room, size_t *n_len, uint32_t *e)
{
    BIGNUM *modulus = NULL, *exponent = NULL;
    int r = QL_ECRYPTO;

    if (!k->is_rsa)
        return QL_EUNSUPPORTED;
    if (EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
        EVP_PKEY_get_bn_param(k->pkey, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1) {
        if ((size_t)BN_num_bytes(modulus) > n_room || BN_num_bits(exponent) > 32) {
            r = QL_ELIMIT;
        } else {
            *n_len = (size_t)BN_bn2bin(modulus, n);
            *e = (uint32_t)BN_get_word(exponent);
            r = QL_OK;
        }
    }
    BN_free(modulus);
    BN_free(exponent);
    return r;
}

static int coordinate(const struct ql_key *k, const char *name, uint8_t *out, size_t len)
{
    BIGNUM *v = NULL;
    int ok = EVP_PKEY_get_bn_param(k->pkey, name, &v) == 1 && BN_bn2binpad(v, out, (int)len) == (int)len;

    BN_free(v);
    return ok;
}

int ql_key_ec_parts(const struct ql_key *k, enum ql_curve *curve, uint8_t *x, uint8_t *y, size_t room,
                    size_t *len)
{
    char group[64];
    int i;

    if (k->is_rsa || EVP_PKEY_get_group_name(k->pkey, group, sizeof group, NULL) != 1 ||
        (i = curve_index(group)) < 0)
        return QL_EUNSUPPORTED;
    if (curves[i].len > room)
        return QL_ELIMIT;
    if (!coordinate(k, OSSL_PKEY_PARAM_EC_PUB_X, x, curves[i].len) ||
        !coordinate(k, OSSL_PKEY_PARAM_EC_PUB_Y, y, curves[i].len))
        return QL_ECRYPTO;
    *curve = curves[i].curve;
    *len = curves[i].len;
    return QL_OK;
}
