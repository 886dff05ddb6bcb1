/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy.h
 * A measured boot policy: a script with a reference state, compiled once, asked about many logs.
 *
 * A script that is made of tests alone is never run again: its tests are evaluated in C. One that has a function (`mb.fn`,
 * `evaluate`) is run anew for every log, in a state of its own, so that nothing of one node's log can reach another's verdict.
 *
 * Layer: plugin mboot. Used by one thread at a time.
 */
#pragma once
#include <jansson.h>

#include "scripts.h"
#include "test.h"

enum {
    MB_POLICY_INSTRUCTIONS = 20 * 1000 * 1000, /**< of one run of a script */
    MB_POLICY_MEMORY = 48 * 1024 * 1024        /**< bytes of its Lua state */
};

/** PCRs that a boot log may account for: 0 to 9 and 11 to 15. */
#define MB_COLLECTED_PCRS UINT32_C(0xfbff)

/** What policies are made with; outlives them. */
struct mb_workshop {
    const struct ql_host *host;
    struct mb_hasher *hasher;
    const struct mb_scripts *scripts; /**< NULL: bundled ones only */
};

struct mb_policy;

/**
 * @param name      of the script
 * @param refstate  reference state; kept by reference
 * @param[out] ret  owned by the caller: mb_policy_free()
 * @retval QL_ENOTFOUND no such script @retval QL_EPARSE the script or the reference state is refused, with its words
 * @retval QL_ELIMIT @retval QL_ENOMEM @retval QL_ETIMEOUT
 */
int mb_policy_new(const struct mb_workshop *shop, const char *name, json_t *refstate, struct mb_policy **ret,
                  struct ql_err *err);
void mb_policy_free(struct mb_policy *p);
/** PCRs the policy says something about, out of the collected ones; all of these where it names none. */
uint32_t mb_policy_pcrs(const struct mb_policy *p);
/** Bytes it takes, about. */
size_t mb_policy_size(const struct mb_policy *p);

/** What is asked about: a log whose digests are checked, or the JSON tree of one. */
struct mb_question {
    const struct mb_log *log;
    int bank;           /**< of the log: the quoted one */
    const json_t *tree; /**< when `log` is NULL */
    mb_trace_fn trace;  /**< NULL: none */
    void *trace_arg;
};
/**
 * @param[out] why  reason when not accepted
 * @return true: the policy accepts. Everything else, limits and faults included, is false.
 */
bool mb_policy_accepts(const struct mb_policy *p, const struct mb_question *q, char why[MB_REASON_MAX]);
