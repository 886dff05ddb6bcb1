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

bool ima_hash(struct ima_hasher *h, enum ima_alg alg, const void *data, size_t len, uint8_t *out)
{
    union {
        SHA_CTX sha1;
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } c;

    switch (alg) {
    case IMA_SHA1:
        return SHA1_Init(&c.sha1) && SHA1_Update(&c.sha1, data, len) && SHA1_Final(out, &c.sha1);
    case IMA_SHA256:
        return SHA256_Init(&c.sha256) && SHA256_Update(&c.sha256, data, len) && SHA256_Final(out, &c.sha256);
    case IMA_SHA384:
        return SHA384_Init(&c.sha512) && SHA384_Update(&c.sha512, data, len) && SHA384_Final(out, &c.sha512);
    case IMA_SHA512:
        return SHA512_Init(&c.sha512) && SHA512_Update(&c.sha512, data, len) && SHA512_Final(out, &c.sha512);
    case IMA_MD5:
    case IMA_SHA224:
    case IMA_SM3:
        return through_library(h, alg, data, len, out);
    case IMA_ALG_COUNT:
        break;
    }
    return false;
}
