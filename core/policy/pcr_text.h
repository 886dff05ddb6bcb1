/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pcr_text.h
 * PCR values as `tpm2_pcrread` prints them: a line "  sha256:" for each bank, then "    0 : 0x…" for each PCR.
 *
 * Layer: policy. Pure.
 */
#pragma once
#include "digest.h"

enum {
    QL_PCR_TEXT_MAX = 64 * 1024, /**< bytes; five banks of 24 PCRs have 12 KiB */
    QL_PCR_TEXT_PCRS = 24
};

/** Values of one bank. */
struct ql_pcr_values {
    size_t digest_len;
    uint32_t present; /**< bit n: PCR n is there */
    uint8_t value[QL_PCR_TEXT_PCRS][QL_DIGEST_MAX];
};

/**
 * Read one bank; others are passed over.
 * @param bank "sha256" and so on
 * @param[out] ret untouched on failure
 * @retval QL_EPARSE names the line: it is neither a bank nor a PCR with its value, or a PCR comes twice
 * @retval QL_ENOTFOUND no such bank @retval QL_ELIMIT length
 */
int ql_pcr_text_read(const char *text, size_t len, const char *bank, struct ql_pcr_values *ret,
                     struct ql_err *err);
