/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file quote_parts.h
 * The three structures inside a quote, read from foreign bytes: TPMS_ATTEST, TPMT_SIGNATURE, PCR blob. Internal to tpm;
 * exposed for certify.c, tests and fuzz targets. All views borrow from the source.
 */
#pragma once
#include "quote.h"
#include "reader.h"

enum {
    QL_ATTEST_MAX_LEN = 512,    /**< bytes of TPMS_ATTEST: a SHA-512 name, nonce and digest take 290 */
    QL_SIGNATURE_MAX_LEN = 640, /**< bytes of TPMT_SIGNATURE: RSA 4096 takes 518 */
    QL_PCR_BLOB_BASE = 136,     /**< bytes before the values, and 532 for each eight of them */
    QL_PCR_BLOB_LIST = 532,
    QL_PCR_BLOB_MAX_LEN = QL_PCR_BLOB_BASE + 3 * QL_PCR_BLOB_LIST
};

#define QL_TPM_MAGIC          UINT32_C(0xff544347) /**< TPM_GENERATED_VALUE */
#define QL_TPM_ATTEST_QUOTE   UINT16_C(0x8018)
#define QL_TPM_ATTEST_CERTIFY UINT16_C(0x8017)

/** Head that all TPMS_ATTEST share (part 2, table 125), without clock and type-specific part. */
struct ql_attest_head {
    uint32_t magic;
    uint16_t type;
    const uint8_t *extra;
    size_t extra_len;
    struct ql_clock clock;
    uint64_t firmware_version;
};
/** Read the head; the type-specific part is left in @p r. @retval QL_EPARSE */
int ql_attest_head_read(struct ql_reader *r, struct ql_attest_head *ret, struct ql_err *err);

/** A quote's TPMS_ATTEST. */
struct ql_attest_quote {
    struct ql_attest_head head;
    uint32_t selection_count; /**< entries of the signed selection */
    unsigned bank;            /**< of the first entry */
    uint32_t mask;            /**< PCRs of the first entry; bits above 23 are refused while reading */
    const uint8_t *digest;
    size_t digest_len;
};
/** All bytes must be used. @retval QL_EPARSE */
int ql_attest_quote_read(const uint8_t *data, size_t len, struct ql_attest_quote *ret, struct ql_err *err);

/** TPMT_SIGNATURE of the schemes that AKs may have. */
struct ql_signature {
    unsigned scheme, hash; /**< TPM_ALG_ID */
    const uint8_t *r, *s;  /**< RSA: the signature and NULL; ECC: r and s */
    size_t r_len, s_len;
};
/** All bytes must be used. @retval QL_EPARSE @retval QL_EUNSUPPORTED scheme */
int ql_signature_read(const uint8_t *data, size_t len, struct ql_signature *ret, struct ql_err *err);

/** The PCR blob: little-endian, one bank (spec/agent.md 4.4). */
struct ql_pcr_blob {
    unsigned bank;
    uint32_t mask;
    size_t value_len;                    /**< digest size of the bank */
    const uint8_t *values[QL_PCR_COUNT]; /**< in ascending PCR order */
    size_t count;
};
/** Everything must be as tpm2-tools writes it: sizes, counts, zero padding. @retval QL_EPARSE */
int ql_pcr_blob_read(const uint8_t *data, size_t len, struct ql_pcr_blob *ret, struct ql_err *err);
