/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file internal.h
 * What the files of core/tpm/device share: the context, its algorithms, sessions. Nobody else includes it but tests.
 */
#pragma once
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_tctildr.h>

#include "cleanup.h"
#include "device.h"
#include "error.h"

enum {
    QL_TPM_NV_MAX = 16 * 1024, /**< bytes read of one NV index: TPMs hold less, certificates are 1 to 2 KiB */
    QL_TPM_QUOTE_TRIES = 5     /**< times PCRs are read and quoted while they move (spec/agent.md 4.2) */
};

/** One value of tpm_encryption_alg: key shape, and the EK template of the TCG EK Credential Profile. */
struct ql_tpm_enc {
    const char *names[3];
    TPM2_ALG_ID type;
    uint16_t rsa_bits;     /**< 0: ECC */
    TPM2_ECC_CURVE curve;  /**< 0: RSA */
    TPM2_ALG_ID name_alg;  /**< of the EK */
    uint32_t attributes;   /**< of the EK */
    const uint8_t *policy; /**< of the EK; as long as a digest of name_alg */
    uint16_t aes_bits;
    uint16_t unique_len; /**< zero bytes of each unique field in the low-range templates, 0 in the others */
    uint32_t nv_index;   /**< of the EK certificate */
};

struct ql_tpm {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    char vendor[17];
    uint16_t nv_chunk; /**< bytes of one NV_Read */
    ESYS_TR ek;
    bool ek_is_ours; /**< made by us: flushed; else persistent */
    TPMT_PUBLIC ek_public;
    ESYS_TR ak;
    TPM2_HANDLE ak_handle;
    TPM2_ALG_ID ak_hash; /**< of the scheme */
    ESYS_TR iak;
    bool iak_is_ours;
};

/** ESYS hands out memory of its own allocator. */
static inline void ql_esys_freep(void *p)
{
    void **at = p;

    Esys_Free(*at);
    *at = NULL;
}
#define ql_auto_esys ql_auto(ql_esys_freep)

/** Fail with the layered code in words. @return QL_EIO, QL_EACCES (authorisation) or QL_EUNSUPPORTED (no such command, algorithm) */
int ql_tpm_fail(struct ql_err *err, TSS2_RC rc, const char *what);
/** Digest size of a TPM_ALG_ID; 0: unknown. */
uint16_t ql_tpm_hash_size(TPM2_ALG_ID alg);
/** Row of tpm_encryption_alg. @retval QL_EUNSUPPORTED */
int ql_tpm_enc_find(const char *name, const struct ql_tpm_enc **ret, struct ql_err *err);
/** TPM_ALG_ID of tpm_hash_alg and tpm_signing_alg. @retval QL_EUNSUPPORTED */
int ql_tpm_hash_find(const char *name, TPM2_ALG_ID *ret, struct ql_err *err);
int ql_tpm_sign_find(const char *name, TPM2_ALG_ID *ret, struct ql_err *err);

/** Flush a transient object or session and forget it; ESYS_TR_NONE is allowed. */
void ql_tpm_flush(struct ql_tpm *t, ESYS_TR *object);
/** As ql_tpm_flush() when @p ours; a persistent object is only forgotten. */
void ql_tpm_drop(struct ql_tpm *t, ESYS_TR *object, bool ours);
/** Take a persistent object. @param[out] ret ESYS_TR, closed with ql_tpm_drop() */
int ql_tpm_persistent(struct ql_tpm *t, TPM2_HANDLE handle, const char *what, ESYS_TR *ret,
                      TPM2B_PUBLIC **ret_public, struct ql_err *err);
/** TPM2_CreatePrimary in the endorsement hierarchy. */
int ql_tpm_primary(struct ql_tpm *t, const TPM2B_PUBLIC *in, const TPML_PCR_SELECTION *pcrs, const char *what,
                   ESYS_TR *ret, TPM2B_PUBLIC **ret_public, struct ql_err *err);
/** A policy session that satisfies the EK's policy; flushed by ql_tpm_flush() after one use. */
int ql_tpm_ek_session(struct ql_tpm *t, ESYS_TR *ret, struct ql_err *err);
/** Marshal into new memory. */
int ql_tpm_dump_public(const TPM2B_PUBLIC *in, uint8_t **ret, size_t *ret_len, struct ql_err *err);
int ql_tpm_dump_signature(const TPMT_SIGNATURE *in, uint8_t **ret, size_t *ret_len, struct ql_err *err);
int ql_tpm_dump(const void *data, size_t len, uint8_t **ret, size_t *ret_len, struct ql_err *err);
