/* SPDX-License-Identifier: Apache-2.0 */
#include "hasher.h"

#include <openssl/evp.h>

/** Algorithms of TPM 2.0, with the library's names. */
static const struct row {
    uint16_t alg;
    uint8_t digest_len;
    bool is_bank;
    const char *name, *fetch;
} ROWS[] = {
    {MB_ALG_SHA1, 20, true, "sha1", "SHA1"},        {MB_ALG_SHA256, 32, true, "sha256", "SHA256"},
    {MB_ALG_SHA384, 48, true, "sha384", "SHA384"},  {MB_ALG_SHA512, 64, true, "sha512", "SHA512"},
    {MB_ALG_SM3_256, 32, true, "sm3_256", "SM3"},   {MB_ALG_SHA3_256, 32, false, "sha3_256", NULL},
    {MB_ALG_SHA3_384, 48, false, "sha3_384", NULL}, {MB_ALG_SHA3_512, 64, false, "sha3_512", NULL},
};

enum {
    ROW_COUNT = sizeof ROWS / sizeof ROWS[0]
};

struct mb_hasher {
    const struct ql_host *host;
    EVP_MD *md[ROW_COUNT]; /* NULL: the library has none */
    EVP_MD_CTX
    *ctx[ROW_COUNT]; /* one each: switching a context to another hash costs more than a short digest */
};

static const struct row *find(uint16_t alg)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (ROWS[i].alg == alg)
            return &ROWS[i];
    return NULL;
}

size_t mb_alg_digest_len(uint16_t alg)
{
    const struct row *row = find(alg);

    return row ? row->digest_len : 0;
}

const char *mb_alg_name(uint16_t alg)
{
    const struct row *row = find(alg);

    return row ? row->name : NULL;
}

bool mb_alg_is_bank(uint16_t alg)
{
    const struct row *row = find(alg);

    return row && row->is_bank;
}

int mb_hasher_new(const struct ql_host *host, struct mb_hasher **ret, struct ql_err *err)
{
    struct mb_hasher *h = host->alloc(host, sizeof *h);

    if (!h)
        return host->fail(err, QL_ENOMEM, "out of memory");
    *h = (struct mb_hasher){.host = host};
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!ROWS[i].fetch)
            continue;
        h->md[i] = EVP_MD_fetch(NULL, ROWS[i].fetch, NULL);
        h->ctx[i] = h->md[i] ? EVP_MD_CTX_new() : NULL;
        if (h->md[i] && !h->ctx[i]) {
            mb_hasher_free(h);
            return host->fail(err, QL_ENOMEM, "out of memory");
        }
    }
    if (!h->md[find(MB_ALG_SHA256) - ROWS]) {
        mb_hasher_free(h);
        return host->fail(err, QL_ECRYPTO, "the crypto library has no SHA-256");
    }
    *ret = h;
    return QL_OK;
}

void mb_hasher_free(struct mb_hasher *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        EVP_MD_CTX_free(h->ctx[i]);
        EVP_MD_free(h->md[i]);
    }
    h->host->free(h->host, h);
}

int mb_hash(struct mb_hasher *h, uint16_t alg, const void *a, size_t a_len, const void *b, size_t b_len,
            uint8_t *out)
{
    const struct row *row = find(alg);
    EVP_MD_CTX *ctx = row ? h->ctx[row - ROWS] : NULL;

    if (!ctx)
        return QL_EUNSUPPORTED;
    if (EVP_DigestInit_ex2(ctx, h->md[row - ROWS], NULL) != 1 ||
        (a_len > 0 && EVP_DigestUpdate(ctx, a, a_len) != 1) ||
        (b_len > 0 && EVP_DigestUpdate(ctx, b, b_len) != 1) || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return QL_ECRYPTO;
    return QL_OK;
}
