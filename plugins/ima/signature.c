/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "key_parts.h"

enum {
    HEADER_LEN = 9,
    TYPE_IMA = 3,
    TYPE_EVM_PORTABLE = 5,
    VERSION_2 = 2,
    RSA_BITS_STRONG = 2048
};

/* Hash ids of the kernel that a signature may have. */
static const struct hash {
    unsigned id;
    const char *name;
    size_t len;
    bool is_weak;
    const EVP_MD *(*md)(void);
} hashes[] = {
    {1, "md5", 16, true, EVP_md5},        {2, "sha1", 20, true, EVP_sha1},
    {4, "sha256", 32, false, EVP_sha256}, {5, "sha384", 48, false, EVP_sha384},
    {6, "sha512", 64, false, EVP_sha512}, {7, "sha224", 28, false, EVP_sha224},
};

static const struct hash *hash_of(unsigned id)
{
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (hashes[i].id == id)
            return &hashes[i];
    return NULL;
}

bool ima_signature_read(const uint8_t *field, size_t len, struct ima_signature *ret)
{
    if (len < HEADER_LEN || (size_t)(field[7] << 8 | field[8]) != len - HEADER_LEN)
        return false;
    *ret = (struct ima_signature){
        .type = field[0],
        .version = field[1],
        .hash_id = field[2],
        .key_id = (uint32_t)field[3] << 24 | (uint32_t)field[4] << 16 | (uint32_t)field[5] << 8 | field[6],
        .sig = field + HEADER_LEN,
        .sig_len = len - HEADER_LEN,
    };
    return true;
}

/* A context made ready for the hash, kept in the key. */
static EVP_PKEY_CTX *context(struct ima_key *key, const struct hash *h)
{
    EVP_PKEY_CTX *c;

    if (key->kept && key->kept_hash == h->id)
        return key->kept;
    c = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!c || EVP_PKEY_verify_init(c) != 1 ||
        (key->is_rsa && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) != 1) ||
        EVP_PKEY_CTX_set_signature_md(c, h->md()) != 1) {
        EVP_PKEY_CTX_free(c);
        return NULL;
    }
    EVP_PKEY_CTX_free(key->kept);
    key->kept = c;
    key->kept_hash = h->id;
    return c;
}

static bool verifies(struct ima_key *key, const struct hash *h, const struct ima_signature *s,
                     const uint8_t *digest)
{
    EVP_PKEY_CTX *c = context(key, h);
    bool is_good = c && EVP_PKEY_verify(c, s->sig, s->sig_len, digest, h->len) == 1;

    if (!is_good)
        ERR_clear_error();
    return is_good;
}

enum ima_signature_verdict ima_signature_check(const struct ima_signature *s, const struct ima_key *key,
                                               const char *alg, size_t alg_len, const uint8_t *digest,
                                               size_t digest_len)
{
    const struct hash *h = hash_of(s->hash_id);

    if ((s->type != TYPE_IMA && s->type != TYPE_EVM_PORTABLE) || s->version != VERSION_2 || !h)
        return IMA_SIGNATURE_BAD;
    if (alg_len != strlen(h->name) || memcmp(alg, h->name, alg_len) != 0 || digest_len != h->len)
        return IMA_SIGNATURE_BAD;
    if (!verifies((struct ima_key *)(uintptr_t)key, h, s, digest))
        return IMA_SIGNATURE_BAD;
    return h->is_weak || (key->is_rsa && key->bits < RSA_BITS_STRONG) ? IMA_SIGNATURE_WEAK
                                                                      : IMA_SIGNATURE_GOOD;
}
