/* SPDX-License-Identifier: Apache-2.0 */
/** @file softquote.h  Quotes signed by a key in memory: every field as a test wants it. */
#pragma once
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "buf.h"
#include "judge.h"
#include "key.h"

struct soft {
    EVP_PKEY *pkey;
    struct ql_key *key;
    bool rsa;
    uint8_t *ak; /* TPM2B_PUBLIC */
    size_t ak_len;
    char *nk_pem;                             /* a payload key */
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX]; /* SHA-256 bank */
    struct ql_clock clock;
};

static inline void soft_public(struct soft *s)
{
    struct ql_buf b = ql_buf_init(QL_PUBLIC_MAX_LEN), whole = ql_buf_init(QL_PUBLIC_MAX_LEN);
    uint8_t x[512], y[66];
    size_t len = 0;
    uint32_t e = 0;
    enum ql_curve curve;

    ql_buf_add_u16be(&b, s->rsa ? 0x0001 : 0x0023);
    ql_buf_add_u16be(&b, QL_SHA256);
    ql_buf_add_u32be(&b, 0x00050072);
    ql_buf_add_u16be(&b, 0);
    ql_buf_add_u16be(&b, 0x0010);
    ql_buf_add_u16be(&b, s->rsa ? QL_RSASSA : QL_ECDSA);
    ql_buf_add_u16be(&b, QL_SHA256);
    if (s->rsa) {
        assert_int_equal(ql_key_rsa_parts(s->key, x, sizeof x, &len, &e), QL_OK);
        ql_buf_add_u16be(&b, 2048);
        ql_buf_add_u32be(&b, 0);
        ql_buf_add_tpm2b(&b, x, len);
    } else {
        assert_int_equal(ql_key_ec_parts(s->key, &curve, x, y, sizeof y, &len), QL_OK);
        ql_buf_add_u16be(&b, QL_P256);
        ql_buf_add_u16be(&b, 0x0010);
        ql_buf_add_tpm2b(&b, x, len);
        ql_buf_add_tpm2b(&b, y, len);
    }
    ql_buf_add_tpm2b(&whole, b.data, b.len);
    s->ak = ql_buf_take(&whole, &s->ak_len);
    ql_buf_done(&b);
}

/* Making an RSA key takes as long as all the rest of a test: one payload key serves them all. */
static inline char *soft_nk_pem(void)
{
    static char *pem;
    struct ql_key *nk = NULL;

    if (!pem) {
        assert_int_equal(ql_key_generate_rsa(2048, &nk, NULL), QL_OK);
        pem = ql_key_public_pem(nk);
        ql_key_free(nk);
    }
    return strdup(pem);
}

static inline void soft_new(struct soft *s, bool rsa)
{
    *s = (struct soft){.rsa = rsa, .clock = {.clock = 1000, .reset_count = 1, .safe = true}};
    assert_int_equal(
        rsa ? ql_key_generate_rsa(2048, &s->key, NULL) : ql_key_generate_ec(QL_P256, &s->key, NULL), QL_OK);
    s->pkey = ql_key_native(s->key);
    soft_public(s);
    s->nk_pem = soft_nk_pem();
}

static inline void soft_done(struct soft *s)
{
    ql_key_free(s->key);
    free(s->ak);
    free(s->nk_pem);
}

static inline void soft_sign(const struct soft *s, const struct ql_buf *attest, struct ql_buf *signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[512];
    size_t len = sizeof der;

    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, attest->data, attest->len), 1);
    EVP_MD_CTX_free(ctx);
    ql_buf_add_u16be(signature, s->rsa ? QL_RSASSA : QL_ECDSA);
    ql_buf_add_u16be(signature, QL_SHA256);
    if (s->rsa) {
        ql_buf_add_tpm2b(signature, der, len);
    } else {
        const uint8_t *at = der;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
        uint8_t number[32];

        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), number, 32), 32);
        ql_buf_add_tpm2b(signature, number, 32);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), number, 32), 32);
        ql_buf_add_tpm2b(signature, number, 32);
        ECDSA_SIG_free(sig);
    }
}

/** Wire text of a quote of `mask` (PCR 16 binds nk_pem when it is in it); caller frees. */
static inline char *soft_quote(struct soft *s, const void *nonce, size_t nonce_len, uint32_t mask)
{
    struct ql_buf attest = ql_buf_init(4096), signature = ql_buf_init(4096), values = ql_buf_init(4096);
    uint8_t data[64] = {0}, digest[32], name[34] = {0}, pcr[QL_PCR_COUNT][QL_DIGEST_MAX];
    size_t count = 0;
    char *wire = NULL;

    assert_int_equal(ql_digest_once(QL_SHA256, s->nk_pem, strlen(s->nk_pem), data + 32), QL_OK);
    assert_int_equal(ql_digest_once(QL_SHA256, data, 64, s->pcr[16]), QL_OK);
    for (unsigned i = 0; i < QL_PCR_COUNT; i++)
        if (mask & (1u << i)) {
            memcpy(pcr[count++], s->pcr[i], QL_DIGEST_MAX);
            ql_buf_add(&values, s->pcr[i], 32);
        }
    assert_int_equal(
        ql_digest_once(QL_SHA256, values.len ? values.data : (const uint8_t *)"", values.len, digest), QL_OK);
    ql_buf_add_u32be(&attest, 0xff544347);
    ql_buf_add_u16be(&attest, 0x8018);
    ql_buf_add_tpm2b(&attest, name, sizeof name);
    ql_buf_add_tpm2b(&attest, nonce, nonce_len);
    ql_buf_add_u64be(&attest, s->clock.clock);
    ql_buf_add_u32be(&attest, s->clock.reset_count);
    ql_buf_add_u32be(&attest, s->clock.restart_count);
    ql_buf_add_u8(&attest, s->clock.safe ? 1 : 0);
    ql_buf_add_u64be(&attest, 0x20200101);
    ql_buf_add_u32be(&attest, 1);
    ql_buf_add_u16be(&attest, QL_SHA256);
    ql_buf_add_u8(&attest, 3);
    for (int i = 0; i < 3; i++)
        ql_buf_add_u8(&attest, (uint8_t)(mask >> (8 * i)));
    ql_buf_add_tpm2b(&attest, digest, sizeof digest);
    soft_sign(s, &attest, &signature);
    assert_int_equal(ql_quote_encode(attest.data, attest.len, signature.data, signature.len, QL_SHA256, mask,
                                     (const uint8_t(*)[QL_DIGEST_MAX])pcr, count, &wire, NULL),
                     QL_OK);
    ql_buf_done(&attest);
    ql_buf_done(&signature);
    ql_buf_done(&values);
    return wire;
}

/** Results object with a quote, to which a test adds what else it wants. */
static inline json_t *soft_answer(struct soft *s, const void *nonce, size_t nonce_len, uint32_t mask)
{
    char *quote = soft_quote(s, nonce, nonce_len, mask);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "quote", quote, "hash_alg", "sha256", "enc_alg",
                  s->rsa ? "rsa" : "ecc", "sign_alg", s->rsa ? "rsassa" : "ecdsa", "pubkey", s->nk_pem);

    free(quote);
    return j;
}
