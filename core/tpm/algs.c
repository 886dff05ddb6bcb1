/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "algs.h"
#include "error.h"

/** One name; several names with one bit are the same algorithm. */
struct alg_name {
    const char *name;
    uint32_t bit;
};

static const struct alg_name hash_names[] = {
    {"sha1", 1}, {"sha256", 2}, {"sha384", 4}, {"sha512", 8}, {"sm3_256", 16}, {NULL, 0},
};
static const struct alg_name enc_names[] = {
    {"rsa", 1},      {"rsa2048", 1},   {"rsa3072", 2}, {"rsa4096", 4},  {"ecc", 8},
    {"ecc256", 8},   {"ecc384", 16},   {"ecc521", 32}, {"rsa1024", 64}, {"ecc192", 128},
    {"ecc224", 256}, {"ecc_sm2", 512}, {NULL, 0},
};
static const struct alg_name sign_names[] = {
    {"rsassa", 1}, {"rsapss", 2}, {"ecdsa", 4}, {"ecschnorr", 8}, {"ecdaa", 16}, {"sm2", 32}, {NULL, 0},
};

static uint32_t bit_of(const struct alg_name *names, const char *name, size_t len)
{
    for (; names->name; names++)
        if (strlen(names->name) == len && memcmp(names->name, name, len) == 0)
            return names->bit;
    return 0;
}

static int add(const struct alg_name *names, const char *name, uint32_t *set)
{
    uint32_t bit = bit_of(names, name, strlen(name));

    *set |= bit;
    return bit ? QL_OK : QL_ENOTFOUND;
}

int ql_accept_hash(struct ql_accept *a, const char *name)
{
    return add(hash_names, name, &a->hash);
}

int ql_accept_enc(struct ql_accept *a, const char *name)
{
    return add(enc_names, name, &a->enc);
}

int ql_accept_sign(struct ql_accept *a, const char *name)
{
    return add(sign_names, name, &a->sign);
}

static int from_list(const json_t *list, const struct alg_name *names, const char *what, uint32_t *set,
                     struct ql_err *err)
{
    if (!json_is_array(list))
        return ql_fail(err, QL_EPARSE, "%s is not a list", what);
    *set = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name)
            return ql_fail(err, QL_EPARSE, "%s: item %zu is not text", what, i);
        (void)add(names, name, set); /* an unknown name accepts nothing */
    }
    return QL_OK;
}

int ql_accept_from_json(const json_t *hash, const json_t *enc, const json_t *sign, struct ql_accept *ret,
                        struct ql_err *err)
{
    /* sha512, sha384, sha256; ecc, rsa; ecschnorr, rsassa and ecdsa */
    struct ql_accept a = {.hash = 2 | 4 | 8, .enc = 1 | 8, .sign = 1 | 4 | 8};
    int r = QL_OK;

    if (hash)
        r = from_list(hash, hash_names, "accept_tpm_hash_algs", &a.hash, err);
    if (r == QL_OK && enc)
        r = from_list(enc, enc_names, "accept_tpm_encryption_algs", &a.enc, err);
    if (r == QL_OK && sign)
        r = from_list(sign, sign_names, "accept_tpm_signing_algs", &a.sign, err);
    if (r == QL_OK)
        *ret = a;
    return r;
}

bool ql_accepts_hash(const struct ql_accept *a, const char *name, size_t len)
{
    return (a->hash & bit_of(hash_names, name, len)) != 0;
}

bool ql_accepts_enc(const struct ql_accept *a, const char *name, size_t len)
{
    return (a->enc & bit_of(enc_names, name, len)) != 0;
}

bool ql_accepts_sign(const struct ql_accept *a, const char *name, size_t len)
{
    return (a->sign & bit_of(sign_names, name, len)) != 0;
}

bool ql_same_enc(const char *a, const char *b)
{
    uint32_t bit = bit_of(enc_names, a, strlen(a));

    return bit != 0 && bit == bit_of(enc_names, b, strlen(b));
}
