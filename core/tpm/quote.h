/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file quote.h
 * Checking a quote (spec/agent.md 4). The order of checks is fixed: bounds, strict base64, structure, algorithms, scheme
 * fits key, hash = bank, signature, magic and type, nonce, selections equal, digests, clock, data PCR.
 *
 * PCR numbers and bank come from the signed selection alone. There is one way to pass: every check returns QL_OK.
 */
#pragma once
#include "algs.h"
#include "public.h"

enum {
    QL_PCR_COUNT = 24, /**< PC Client profile: PCR 0..23 */
    QL_DATA_PCR = 16,  /**< binds the payload key */
    QL_IMA_PCR = 10,
    QL_QUOTE_MAX_LEN = 16 * 1024, /**< characters of the wire text: 1,732 bytes of PCRs in base64 and room */
    QL_NONCE_MAX_LEN = 64         /**< bytes, as the agent limits it */
};

/** TPM clock as quoted. */
struct ql_clock {
    uint64_t clock; /**< ms */
    uint32_t reset_count, restart_count;
    bool safe;
};

/** Which check failed; decides the event id (spec/server.md 4). */
enum ql_quote_stage {
    QL_STAGE_NONE = 0, /**< nothing failed */
    QL_STAGE_FORMAT,   /**< wire text, base64 */
    QL_STAGE_PCR_BLOB,
    QL_STAGE_ATTEST,   /**< TPMS_ATTEST or TPMT_SIGNATURE structure */
    QL_STAGE_HASH_ALG, /**< not accepted, unknown, or not that of the signature */
    QL_STAGE_ENC_ALG,
    QL_STAGE_SIGN_ALG,
    QL_STAGE_SIGNATURE,
    QL_STAGE_MAGIC,
    QL_STAGE_NONCE,
    QL_STAGE_SELECTION, /**< signed and sent PCR selections differ, or extra PCRs */
    QL_STAGE_PCR_DIGEST,
    QL_STAGE_CLOCK,
    QL_STAGE_DATA_PCR_MISSING,
    QL_STAGE_DATA_PCR,   /**< PCR 16 does not bind the key */
    QL_STAGE_PCR_MISSING /**< a PCR that the mask asks for is not in the quote */
};

/** What the checker is told. All borrowed. */
struct ql_quote_in {
    const struct ql_key *ak_key; /**< imported once, kept by the caller */
    const struct ql_tpm_public *ak;
    struct ql_digester *digester;
    const char *quote; /**< wire text */
    size_t quote_len;
    const char *hash_alg, *enc_alg,
        *sign_alg; /**< as the answer claims, NUL-ended; enc and sign may be NULL where */
                   /**< the caller has none (one-shot calls) */
    const struct ql_accept *accept;
    const uint8_t *nonce; /**< expected qualifying data, exact bytes, never empty */
    size_t nonce_len;
    uint32_t mask;      /**< PCRs that must be quoted (PCR 16 only if set here) */
    bool exact_mask;    /**< extra PCRs beyond mask are refused (polling); false in one-shot calls */
    const char *pubkey; /**< payload key text that PCR 16 must bind; NULL: not checked */
    size_t pubkey_len;
    const struct ql_clock *previous; /**< of the last pass; NULL: first quote */
    bool any_clock;                  /**< the clock is not judged (identity checks only) */
};

/** What is proven by a quote that passed. */
struct ql_quote {
    enum ql_hash bank;
    uint32_t mask;                            /**< PCRs quoted */
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX]; /**< digest size of the bank each */
    struct ql_clock clock;
    uint64_t firmware_version;
    bool rebooted; /**< reset count rose since `previous` */
};

/**
 * Check a quote.
 * @param[out] ret    written only on QL_OK
 * @param[out] stage  QL_STAGE_NONE on QL_OK; else the check that failed
 * @param[out] missing  with QL_STAGE_PCR_MISSING: the PCRs asked for and not quoted; may be NULL
 * @retval QL_OK every check passed @return any other value: the quote proves nothing
 */
int ql_quote_check(const struct ql_quote_in *in, struct ql_quote *ret, enum ql_quote_stage *stage,
                   uint32_t *missing, struct ql_err *err);
/** Lower-case word for a stage ("signature"); static. */
const char *ql_quote_stage_name(enum ql_quote_stage stage);

/** Agent side: build the wire text from a TPM's answer. @param pcr values in ascending order, @p pcr_count of them */
int ql_quote_encode(const uint8_t *attest, size_t attest_len, const uint8_t *signature, size_t signature_len,
                    enum ql_hash bank, uint32_t mask, const uint8_t (*pcr)[QL_DIGEST_MAX], size_t pcr_count,
                    char **ret, struct ql_err *err);
