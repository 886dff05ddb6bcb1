/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "error.h"
#include "key_parts.h"

enum {
    ECDSA_DER_MAX = 160,
    RSA_LEN_MAX = 512,
    EC_LEN_MAX = 66
};

static const char *hash_name(enum ql_hash hash)
{
    switch (hash) {
    case QL_SHA1:
        return "SHA1";
    case QL_SHA256:
        return "SHA256";
    case QL_SHA384:
        return "SHA384";
    case QL_SHA512:
        return "SHA512";
    }
    return NULL;
}

/* TPMs drop leading zeros of r and s: build DER from integers, never from fixed fields. */
static size_t ecdsa_der(const uint8_t *r, size_t r_len, const uint8_t *s, size_t s_len, uint8_t *out)
{
    ECDSA_SIG *sig;
    BIGNUM *br, *bs;
    int len = 0;

    if (r_len == 0 || s_len == 0 || r_len > EC_LEN_MAX || s_len > EC_LEN_MAX)
        return 0;
    sig = ECDSA_SIG_new();
    br = BN_bin2bn(r, (int)r_len, NULL);
    bs = BN_bin2bn(s, (int)s_len, NULL);
    if (sig && br && bs && ECDSA_SIG_set0(sig, br, bs) == 1) {
        br = bs = NULL; /* owned by sig now */
        len = i2d_ECDSA_SIG(sig, NULL);
        if (len > 0 && len <= ECDSA_DER_MAX)
            len = i2d_ECDSA_SIG(sig, &out);
        else
            len = 0;
    }
    BN_free(br);
    BN_free(bs);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

static int set_padding(EVP_PKEY_CTX *ctx, enum ql_scheme scheme, int salt_len)
{
    switch (scheme) {
    case QL_RSASSA:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    case QL_RSAPSS:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt_len == -1   ? RSA_PSS_SALTLEN_DIGEST
                                                     : salt_len == -2 ? RSA_PSS_SALTLEN_MAX
                                                                      : salt_len) == 1;
    case QL_ECDSA:
        return 1;
    case QL_ECSCHNORR:
        return 0;
    }
    return 0;
}

static bool fits(const struct ql_key *k, enum ql_scheme scheme)
{
    switch (scheme) {
    case QL_RSASSA:
    case QL_RSAPSS:
        return ql_key_is_rsa(k);
    case QL_ECDSA:
        return !ql_key_is_rsa(k);
    case QL_ECSCHNORR:
        return false;
    }
    return false;
}

int ql_key_verify(const struct ql_key *k, enum ql_scheme scheme, enum ql_hash hash, const void *data,
                  size_t len, const uint8_t *sig, size_t sig_len, const uint8_t *sig2, size_t sig2_len,
                  int salt_len, struct ql_err *err)
{
    uint8_t der[ECDSA_DER_MAX];
    const char *digest = hash_name(hash);
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx;
    int ok = 0;

    if (!digest || !fits(k, scheme))
        return ql_fail(err, QL_ECRYPTO, "signature scheme 0x%04x does not fit the key", (unsigned)scheme);
    if (scheme == QL_ECDSA) {
        sig_len = ecdsa_der(sig, sig_len, sig2, sig2_len, der);
        sig = der;
        if (sig_len == 0)
            return ql_fail(err, QL_ECRYPTO, "ECDSA signature has no form");
    }
    ERR_clear_error();
    ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestVerifyInit_ex(ctx, &pctx, digest, NULL, NULL, ql_key_native(k), NULL) == 1 &&
        set_padding(pctx, scheme, salt_len))
        ok = EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* a wrong signature leaves entries that would fail an innocent connection */
    return ok ? QL_OK : ql_fail(err, QL_ECRYPTO, "signature is wrong");
}

static const EVP_MD *md_of(enum ql_hash hash)
{
    switch (hash) {
    case QL_SHA1:
        return EVP_sha1();
    case QL_SHA256:
        return EVP_sha256();
    case QL_SHA384:
        return EVP_sha384();
    case QL_SHA512:
        return EVP_sha512();
    }
    return NULL;
}

static bool check_kept(const struct ql_key *k, enum ql_hash hash, const uint8_t *digest, const uint8_t *sig,
                       size_t sig_len)
{
    EVP_PKEY_CTX *ctx = k->checker ? EVP_PKEY_CTX_dup(k->checker) : NULL;
    bool ok = ctx != NULL;

    if (ok && k->is_rsa && hash != QL_SHA256) /* the checker stands on SHA-256 */
        ok = EVP_PKEY_CTX_set_signature_md(ctx, md_of(hash)) == 1;
    ok = ok && EVP_PKEY_verify(ctx, sig, sig_len, digest, ql_hash_len(hash)) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* a wrong signature leaves entries that would fail an innocent connection */
    return ok;
}

int ql_key_verify_kept(const struct ql_key *k, struct ql_digester *d, enum ql_scheme scheme,
                       enum ql_hash hash, const void *data, size_t len, const uint8_t *sig, size_t sig_len,
                       const uint8_t *sig2, size_t sig2_len, struct ql_err *err)
{
    uint8_t der[ECDSA_DER_MAX], digest[QL_DIGEST_MAX];
    struct ql_piece piece = {data, len};

    if ((scheme != QL_RSASSA && scheme != QL_ECDSA) || ql_hash_len(hash) == 0 || !fits(k, scheme))
        return ql_fail(err, QL_ECRYPTO, "signature scheme 0x%04x does not fit the key", (unsigned)scheme);
    if (scheme == QL_ECDSA) {
        sig_len = ecdsa_der(sig, sig_len, sig2, sig2_len, der);
        sig = der;
        if (sig_len == 0)
            return ql_fail(err, QL_ECRYPTO, "ECDSA signature has no form");
    }
    if (ql_digest(d, hash, &piece, 1, digest) != QL_OK)
        return ql_fail(err, QL_ECRYPTO, "%s is not available", ql_hash_name(hash));
    return check_kept(k, hash, digest, sig, sig_len) ? QL_OK : ql_fail(err, QL_ECRYPTO, "signature is wrong");
}

int ql_key_sign_pss_max(const struct ql_key *k, enum ql_hash hash, const void *data, size_t len,
                        uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_free uint8_t *sig = malloc(RSA_LEN_MAX);
    size_t sig_len = RSA_LEN_MAX;
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx;
    int ok = 0;

    if (!sig)
        return ql_fail_nomem(err);
    if (!fits(k, QL_RSAPSS))
        return ql_fail(err, QL_EUNSUPPORTED, "revocation keys are RSA");
    ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestSignInit_ex(ctx, &pctx, hash_name(hash), NULL, NULL, ql_key_native(k), NULL) == 1 &&
        set_padding(pctx, QL_RSAPSS, -2))
        ok = EVP_DigestSign(ctx, sig, &sig_len, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    if (!ok)
        return ql_fail(err, QL_ECRYPTO, "signing failed");
    *ret = ql_steal(sig);
    *ret_len = sig_len;
    return QL_OK;
}
