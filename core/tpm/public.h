/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file public.h
 * Public areas of TPM keys: reading TPM2B_PUBLIC, its name, the rules for AKs and EKs (spec/agent.md 2.6, 2.7).
 * Source: TPM 2.0 Library part 2, 12.2.4 (TPMT_PUBLIC).
 */
#pragma once
#include "key.h"

enum {
    QL_PUBLIC_MAX_LEN = 2048, /**< bytes of a TPM2B_PUBLIC: RSA 4096 takes 560 */
    QL_NAME_MAX_LEN = 2 + QL_DIGEST_MAX
};

/** Object attributes (part 2, table 31). */
#define QL_ATTR_FIXED_TPM             UINT32_C(0x00000002)
#define QL_ATTR_ST_CLEAR              UINT32_C(0x00000004)
#define QL_ATTR_FIXED_PARENT          UINT32_C(0x00000010)
#define QL_ATTR_SENSITIVE_DATA_ORIGIN UINT32_C(0x00000020)
#define QL_ATTR_USER_WITH_AUTH        UINT32_C(0x00000040)
#define QL_ATTR_ADMIN_WITH_POLICY     UINT32_C(0x00000080)
#define QL_ATTR_NO_DA                 UINT32_C(0x00000400)
#define QL_ATTR_ENCRYPTED_DUPLICATION UINT32_C(0x00000800)
#define QL_ATTR_RESTRICTED            UINT32_C(0x00010000)
#define QL_ATTR_DECRYPT               UINT32_C(0x00020000)
#define QL_ATTR_SIGN                  UINT32_C(0x00040000)

/** A public area, decoded. Plain data, no pointers into the source. */
struct ql_tpm_public {
    bool is_rsa;         /**< else ECC */
    unsigned rsa_bits;   /**< RSA */
    enum ql_curve curve; /**< ECC */
    enum ql_hash name_alg;
    uint32_t attributes;
    unsigned scheme;      /**< TPM_ALG_ID, 0x0010 (NULL) for none */
    unsigned scheme_hash; /**< TPM_ALG_ID; 0 without scheme */
    unsigned symmetric;   /**< TPM_ALG_ID, 0x0010 for none */
    unsigned symmetric_bits, symmetric_mode;
    uint32_t exponent;   /**< RSA, 0 means 65537 */
    size_t x_len, y_len; /**< RSA: x is the modulus, y empty */
    uint8_t x[512], y[66];
    size_t name_len;
    uint8_t name[QL_NAME_MAX_LEN]; /**< nameAlg || digest of TPMT_PUBLIC */
};

/** Decode a TPM2B_PUBLIC; all bytes must be used. @retval QL_EPARSE @retval QL_EUNSUPPORTED algorithm */
int ql_tpm_public_parse(const uint8_t *data, size_t len, struct ql_tpm_public *ret, struct ql_err *err);
/** From text: base64, or hex with optional 0x (spec/agent.md 2.2). @param[out] ret_raw bytes, caller frees; may be NULL */
int ql_tpm_public_from_text(const char *text, size_t len, struct ql_tpm_public *ret, uint8_t **ret_raw,
                            size_t *ret_raw_len, struct ql_err *err);
/** The rules for an attestation key. @retval QL_ERANGE with the rule that fails */
int ql_tpm_check_ak(const struct ql_tpm_public *p, struct ql_err *err);
/** The rules for an endorsement key. */
int ql_tpm_check_ek(const struct ql_tpm_public *p, struct ql_err *err);
/** Its public key, for checks by OpenSSL. */
int ql_tpm_public_key(const struct ql_tpm_public *p, struct ql_key **ret, struct ql_err *err);
/** "rsa2048", "ecc256"… as enc_alg says it from API 2.5 on; static, NULL: unknown. */
const char *ql_tpm_enc_alg(const struct ql_tpm_public *p);
