/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file jobs.h
 * What daemons ask of workers, as plain structs: encoders and decoders of the frames of each job type. Used
 * by both sides; the worker's answer is read under limits and anything unexpected is an error (decision 11).
 */
#pragma once
#include <jansson.h>

#include "frame.h"
#include "verdict.h"

/** QL_JOB_ATTEST, daemon side. Borrowed. */
struct ql_attest_job {
    const char *agent_id;
    int64_t generation, state_number;
    const uint8_t *ak;
    size_t ak_len;
    const char *accept; /**< JSON {"hash": [...], "enc": [...], "sign": [...]} */
    const char *nonce;
    uint32_t mask;
    const uint8_t *answer;
    size_t answer_len;
    int answer_fd;             /**< bytes, or a sealed memfd when answer_fd >= 0: whole HTTP body */
    bool partial;              /**< the request said partial=1: no key comes */
    const char *stored_pubkey; /**< NULL: none */
    const char *clock;         /**< JSON text or NULL */
    uint64_t expected_entry;
    bool asked_evidence;
    const char *options; /**< JSON object text or NULL */
    const uint8_t *state;
    size_t state_len; /**< states blob */
    unsigned retries;
    struct {
        char validator[33];
        uint8_t digest[32];
    } policies[QL_POLICIES_MAX];
    size_t policy_count;
};
struct ql_frame *ql_attest_job_frame(const struct ql_attest_job *job, struct ql_err *err);

/** QL_JOB_ATTEST, answer. */
struct ql_attest_result {
    enum ql_verdict_kind kind;
    struct ql_failure *failures;
    size_t failure_count;
    char *retry_reason;
    char *hash_alg, *enc_alg, *sign_alg; /**< NULL: not claimed */
    char *pubkey;                        /**< NULL: none came */
    uint8_t nk_n[512];
    size_t nk_n_len;
    uint32_t nk_e; /**< with pubkey, RSA */
    char *clock;   /**< JSON text of the proven clock; NULL unless PASS */
    uint8_t *state;
    size_t state_len;
    bool state_changed;
    json_t *cursors;  /**< object or NULL */
    json_t *facts;    /**< object or NULL */
    bool full_reread; /**< next quote must be asked in full */
};
/** @retval QL_EPARSE the frame is not a result of this job: the worker is not to be trusted */
int ql_attest_result_read(const struct ql_frame *frame, const struct ql_attest_job *job,
                          struct ql_attest_result *ret, struct ql_err *err);
void ql_attest_result_done(struct ql_attest_result *r);

/** QL_JOB_CHECK_AGENT: what an addition says, before it is stored. Without ak_tpm: QL_JOB_CHECK_POLICY. */
struct ql_check_job {
    const char *ak_tpm;    /**< base64 text as uploaded; NULL: only policies are checked (an upload) */
    const char *mtls_cert; /**< PEM; NULL or "disabled": not checked */
    struct {
        char validator[33];
        const uint8_t *bytes;
        size_t len;
        const uint8_t *digest; /**< not NULL: no bytes, the policy that the daemon holds under these 32 */
        bool
            must_be_signed; /**< a runtime policy: refused without a good signature of one of the keys below */
    } policies[QL_POLICIES_MAX];
    size_t policy_count;
    char *const *signing_keys; /**< "NAME\nPEM", see runtime_policy.h */
    size_t signing_key_count;
};
struct ql_frame *ql_check_job_frame(const struct ql_check_job *job, struct ql_err *err);
struct ql_check_result {
    bool ok;
    char *reason; /**< when not ok: what was wrong, for the API's answer */
    char *
        field; /**< "ak_tpm", "mtls_cert", the validator's name; "runtime_policy_key" (401) or "runtime_policy" (400):
                       `reason` is the whole status */
    uint8_t *ak;
    size_t ak_len;
    uint8_t *cert_der;
    size_t cert_der_len; /**< to pin; NULL: none */
    uint32_t mask;       /**< OR over needs */
    char *needs;         /**< JSON array [{validator, evidence, bound, pcr, parameters}] */
    int64_t generator;   /**< meta.generator of the runtime policy among them; 0: none */
};
int ql_check_result_read(const struct ql_frame *frame, struct ql_check_result *ret, struct ql_err *err);
void ql_check_result_done(struct ql_check_result *r);

/** QL_JOB_ONESHOT and QL_JOB_IDENTITY → result object and HTTP code. */
struct ql_frame *ql_oneshot_job_frame(const uint8_t *body, size_t len, bool extensions, struct ql_err *err);
struct ql_frame *ql_identity_job_frame(const uint8_t *ak, size_t ak_len, const char *quote, const char *nonce,
                                       const char *hash_alg, const char *accept, struct ql_err *err);
struct ql_judge_result {
    int http;
    json_t *result; /**< NULL with a reason */
    char *reason;   /**< status text for 4xx; NULL */
};
int ql_judge_result_read(const struct ql_frame *frame, struct ql_judge_result *ret, struct ql_err *err);
void ql_judge_result_done(struct ql_judge_result *r);

/** QL_JOB_REGISTER: texts as posted (NULL: absent); the registrar keeps what comes back. */
struct ql_register_job {
    const char *agent_id, *ek_tpm, *aik_tpm, *ekcert, *iak_tpm, *idevid_tpm, *iak_cert, *idevid_cert,
        *iak_attest, *iak_sign, *mtls_cert;
    const char *malformed_cert_action; /**< "warn", "ignore", "reject" */
    bool ek_needed, iak_needed;        /**< tpm_identity */
    const char *const
        *iak_ca; /**< PEM texts of certificates that may have issued IAK and IDevID certificates */
};
struct ql_frame *ql_register_job_frame(const struct ql_register_job *job, struct ql_err *err);
struct ql_register_result {
    bool ok;
    char *reasons;  /**< when not ok: lines "field message", for the log */
    char *warnings; /**< lines, may be NULL */
    uint8_t *ek, *aik, *iak, *idevid;
    size_t ek_len, aik_len, iak_len, idevid_len; /**< TPM2B_PUBLIC; NULL: absent */
    uint8_t *ekcert, *iak_cert, *idevid_cert;
    size_t ekcert_len, iak_cert_len, idevid_cert_len; /**< DER */
    uint8_t name[66];
    size_t name_len; /**< of the AK */
    struct ql_tpm_public
        ek_public;   /**< rebuilt from fixed fields, for the challenge that main makes (decision 12) */
    bool aik_by_iak; /**< the AK was certified by the IAK */
};
int ql_register_result_read(const struct ql_frame *frame, struct ql_register_result *ret, struct ql_err *err);
void ql_register_result_done(struct ql_register_result *r);

enum {
    QL_PARSE_MEMBERS_MAX = 40 /**< members of an API body read in a worker */
};
/**
 * QL_JOB_PARSE: an API body above 64 KiB is checked in a worker, its members come back one by one (decision
 * 15).
 */
struct ql_frame *ql_parse_job_frame(const uint8_t *body, size_t len, struct ql_err *err);
struct ql_parse_member {
    char *key;
    bool is_text;   /**< `bytes` are the characters of a string; else JSON text as it stood in the body */
    uint8_t *bytes; /**< ends in a NUL that `len` does not count */
    size_t len;
};
struct ql_parse_result {
    bool ok;
    char *reason; /**< when not ok */
    struct ql_parse_member members[QL_PARSE_MEMBERS_MAX];
    size_t member_count;
};
int ql_parse_result_read(const struct ql_frame *frame, struct ql_parse_result *ret, struct ql_err *err);
void ql_parse_result_done(struct ql_parse_result *r);
