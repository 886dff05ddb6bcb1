/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file device.h
 * The one place that talks to a TPM (ESAPI; everything blocks, so the agent calls it on its TPM thread).
 * One context, one command at a time. Every transient object is flushed on every path.
 */
#pragma once
#include "quote.h"
#include "secret.h"

struct ql_tpm;

/** TCTI string; NULL or "": environment TCTI, then /dev/tpmrm0, then /dev/tpm0 (spec/agent.md 1.4). */
int ql_tpm_open(const char *tcti, struct ql_tpm **ret, struct ql_err *err);
void ql_tpm_close(struct ql_tpm *t);
QL_DEFINE_CLEANUP(struct ql_tpm, ql_tpm_close)
/** @return vendor text, "" unknown; a name that holds "SW" is a software TPM */
const char *ql_tpm_vendor(const struct ql_tpm *t);

/** Names of algorithms as configured (spec/agent.md 1.5, 1.7). */
struct ql_tpm_algs {
    const char *hash, *enc, *sign;
};
/** Set the authorisation used for the endorsement hierarchy (tpm_ownerpassword). */
int ql_tpm_set_owner_auth(struct ql_tpm *t, const struct ql_secret *auth, struct ql_err *err);
/** Make the EK from its template, or take the persistent @p handle (0: make). @param[out] ek TPM2B_PUBLIC, caller frees */
int ql_tpm_ek(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint32_t handle, uint8_t **ek, size_t *ek_len,
              struct ql_err *err);
/** EK certificate from NV, padding cut. @retval QL_ENOTFOUND no such index */
int ql_tpm_ek_cert(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint8_t **ret, size_t *ret_len,
                   struct ql_err *err);
/** EK certificate chain from NV 0x01C00100..0x01C001FF, concatenated DER; empty when there is none. */
int ql_tpm_ek_chain(struct ql_tpm *t, uint8_t **ret, size_t *ret_len, struct ql_err *err);
/** Create an AK under the EK. @param[out] public_area TPMT_PUBLIC, private_area TPM2B_PRIVATE contents; callers free */
int ql_tpm_ak_create(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint8_t **public_area,
                     size_t *public_len, uint8_t **private_area, size_t *private_len, struct ql_err *err);
/** Load an AK; it stays loaded. @param[out] ak TPM2B_PUBLIC, caller frees */
int ql_tpm_ak_load(struct ql_tpm *t, const uint8_t *public_area, size_t public_len,
                   const uint8_t *private_area, size_t private_len, uint8_t **ak, size_t *ak_len,
                   struct ql_err *err);
uint32_t ql_tpm_ak_handle(const struct ql_tpm *t);
/** TPM2_ActivateCredential; then the EK may be flushed with ql_tpm_ek_done(). */
int ql_tpm_activate(struct ql_tpm *t, const uint8_t *id_object, size_t id_object_len, const uint8_t *secret,
                    size_t secret_len, struct ql_secret **ret, struct ql_err *err);
void ql_tpm_ek_done(struct ql_tpm *t);
/**
 * Quote: reset and extend PCR 16 with @p data_digest, read the PCRs of mask (and 16), quote, repeat up to five times
 * while values move. @param[out] ret wire text, caller frees
 */
int ql_tpm_quote(struct ql_tpm *t, enum ql_hash bank, uint32_t mask, const void *nonce, size_t nonce_len,
                 const uint8_t *data_digest, char **ret, struct ql_err *err);

/** IAK and IDevID (spec/agent.md 1.9). */
struct ql_iak_template {
    const char *name;                                       /**< "H-1".."H-5", "manual" */
    const char *enc, *hash;                                 /**< manual: algorithm and name hash */
    uint32_t iak_handle, idevid_handle;                     /**< 0: recreate from the template */
    const struct ql_secret *iak_password, *idevid_password; /**< NULL: empty */
};
/** Public areas (TPM2B_PUBLIC, callers free) of IAK and IDevID; the IAK stays loaded for ql_tpm_certify(). */
int ql_tpm_iak(struct ql_tpm *t, const struct ql_iak_template *tmpl, uint8_t **iak, size_t *iak_len,
               uint8_t **idevid, size_t *idevid_len, struct ql_err *err);
/** Certify the AK with the IAK. @param[out] attest TPMS_ATTEST, signature TPMT_SIGNATURE; callers free */
int ql_tpm_certify(struct ql_tpm *t, const void *qualifying, size_t qualifying_len, uint8_t **attest,
                   size_t *attest_len, uint8_t **signature, size_t *signature_len, struct ql_err *err);

enum {
    QL_PCR_BANKS = 4 /**< sha1, sha256, sha384, sha512 */
};

/** What is extended into one bank. */
struct ql_pcr_value {
    enum ql_hash bank;
    uint8_t digest[QL_DIGEST_MAX];
};
/** One PCR. @param[out] ret ql_hash_len(bank) bytes @retval QL_EUNSUPPORTED the bank is not active */
int ql_tpm_pcr_read(struct ql_tpm *t, enum ql_hash bank, unsigned pcr, uint8_t *ret, struct ql_err *err);
/** Extend one PCR in up to QL_PCR_BANKS banks at once. */
int ql_tpm_pcr_extend(struct ql_tpm *t, unsigned pcr, const struct ql_pcr_value *values, size_t count,
                      struct ql_err *err);
