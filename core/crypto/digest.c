/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "digest.h"
#include "error.h"

static const struct {
    enum ql_hash alg;
    size_t len;
    const char *name, *openssl;
} hashes[] = {
    {QL_SHA1, 20, "sha1", "SHA1"},
    {QL_SHA256, 32, "sha256", "SHA256"},
    {QL_SHA384, 48, "sha384", "SHA384"},
    {QL_SHA512, 64, "sha512", "SHA512"},
};

struct ql_digester {
    EVP_MD *md[QL_ARRAY_LEN(hashes)]; /* fetched once: a fetch costs more than a short hash */
    EVP_MD_CTX *ctx;
};

static int find(unsigned alg)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(hashes); i++)
        if (hashes[i].alg == alg)
            return (int)i;
    return -1;
}

size_t ql_hash_len(unsigned alg)
{
    int i = find(alg);

    return i < 0 ? 0 : hashes[i].len;
}

const char *ql_hash_name(unsigned alg)
{
    int i = find(alg);

    return i < 0 ? NULL : hashes[i].name;
}

int ql_hash_by_name(const char *name, size_t len, enum ql_hash *ret)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(hashes); i++)
        if (strlen(hashes[i].name) == len && memcmp(hashes[i].name, name, len) == 0) {
            *ret = hashes[i].alg;
            return QL_OK;
        }
    return QL_ENOTFOUND;
}

int ql_digester_new(struct ql_digester **ret, struct ql_err *err)
{
    ql_auto(ql_digester_freep) struct ql_digester *d = calloc(1, sizeof *d);

    if (!d || !(d->ctx = EVP_MD_CTX_new()))
        return ql_fail_nomem(err);
    for (size_t i = 0; i < QL_ARRAY_LEN(hashes); i++) {
        d->md[i] = EVP_MD_fetch(NULL, hashes[i].openssl, NULL);
        if (!d->md[i])
            return ql_fail(err, QL_ECRYPTO, "OpenSSL does not offer %s", hashes[i].name);
    }
    *ret = ql_steal(d);
    return QL_OK;
}

void ql_digester_free(struct ql_digester *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < QL_ARRAY_LEN(hashes); i++)
        EVP_MD_free(d->md[i]);
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

int ql_digest(struct ql_digester *d, enum ql_hash alg, const struct ql_piece *pieces, size_t count,
              uint8_t *out)
{
    int i = find(alg);

    if (i < 0 || EVP_DigestInit_ex2(d->ctx, d->md[i], NULL) != 1)
        return QL_ECRYPTO;
    for (size_t n = 0; n < count; n++)
        if (EVP_DigestUpdate(d->ctx, pieces[n].data, pieces[n].len) != 1)
            return QL_ECRYPTO;
    return EVP_DigestFinal_ex(d->ctx, out, NULL) == 1 ? QL_OK : QL_ECRYPTO;
}

int ql_digest_once(enum ql_hash alg, const void *data, size_t len, uint8_t *out)
{
    int i = find(alg);
    size_t got = 0;

    if (i < 0 || EVP_Q_digest(NULL, hashes[i].openssl, NULL, data, len, out, &got) != 1 ||
        got != hashes[i].len)
        return QL_ECRYPTO;
    return QL_OK;
}

static int hmac_pieces(EVP_MAC_CTX *ctx, const char *digest, const void *key, size_t key_len,
                       const struct ql_piece *pieces, size_t count, uint8_t *out, size_t out_len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t got = 0;

    if (EVP_MAC_init(ctx, key, key_len, params) != 1)
        return QL_ECRYPTO;
    for (size_t n = 0; n < count; n++)
        if (EVP_MAC_update(ctx, pieces[n].data, pieces[n].len) != 1)
            return QL_ECRYPTO;
    return EVP_MAC_final(ctx, out, &got, out_len) == 1 && got == out_len ? QL_OK : QL_ECRYPTO;
}

int ql_hmac(enum ql_hash alg, const void *key, size_t key_len, const struct ql_piece *pieces, size_t count,
            uint8_t *out)
{
    int i = find(alg), r;
    EVP_MAC *mac;
    EVP_MAC_CTX *ctx;

    if (i < 0)
        return QL_ECRYPTO;
    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    r = ctx ? hmac_pieces(ctx, hashes[i].openssl, key, key_len, pieces, count, out, hashes[i].len)
            : QL_ECRYPTO;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return r;
}

void ql_random(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        size_t piece = len > 4096 ? 4096 : len;

        if (RAND_bytes(at, (int)piece) != 1)
            abort(); /* no key, nonce or challenge may be made without */
        at += piece;
        len -= piece;
    }
}

void ql_random_alnum(char *out, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    enum {
        SYMBOLS = sizeof alphabet - 1,
        FAIR = 256 / SYMBOLS * SYMBOLS
    };
    uint8_t bytes[64];
    size_t at = 0;

    while (at < len) {
        ql_random(bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes && at < len; i++)
            if (bytes[i] < FAIR) /* beyond, the first symbols would be likelier */
                out[at++] = alphabet[bytes[i] % SYMBOLS];
    }
    out[len] = '\0';
}
