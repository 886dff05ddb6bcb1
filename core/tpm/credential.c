/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "credential.h"
#include "credential_parts.h"
#include "encode.h"
#include "error.h"
#include "reader.h"

#define BLOB_MAGIC   UINT32_C(0xbadcc0de)
#define BLOB_VERSION UINT32_C(1)

enum {
    SEED_LEN_MAX = 512,
    POINT_LEN_MAX = 66,
    SECRET_LEN_MAX = 128,
    ID_OBJECT_LEN_MAX = 2 * (2 + QL_DIGEST_MAX) /* what TPM2B_ID_OBJECT has room for */
};

/* KDFa, SP 800-108 counter mode (TPM 2.0 part 1, 11.4.10.2). One block is always enough here: bits <= digest. */
static int kdfa(enum ql_hash hash, const uint8_t *key, size_t key_len, const char *label, const void *context,
                size_t context_len, size_t bits, uint8_t *out, struct ql_err *err)
{
    uint8_t counter[4] = {0, 0, 0, 1}, length[4] = {0, 0, (uint8_t)(bits >> 8), (uint8_t)bits};
    uint8_t block[QL_DIGEST_MAX];
    struct ql_piece pieces[] = {{counter, sizeof counter},
                                {label, strlen(label) + 1},
                                {context, context_len},
                                {length, sizeof length}};

    if (bits / 8 > ql_hash_len(hash) || ql_hmac(hash, key, key_len, pieces, QL_ARRAY_LEN(pieces), block) < 0)
        return ql_fail(err, QL_ECRYPTO, "key derivation of %zu bits failed", bits);
    memcpy(out, block, bits / 8);
    ql_wipe(block, sizeof block);
    return QL_OK;
}

/* KDFe (TPM 2.0 part 1, 11.4.10.3). */
static int kdfe(enum ql_hash hash, const uint8_t *z, size_t len, const uint8_t *party_u,
                const uint8_t *party_v, uint8_t *out, struct ql_err *err)
{
    static const char label[] = "IDENTITY"; /* with its NUL */
    uint8_t counter[4] = {0, 0, 0, 1};
    struct ql_piece pieces[] = {
        {counter, sizeof counter}, {z, len}, {label, sizeof label}, {party_u, len}, {party_v, len}};
    ql_auto(ql_digester_freep) struct ql_digester *d = NULL;
    int r = ql_digester_new(&d, err);

    if (r == QL_OK && ql_digest(d, hash, pieces, QL_ARRAY_LEN(pieces), out) != QL_OK)
        r = ql_fail(err, QL_ECRYPTO, "key derivation failed");
    return r;
}

static const EVP_CIPHER *cfb_of(unsigned bits)
{
    switch (bits) {
    case 128:
        return EVP_aes_128_cfb128();
    case 192:
        return EVP_aes_192_cfb128();
    case 256:
        return EVP_aes_256_cfb128();
    default:
        return NULL;
    }
}

static int encrypt_cfb(unsigned bits, const uint8_t *key, const uint8_t *data, size_t len, uint8_t *out,
                       struct ql_err *err)
{
    static const uint8_t iv[16];
    const EVP_CIPHER *cipher = cfb_of(bits);
    EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;
    int part = 0, last = 0, ok;

    ok = ctx && EVP_EncryptInit_ex(ctx, cipher, NULL, key, iv) == 1 &&
         EVP_EncryptUpdate(ctx, out, &part, data, (int)len) == 1 &&
         EVP_EncryptFinal_ex(ctx, out + part, &last) == 1 && (size_t)part + (size_t)last == len;
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    return ok ? QL_OK : ql_fail(err, QL_ECRYPTO, "encryption with AES of %u bits failed", bits);
}

int ql_credential_protect(const struct ql_tpm_public *ek, const uint8_t *seed, size_t seed_len,
                          const uint8_t *name, size_t name_len, const void *secret, size_t secret_len,
                          struct ql_buf *out, struct ql_err *err)
{
    size_t hash_len = ql_hash_len(ek->name_alg);
    uint8_t key[QL_DIGEST_MAX], plain[2 + SECRET_LEN_MAX], enc[sizeof plain], outer[QL_DIGEST_MAX];
    struct ql_piece pieces[] = {{enc, 2 + secret_len}, {name, name_len}};
    int r;

    if (secret_len > SECRET_LEN_MAX)
        return ql_fail(err, QL_ELIMIT, "credential of %zu bytes, at most %d", secret_len, SECRET_LEN_MAX);
    plain[0] = (uint8_t)(secret_len >> 8);
    plain[1] = (uint8_t)secret_len;
    memcpy(plain + 2, secret, secret_len);
    r = kdfa(ek->name_alg, seed, seed_len, "STORAGE", name, name_len, ek->symmetric_bits, key, err);
    if (r == QL_OK)
        r = encrypt_cfb(ek->symmetric_bits, key, plain, 2 + secret_len, enc, err);
    if (r == QL_OK)
        r = kdfa(ek->name_alg, seed, seed_len, "INTEGRITY", NULL, 0, hash_len * 8, key, err);
    if (r == QL_OK && ql_hmac(ek->name_alg, key, hash_len, pieces, QL_ARRAY_LEN(pieces), outer) < 0)
        r = ql_fail(err, QL_ECRYPTO, "HMAC failed");
    if (r == QL_OK)
        r = ql_buf_add_tpm2b(out, outer, hash_len);
    if (r == QL_OK)
        r = ql_buf_add(out, enc, 2 + secret_len);
    ql_wipe(plain, sizeof plain);
    ql_wipe(key, sizeof key);
    return r;
}

/* RSA: a random seed under OAEP with the EK's name hash (TPM 2.0 part 1, B.10.4). */
static int share_rsa(const struct ql_tpm_public *ek, const struct ql_key *key, uint8_t *seed, uint8_t *secret,
                     size_t *secret_len, struct ql_err *err)
{
    static const char label[] = "IDENTITY"; /* with its NUL */
    size_t seed_len = ql_hash_len(ek->name_alg);

    ql_random(seed, seed_len);
    return ql_oaep_encrypt(key, ek->name_alg, label, sizeof label, seed, seed_len, secret, SEED_LEN_MAX,
                           secret_len, err);
}

static int ecdh(const struct ql_key *own, const struct ql_key *peer, uint8_t *z, size_t len,
                struct ql_err *err)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ql_key_native(own), NULL);
    size_t z_len = len;
    int ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
             EVP_PKEY_derive_set_peer(ctx, ql_key_native(peer)) == 1 &&
             EVP_PKEY_derive(ctx, z, &z_len) == 1 && z_len == len;

    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    return ok ? QL_OK : ql_fail(err, QL_ECRYPTO, "ECDH failed");
}

/* ECC: one-pass ECDH with an ephemeral key on the EK's curve (TPM 2.0 part 1, C.6.4). */
static int share_ecc(const struct ql_tpm_public *ek, const struct ql_key *key, uint8_t *seed, uint8_t *secret,
                     size_t *secret_len, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *ephemeral = NULL;
    ql_auto_buf struct ql_buf point = ql_buf_init(SEED_LEN_MAX);
    uint8_t z[POINT_LEN_MAX], x[POINT_LEN_MAX], y[POINT_LEN_MAX], ek_x[POINT_LEN_MAX], ek_y[POINT_LEN_MAX];
    enum ql_curve curve;
    size_t len;
    int r = ql_key_generate_ec(ek->curve, &ephemeral, err);

    if (r < 0)
        return r;
    if (ql_key_ec_parts(ephemeral, &curve, x, y, sizeof x, &len) < 0 ||
        ql_key_ec_parts(key, &curve, ek_x, ek_y, sizeof ek_x, &len) < 0)
        return ql_fail(err, QL_ECRYPTO, "coordinates of a key cannot be read");
    r = ecdh(ephemeral, key, z, len, err);
    if (r == QL_OK)
        r = kdfe(ek->name_alg, z, len, x, ek_x, seed, err);
    ql_wipe(z, sizeof z);
    if (r < 0)
        return r;
    if (ql_buf_add_tpm2b(&point, x, len) < 0 || ql_buf_add_tpm2b(&point, y, len) < 0)
        return ql_fail_nomem(err);
    memcpy(secret, point.data, point.len);
    *secret_len = point.len;
    return QL_OK;
}

int ql_make_credential(const struct ql_tpm_public *ek, const uint8_t *name, size_t name_len,
                       const void *secret, size_t secret_len, uint8_t **ret, size_t *ret_len,
                       struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto_buf struct ql_buf id = ql_buf_init(QL_CREDENTIAL_MAX_LEN),
                              blob = ql_buf_init(QL_CREDENTIAL_MAX_LEN);
    uint8_t seed[QL_DIGEST_MAX], shared[SEED_LEN_MAX];
    size_t shared_len = 0;
    int r = ql_tpm_check_ek(ek, err);

    if (r == QL_OK)
        r = ql_tpm_public_key(ek, &key, err);
    if (r == QL_OK)
        r = ek->is_rsa ? share_rsa(ek, key, seed, shared, &shared_len, err)
                       : share_ecc(ek, key, seed, shared, &shared_len, err);
    if (r == QL_OK)
        r = ql_credential_protect(ek, seed, ql_hash_len(ek->name_alg), name, name_len, secret, secret_len,
                                  &id, err);
    ql_wipe(seed, sizeof seed);
    if (r < 0)
        return r;
    if (ql_buf_add_u32be(&blob, BLOB_MAGIC) < 0 || ql_buf_add_u32be(&blob, BLOB_VERSION) < 0 ||
        ql_buf_add_tpm2b(&blob, id.data, id.len) < 0 || ql_buf_add_tpm2b(&blob, shared, shared_len) < 0)
        return ql_fail(err, QL_ELIMIT, "credential blob is too large");
    *ret = ql_buf_take(&blob, ret_len);
    return QL_OK;
}

int ql_credential_split(const uint8_t *blob, size_t len, const uint8_t **id_object, size_t *id_object_len,
                        const uint8_t **secret, size_t *secret_len, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(blob, len);
    uint32_t magic = ql_reader_u32be(&r), version = ql_reader_u32be(&r);
    const uint8_t *id, *shared;
    size_t id_len, shared_len;

    if (len > QL_CREDENTIAL_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "credential blob of %zu bytes, at most %d", len,
                       QL_CREDENTIAL_MAX_LEN);
    if (r.failed || magic != BLOB_MAGIC || version != BLOB_VERSION)
        return ql_fail(err, QL_EPARSE, "credential blob has magic 0x%08x and version %u", magic, version);
    id = ql_reader_tpm2b(&r, &id_len);
    shared = ql_reader_tpm2b(&r, &shared_len);
    if (!ql_reader_done(&r) || id_len == 0 || id_len > ID_OBJECT_LEN_MAX || shared_len == 0 ||
        shared_len > SEED_LEN_MAX)
        return ql_fail(err, QL_EPARSE, "credential blob of %zu bytes is cut short or too long", len);
    *id_object = id;
    *id_object_len = id_len;
    *secret = shared;
    *secret_len = shared_len;
    return QL_OK;
}

void ql_challenge_new(char *challenge, char *key)
{
    ql_random_alnum(challenge, QL_CHALLENGE_LEN);
    ql_base64_encode(challenge, QL_CHALLENGE_LEN, key);
}

int ql_auth_tag(const char *key, const char *agent_id, char *out)
{
    struct ql_piece id = {agent_id, strlen(agent_id)};
    uint8_t tag[QL_DIGEST_MAX];
    int r = ql_hmac(QL_SHA384, key, strlen(key), &id, 1, tag);

    if (r == QL_OK)
        ql_hex_encode(tag, QL_AUTH_TAG_LEN / 2, out);
    return r;
}
