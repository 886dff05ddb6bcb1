/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file boot_judge.h
 * A measured boot policy and a boot log, judged as a verifier judges them: parse, digests against what the events say, replay
 * against PCR values if there are any, policy.
 *
 * Layer: policy, over plugins/mboot.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "cleanup.h"
#include "eventlog.h"
#include "pcr_text.h"
#include "policy.h"

enum {
    QL_BOOT_REFSTATE_MAX =
        64 * 1024 * 1024 /**< bytes of a reference state; that of a large fleet has a few MiB */
};

/** A compiled policy. */
struct ql_boot_policy;

/**
 * @param name      a bundled policy's, or the path of a script that ends in .lua
 * @param refstate  file with the reference state, "-": standard input
 * @param[out] ret  owned by the caller: ql_boot_policy_free()
 * @param[out] err  says what is wrong in the script or in the reference state
 */
int ql_boot_policy_open(const char *name, const char *refstate, struct ql_boot_policy **ret,
                        struct ql_err *err);
void ql_boot_policy_free(struct ql_boot_policy *p);
QL_DEFINE_CLEANUP(struct ql_boot_policy, ql_boot_policy_free)
const char *ql_boot_policy_name(const struct ql_boot_policy *p); /**< without folder and ending */
const json_t *ql_boot_policy_refstate(const struct ql_boot_policy *p);

/** What came out. */
struct ql_boot_verdict {
    bool is_good;
    char event_id[96];          /**< that a verifier would report, "" when good */
    char reason[MB_REASON_MAX]; /**< "" when good */
    uint32_t differ;            /**< PCRs whose value is not that of the log */
};

/** Told of an event at the end of each test that looked at it. @param text why not, or what was compared, "" nothing */
typedef void (*ql_boot_trace_fn)(void *arg, uint32_t event, bool is_good, const char *text);

/** A log under judgement; to be read by the caller, made by ql_boot_log_open(). */
struct ql_boot_log {
    uint8_t *bytes;
    struct mb_log *log;
    int bank;
};
/** @param path "-": standard input @param bank NULL: sha256, or the only one there is @retval QL_ENOTFOUND no such bank */
int ql_boot_log_open(struct ql_boot_policy *p, const char *path, const char *bank, struct ql_boot_log *ret,
                     struct ql_err *err);
void ql_boot_log_done(struct ql_boot_log *l);

/**
 * @param pcrs   what the TPM holds; NULL: the log's word is taken
 * @param trace  may be NULL
 * @return QL_OK with any verdict; other: it could not be judged
 */
int ql_boot_judge(struct ql_boot_policy *p, struct ql_boot_log *l, const struct ql_pcr_values *pcrs,
                  ql_boot_trace_fn trace, void *arg, struct ql_boot_verdict *ret, struct ql_err *err);
