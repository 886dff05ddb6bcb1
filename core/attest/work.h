/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file work.h
 * The worker's side of the jobs: a job frame in, a result frame out (jobs.h has the daemon's side).
 *
 * A job that cannot be read is a fault of the daemon, not of the evidence: the call fails, the worker ends.
 * Whatever the evidence is, the job has a result.
 */
#pragma once
#include "jobs.h"
#include "policies_cache.h"

/** Bits of FLAGS in a job of attestation. */
#define QL_ATTEST_PARTIAL  UINT64_C(1)
#define QL_ATTEST_EVIDENCE UINT64_C(2)
/** Bits of FLAGS in a registration. */
#define QL_REGISTER_EK  UINT64_C(1)
#define QL_REGISTER_IAK UINT64_C(2)

/** What a worker keeps between jobs. Nothing in it was learned from one agent and can be seen by another. */
struct ql_worker {
    int sock; /**< to the daemon */
    struct ql_registry *registry;
    struct ql_digester *digester;
    struct ql_vault *vault;
    struct ql_policy_cache *policies;
    struct ql_key_cache *keys;
    char *accept_text; /**< accept lists of the last job: those of the next are the same as a rule */
    size_t accept_len;
    struct ql_accept accept;
    int64_t job_ms; /**< wall time of a job, for host->deadline_ns(); 0: none */
};

/**
 * Do one job.
 * @param job      received frame of kind QL_FRAME_JOB
 * @param[out] ret the result, to be sent and freed by the caller
 * @retval QL_ENOMEM the job did not fit into memory @retval other: the daemon's fault
 */
int ql_work(struct ql_worker *w, const struct ql_frame *job, struct ql_frame **ret, struct ql_err *err);

/** Tell the daemon whose code runs from now on: what kills the worker is put down to it. @param job NULL: at start */
void ql_work_entering(const struct ql_worker *w, const struct ql_frame *job, const char *validator);

/**
 * A policy that the daemon holds: compiled before, or asked for and compiled now.
 * @param[out] ret  borrowed until ql_policy_cache_trim(), which the caller's job ends with
 * @retval QL_ENOTFOUND the daemon does not hold it any more @retval QL_ENOMEM @retval QL_ECLOSED
 * @retval other  as ql_policy_compile()
 */
int ql_work_policy(struct ql_worker *w, const struct ql_frame *job, const char *validator,
                   const uint8_t digest[32], struct ql_policy **ret, struct ql_err *err);

/* One a job type; called by ql_work(). */
int ql_work_attest(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                   struct ql_err *err);
int ql_work_check(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                  struct ql_err *err);
int ql_work_oneshot(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                    struct ql_err *err);
int ql_work_identity(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                     struct ql_err *err);
int ql_work_register(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                     struct ql_err *err);
int ql_work_parse(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                  struct ql_err *err);

/** Fields of an EK as item QL_TAG_EK_PUBLIC. */
int ql_ek_public_add(struct ql_frame *f, const struct ql_tpm_public *p, struct ql_err *err);
