/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four algorithms of TPM banks are called directly: for the hundred bytes of an entry the way through EVP costs as much
 * as the hashing itself (bench_ima shows both).
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "hash.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

static const struct {
    const char *name, *library;
    uint8_t len;
} ALGS[IMA_ALG_COUNT] = {
    [IMA_SHA1] = {"sha1", "SHA1", 20},       [IMA_SHA256] = {"sha256", "SHA256", 32},
    [IMA_SHA384] = {"sha384", "SHA384", 48}, [IMA_SHA512] = {"sha512", "SHA512", 64},
    [IMA_MD5] = {"md5", "MD5", 16},          [IMA_SHA224] = {"sha224", "SHA224", 28},
    [IMA_SM3] = {"sm3", "SM3", 32},
};

struct ima_hasher {
    const struct ql_host *host;
    EVP_MD_CTX *ctx;
    EVP_MD *md[IMA_ALG_COUNT]; /* NULL: hashed directly, or not offered */
};

int ima_hasher_new(const struct ql_host *host, struct ima_hasher **ret, struct ql_err *err)
{
    struct ima_hasher *h = host->alloc(host, sizeof *h);

    if (!h)
        return host->fail(err, QL_ENOMEM, "ima: no memory");
    *h = (struct ima_hasher){.host = host, .ctx = EVP_MD_CTX_new()};
    if (!h->ctx) {
        ima_hasher_free(h);
        return host->fail(err, QL_ENOMEM, "ima: no memory for a digest");
    }
    for (int alg = IMA_MD5; alg < IMA_ALG_COUNT; alg++)
        h->md[alg] = EVP_MD_fetch(NULL, ALGS[alg].library, NULL); /* a library may lack some */
    *ret = h;
    return QL_OK;
}

void ima_hasher_free(struct ima_hasher *h)
{
    if (!h)
        return;
    for (int alg = 0; alg < IMA_ALG_COUNT; alg++)
        EVP_MD_free(h->md[alg]);
    EVP_MD_CTX_free(h->ctx);
    h->host->free(h->host, h);
}

bool ima_alg_by_name(const uint8_t *name, size_t len, enum ima_alg *ret)
{
    for (int alg = 0; alg < IMA_ALG_COUNT; alg++)
        if (strlen(ALGS[alg].name) == len && memcmp(ALGS[alg].name, name, len) == 0) {
            *ret = (enum ima_alg)alg;
            return true;
        }
    if (len != strlen("sm3_256") || memcmp(name, "sm3_256", len) != 0)
        return false;
    *ret = IMA_SM3;
    return true;
}

const char *ima_alg_name(enum ima_alg alg)
{
    return ALGS[alg].name;
}

size_t ima_alg_len(enum ima_alg alg)
{
    return ALGS[alg].len;
}

static bool through_library(struct ima_hasher *h, enum ima_alg alg, const void *data, size_t len,
                            uint8_t *out)
{
    return h->md[alg] && EVP_DigestInit_ex2(h->ctx, h->md[alg], NULL) == 1 &&
           EVP_DigestUpdate(h->ctx, data, len) == 1 && EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
}

/*
 * The last one or two blocks of a message: its rest, the mark, its length in bits. SHA-1 and SHA-256 end alike.
 * @return blocks
 */
static size_t last_blocks(const uint8_t *rest, size_t rest_len, uint64_t len, uint8_t out[2 * SHA256_CBLOCK])
{
    const size_t count = rest_len < SHA256_CBLOCK - 8 ? 1 : 2, end = count * SHA256_CBLOCK;

    if (rest_len > 0)
        memcpy(out, rest, rest_len);
    out[rest_len] = 0x80;
    memset(out + rest_len + 1, 0, end - 8 - rest_len - 1);
    for (size_t i = 0; i < 8; i++)
        out[end - 1 - i] = (uint8_t)(8 * len >> (8 * i));
    return count;
}

static void put_word(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
}

/* Block by block: without the buffer that the library fills, wipes and asks for its level each time. */
static bool sha1(const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t last[2 * SHA_CBLOCK];
    const size_t whole = len / SHA_CBLOCK,
                 count = last_blocks(data + whole * SHA_CBLOCK, len % SHA_CBLOCK, len, last);
    SHA_CTX c;

    if (!SHA1_Init(&c))
        return false;
    for (size_t i = 0; i < whole; i++)
        SHA1_Transform(&c, data + i * SHA_CBLOCK);
    for (size_t i = 0; i < count; i++)
        SHA1_Transform(&c, last + i * SHA_CBLOCK);
    put_word(out, c.h0);
    put_word(out + 4, c.h1);
    put_word(out + 8, c.h2);
    put_word(out + 12, c.h3);
    put_word(out + 16, c.h4);
    return true;
}

static bool sha256(const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t last[2 * SHA256_CBLOCK];
    const size_t whole = len / SHA256_CBLOCK,
                 count = last_blocks(data + whole * SHA256_CBLOCK, len % SHA256_CBLOCK, len, last);
    SHA256_CTX c;

    if (!SHA256_Init(&c))
        return false;
    for (size_t i = 0; i < whole; i++)
        SHA256_Transform(&c, data + i * SHA256_CBLOCK);
    for (size_t i = 0; i < count; i++)
        SHA256_Transform(&c, last + i * SHA256_CBLOCK);
    for (size_t i = 0; i < 8; i++)
        put_word(out + 4 * i, c.h[i]);
    return true;
}

bool ima_hash(struct ima_hasher *h, enum ima_alg alg, const void *data, size_t len, uint8_t *out)
{
    SHA512_CTX c;

    switch (alg) {
    case IMA_SHA1:
        return sha1(data, len, out);
    case IMA_SHA256:
        return sha256(data, len, out);
    case IMA_SHA384:
        return SHA384_Init(&c) && SHA384_Update(&c, data, len) && SHA384_Final(out, &c);
    case IMA_SHA512:
        return SHA512_Init(&c) && SHA512_Update(&c, data, len) && SHA512_Final(out, &c);
    case IMA_MD5:
    case IMA_SHA224:
    case IMA_SM3:
        return through_library(h, alg, data, len, out);
    case IMA_ALG_COUNT:
        break;
    }
    return false;
}
