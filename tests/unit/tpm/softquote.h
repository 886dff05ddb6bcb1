/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file softquote.h
 * An attestation key in software that signs what it is given in the shape of a TPM's quote: for what no TPM would sign, and
 * for benchmarks.
 */
#pragma once
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "quote.h"
#include "quote_parts.h"

/** A software key and its public area. */
struct soft_ak {
    struct ql_key *key;
    struct ql_tpm_public area;
    uint8_t *blob; /**< TPM2B_PUBLIC */
    size_t blob_len;
};

/** What a quote says; soft_said() fills in the ordinary. */
struct soft_said {
    uint32_t magic;
    uint16_t type;
    const char *nonce;
    struct ql_clock clock;
    enum ql_hash bank;
    uint32_t mask;
    unsigned selections;                      /**< 1; more: empty ones of SHA-1 follow; 0: none */
    unsigned select_len;                      /**< bytes of the selection, 3 */
    uint8_t fourth;                           /**< fourth byte of the selection */
    unsigned digest_more;                     /**< bytes after the right digest */
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX]; /**< in ascending order, packed */
};

#define SOFT_CHECK(cond)                                                                                     \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/** @param curve 0: RSA 2048 with RSASSA, else ECDSA; SHA-256 */
static inline void soft_ak_make(struct soft_ak *ak, unsigned curve)
{
    struct ql_buf area = ql_buf_init(QL_PUBLIC_MAX_LEN), blob = ql_buf_init(QL_PUBLIC_MAX_LEN);
    uint8_t x[512], y[66];
    size_t len;
    uint32_t e;
    enum ql_curve c;

    memset(ak, 0, sizeof *ak);
    if (curve)
        SOFT_CHECK(ql_key_generate_ec((enum ql_curve)curve, &ak->key, NULL) == QL_OK);
    else
        SOFT_CHECK(ql_key_generate_rsa(2048, &ak->key, NULL) == QL_OK);
    (void)ql_buf_add_u16be(&area, curve ? 0x0023 : 0x0001); /* one check at the end */
    (void)ql_buf_add_u16be(&area, QL_SHA256);
    (void)ql_buf_add_u32be(&area, 0x00050072);
    (void)ql_buf_add_u16be(&area, 0);
    (void)ql_buf_add_u16be(&area, 0x0010);
    (void)ql_buf_add_u16be(&area, curve ? QL_ECDSA : QL_RSASSA);
    (void)ql_buf_add_u16be(&area, QL_SHA256);
    if (curve) {
        SOFT_CHECK(ql_key_ec_parts(ak->key, &c, x, y, sizeof y, &len) == QL_OK);
        (void)ql_buf_add_u16be(&area, (uint16_t)curve);
        (void)ql_buf_add_u16be(&area, 0x0010);
        (void)ql_buf_add_tpm2b(&area, x, len);
        (void)ql_buf_add_tpm2b(&area, y, len);
    } else {
        SOFT_CHECK(ql_key_rsa_parts(ak->key, x, sizeof x, &len, &e) == QL_OK);
        (void)ql_buf_add_u16be(&area, 2048);
        (void)ql_buf_add_u32be(&area, 0);
        (void)ql_buf_add_tpm2b(&area, x, len);
    }
    SOFT_CHECK(ql_buf_add_tpm2b(&blob, area.data, area.len) == QL_OK);
    ql_buf_done(&area);
    ak->blob = ql_buf_take(&blob, &ak->blob_len);
    SOFT_CHECK(ql_tpm_public_parse(ak->blob, ak->blob_len, &ak->area, NULL) == QL_OK);
}

static inline void soft_ak_done(struct soft_ak *ak)
{
    ql_key_free(ak->key);
    free(ak->blob);
}

static inline struct soft_said soft_said(const char *nonce, uint32_t mask)
{
    struct soft_said s = {.magic = QL_TPM_MAGIC,
                          .type = QL_TPM_ATTEST_QUOTE,
                          .nonce = nonce,
                          .clock = {.clock = 1000, .reset_count = 2, .restart_count = 1, .safe = true},
                          .bank = QL_SHA256,
                          .mask = mask,
                          .selections = 1,
                          .select_len = 3};

    for (size_t i = 0; i < QL_PCR_COUNT; i++)
        memset(s.pcr[i], (int)i + 1, ql_hash_len(s.bank));
    return s;
}

static inline size_t soft_count(const struct soft_said *s)
{
    return (size_t)__builtin_popcount(s->mask);
}

/** TPMS_ATTEST; the caller frees. */
static inline uint8_t *soft_attest(const struct soft_said *s, size_t *len)
{
    struct ql_buf b = ql_buf_init(QL_ATTEST_MAX_LEN), values = ql_buf_init(QL_PCR_COUNT * QL_DIGEST_MAX);
    uint8_t name[34] = {0, QL_SHA256}, digest[QL_DIGEST_MAX];

    for (size_t i = 0; i < soft_count(s); i++)
        (void)ql_buf_add(&values, s->pcr[i], ql_hash_len(s->bank)); /* checked below */
    SOFT_CHECK(!values.failed && ql_digest_once(s->bank, values.data, values.len, digest) == QL_OK);
    (void)ql_buf_add_u32be(&b, s->magic); /* one check at the end */
    (void)ql_buf_add_u16be(&b, s->type);
    (void)ql_buf_add_tpm2b(&b, name, sizeof name);
    (void)ql_buf_add_tpm2b(&b, s->nonce, strlen(s->nonce));
    (void)ql_buf_add_u64be(&b, s->clock.clock);
    (void)ql_buf_add_u32be(&b, s->clock.reset_count);
    (void)ql_buf_add_u32be(&b, s->clock.restart_count);
    (void)ql_buf_add_u8(&b, s->clock.safe);
    (void)ql_buf_add_u64be(&b, 0x2019102300163636);
    (void)ql_buf_add_u32be(&b, s->selections);
    for (unsigned at = 0; at < s->selections; at++) {
        uint64_t bits = at == 0 ? s->mask | (uint64_t)s->fourth << 24 : 0;

        (void)ql_buf_add_u16be(&b, at == 0 ? (uint16_t)s->bank : QL_SHA1);
        (void)ql_buf_add_u8(&b, (uint8_t)s->select_len);
        for (unsigned i = 0; i < s->select_len; i++)
            (void)ql_buf_add_u8(&b, (uint8_t)(bits >> (8 * i)));
    }
    (void)ql_buf_add_u16be(&b, (uint16_t)(ql_hash_len(s->bank) + s->digest_more));
    (void)ql_buf_add(&b, digest, ql_hash_len(s->bank));
    for (unsigned i = 0; i < s->digest_more; i++)
        (void)ql_buf_add_u8(&b, 0);
    SOFT_CHECK(!b.failed);
    ql_buf_done(&values);
    return ql_buf_take(&b, len);
}

/** TPMS_ATTEST of a TPM2_Certify for an object; the caller frees. */
static inline uint8_t *soft_certified(const struct soft_said *s, const struct ql_tpm_public *object,
                                      size_t *len)
{
    struct ql_buf b = ql_buf_init(QL_ATTEST_MAX_LEN);
    uint8_t name[34] = {0, QL_SHA256};

    (void)ql_buf_add_u32be(&b, s->magic); /* one check at the end */
    (void)ql_buf_add_u16be(&b, s->type);
    (void)ql_buf_add_tpm2b(&b, name, sizeof name);
    (void)ql_buf_add_tpm2b(&b, s->nonce, strlen(s->nonce));
    (void)ql_buf_add_u64be(&b, 1);
    (void)ql_buf_add_u64be(&b, 2);
    (void)ql_buf_add_u8(&b, 1);
    (void)ql_buf_add_u64be(&b, 3);
    (void)ql_buf_add_tpm2b(&b, object->name, object->name_len);
    (void)ql_buf_add_tpm2b(&b, name, sizeof name);
    SOFT_CHECK(!b.failed);
    return ql_buf_take(&b, len);
}

/** TPMT_SIGNATURE over bytes; the caller frees. */
static inline uint8_t *soft_sign(const struct soft_ak *ak, const uint8_t *data, size_t data_len, size_t *len)
{
    struct ql_buf b = ql_buf_init(QL_SIGNATURE_MAX_LEN);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t sig[600], r[66], s[66];
    size_t sig_len = sizeof sig;

    SOFT_CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ql_key_native(ak->key)) == 1);
    SOFT_CHECK(EVP_DigestSign(ctx, sig, &sig_len, data, data_len) == 1);
    EVP_MD_CTX_free(ctx);
    (void)ql_buf_add_u16be(&b, ak->area.is_rsa ? QL_RSASSA : QL_ECDSA); /* one check at the end */
    (void)ql_buf_add_u16be(&b, QL_SHA256);
    if (ak->area.is_rsa) {
        (void)ql_buf_add_tpm2b(&b, sig, sig_len);
    } else {
        const uint8_t *at = sig;
        ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)sig_len);
        int r_len = BN_bn2bin(ECDSA_SIG_get0_r(parts), r), s_len = BN_bn2bin(ECDSA_SIG_get0_s(parts), s);

        (void)ql_buf_add_tpm2b(&b, r, (size_t)r_len);
        (void)ql_buf_add_tpm2b(&b, s, (size_t)s_len);
        ECDSA_SIG_free(parts);
    }
    SOFT_CHECK(!b.failed);
    return ql_buf_take(&b, len);
}

/** The wire text; the caller frees. */
static inline char *soft_quote(const struct soft_ak *ak, const struct soft_said *s)
{
    size_t attest_len, sig_len;
    uint8_t *attest = soft_attest(s, &attest_len), *sig = soft_sign(ak, attest, attest_len, &sig_len);
    char *text = NULL;

    SOFT_CHECK(ql_quote_encode(attest, attest_len, sig, sig_len, s->bank, s->mask, s->pcr, soft_count(s),
                               &text, NULL) == QL_OK);
    free(attest);
    free(sig);
    return text;
}
