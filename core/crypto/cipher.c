/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "error.h"
#include "key.h"

enum {
    GCM_IV_LEN = 16,
    GCM_TAG_LEN = 16,
    RSA_LEN_MAX = 512
};

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

static int set_oaep(EVP_PKEY_CTX *ctx, enum ql_hash hash, const void *label, size_t label_len)
{
    unsigned char *copy;

    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md_of(hash)) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md_of(hash)) != 1)
        return 0;
    if (label_len == 0)
        return 1;
    copy = OPENSSL_memdup(label, label_len);
    if (copy && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label_len) == 1)
        return 1;
    OPENSSL_free(copy);
    return 0;
}

int ql_oaep_encrypt(const struct ql_key *k, enum ql_hash hash, const void *label, size_t label_len,
                    const void *data, size_t len, uint8_t *out, size_t room, size_t *ret_len,
                    struct ql_err *err)
{
    EVP_PKEY_CTX *ctx;
    size_t out_len = room;
    int ok = 0;

    if (!ql_key_is_rsa(k) || room < ql_key_bits(k) / 8)
        return ql_fail(err, QL_EUNSUPPORTED, "OAEP needs an RSA key and room for its modulus");
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ql_key_native(k), NULL);
    if (ctx && EVP_PKEY_encrypt_init(ctx) == 1 && set_oaep(ctx, hash, label, label_len))
        ok = EVP_PKEY_encrypt(ctx, out, &out_len, data, len) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    if (!ok)
        return ql_fail(err, QL_ECRYPTO, "encryption of %zu bytes failed", len);
    *ret_len = out_len;
    return QL_OK;
}

int ql_oaep_decrypt(const struct ql_key *k, enum ql_hash hash, const void *data, size_t len,
                    struct ql_secret **ret, struct ql_err *err)
{
    uint8_t plain[RSA_LEN_MAX];
    size_t plain_len = sizeof plain;
    EVP_PKEY_CTX *ctx;
    int ok = 0, r;

    ctx = ql_key_is_rsa(k) ? EVP_PKEY_CTX_new_from_pkey(NULL, ql_key_native(k), NULL) : NULL;
    if (ctx && EVP_PKEY_decrypt_init(ctx) == 1 && set_oaep(ctx, hash, NULL, 0))
        ok = EVP_PKEY_decrypt(ctx, plain, &plain_len, data, len) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* one text for every failure: which step failed is nobody's business */
    r = ok ? ql_secret_new(plain, plain_len, ret, err) : ql_fail(err, QL_ECRYPTO, "decryption failed");
    ql_wipe(plain, sizeof plain);
    return r;
}

static const EVP_CIPHER *gcm_of(const struct ql_secret *key)
{
    switch (ql_secret_len(key)) {
    case 16:
        return EVP_aes_128_gcm();
    case 32:
        return EVP_aes_256_gcm();
    default:
        return NULL;
    }
}

int ql_gcm_seal(const struct ql_secret *key, const void *data, size_t len, uint8_t **ret, size_t *ret_len,
                struct ql_err *err)
{
    const EVP_CIPHER *cipher = gcm_of(key);
    ql_auto_free uint8_t *out = NULL;
    EVP_CIPHER_CTX *ctx;
    int part = 0, last = 0, ok;

    if (!cipher || len > QL_SECRET_MAX)
        return ql_fail(err, QL_ERANGE, "key of %zu bytes, data of %zu", ql_secret_len(key), len);
    out = malloc(GCM_IV_LEN + len + GCM_TAG_LEN);
    ctx = EVP_CIPHER_CTX_new();
    if (!out || !ctx) {
        EVP_CIPHER_CTX_free(ctx);
        return ql_fail_nomem(err);
    }
    ql_random(out, GCM_IV_LEN);
    /* The IV's length is set before key and IV: Keylime's payloads use 16 bytes. */
    ok = EVP_EncryptInit_ex(ctx, cipher, NULL, NULL, NULL) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IVLEN, GCM_IV_LEN, NULL) == 1 &&
         EVP_EncryptInit_ex(ctx, NULL, NULL, ql_secret_data(key), out) == 1 &&
         EVP_EncryptUpdate(ctx, out + GCM_IV_LEN, &part, data, (int)len) == 1 &&
         EVP_EncryptFinal_ex(ctx, out + GCM_IV_LEN + part, &last) == 1 &&
         (size_t)part + (size_t)last == len &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, GCM_TAG_LEN, out + GCM_IV_LEN + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    if (!ok)
        return ql_fail(err, QL_ECRYPTO, "encryption failed");
    *ret = ql_steal(out);
    *ret_len = GCM_IV_LEN + len + GCM_TAG_LEN;
    return QL_OK;
}

int ql_gcm_open(const struct ql_secret *key, const void *data, size_t len, struct ql_secret **ret,
                struct ql_err *err)
{
    const EVP_CIPHER *cipher = gcm_of(key);
    ql_auto(ql_secret_freep) struct ql_secret *plain = NULL;
    const uint8_t *in = data;
    EVP_CIPHER_CTX *ctx;
    int part = 0, last = 0, ok, r;
    size_t plain_len;

    if (!cipher)
        return ql_fail(err, QL_ERANGE, "key of %zu bytes", ql_secret_len(key));
    if (len < GCM_IV_LEN + GCM_TAG_LEN || len - GCM_IV_LEN - GCM_TAG_LEN > QL_SECRET_MAX)
        return ql_fail(err, QL_EPARSE, "sealed data of %zu bytes", len);
    plain_len = len - GCM_IV_LEN - GCM_TAG_LEN;
    r = ql_secret_new_empty(plain_len, &plain, err);
    if (r < 0)
        return r;
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx && EVP_DecryptInit_ex(ctx, cipher, NULL, NULL, NULL) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_IVLEN, GCM_IV_LEN, NULL) == 1 &&
         EVP_DecryptInit_ex(ctx, NULL, NULL, ql_secret_data(key), in) == 1 &&
         EVP_DecryptUpdate(ctx, ql_secret_writable(plain), &part, in + GCM_IV_LEN, (int)plain_len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, GCM_TAG_LEN,
                             (void *)(uintptr_t)(in + GCM_IV_LEN + plain_len)) == 1 &&
         EVP_DecryptFinal_ex(ctx, ql_secret_writable(plain) + part, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    if (!ok)
        return ql_fail(err, QL_ECRYPTO, "the data is damaged or the key is wrong");
    *ret = ql_steal(plain);
    return QL_OK;
}
