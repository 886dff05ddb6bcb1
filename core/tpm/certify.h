/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file certify.h
 * IAK and IDevID: the AK certified by the IAK (TPM2_Certify, spec/agent.md 2.5), and the key templates.
 */
#pragma once
#include "public.h"

/**
 * Check a TPM2_Certify result.
 * @param attest     TPMS_ATTEST bytes @param signature TPMT_SIGNATURE bytes
 * @param agent_id   qualifying data is its SHA-256 or (older agents) its bytes
 * @retval QL_ECRYPTO signature, name or qualifying data wrong @retval QL_EPARSE structure
 */
int ql_certify_check(const struct ql_tpm_public *iak, const struct ql_tpm_public *ak, const uint8_t *attest,
                     size_t attest_len, const uint8_t *signature, size_t signature_len, const char *agent_id,
                     struct ql_err *err);
