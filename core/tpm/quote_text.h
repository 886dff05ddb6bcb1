/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file quote_text.h
 * The wire text of a quote, "r" and three segments of base64 between colons (spec/agent.md 4.1), taken apart into fixed
 * buffers. Internal to tpm; exposed for tests.
 */
#pragma once
#include "quote_parts.h"

/** The three structures' bytes. */
struct ql_quote_text {
    size_t attest_len, signature_len, blob_len;
    uint8_t attest[QL_ATTEST_MAX_LEN], signature[QL_SIGNATURE_MAX_LEN], blob[QL_PCR_BLOB_MAX_LEN];
};
/** One pass over @p text. @retval QL_EPARSE not that form, or not strict base64 @retval QL_ELIMIT a part is too long */
int ql_quote_text_read(const char *text, size_t len, struct ql_quote_text *ret, struct ql_err *err);
