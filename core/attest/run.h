/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file run.h
 * One verdict on its way; private to verdict.c, binding.c and host.c.
 */
#pragma once
#include "answer.h"
#include "failures.h"

/** Evidence that a validator may be handed, made ready once. */
struct ql_ready {
    char name[33];
    const uint8_t *data;
    size_t len;
    uint64_t from, to;
    uint8_t *owned; /* decoded or unescaped bytes; NULL: `data` lies in the answer */
};

/** What core has proven, and what validators are shown of it. Lies in the vault. */
struct ql_proven {
    struct ql_quote quote;
    struct ql_attest attest;
};

enum {
    QL_READY_MAX = QL_EVIDENCE_MAX + 2
};

struct ql_run {
    const struct ql_verdict_in *in;
    struct ql_outcome *out;
    struct ql_answer answer;
    struct ql_proven *proven;      /* to write to */
    const struct ql_proven *shown; /* the same bytes, as validators are given them */
    struct ql_proven unvaulted;
    struct ql_ready ready[QL_READY_MAX];
    size_t ready_count;
    const struct ql_policy *current; /* policy whose validator runs */
    json_t *no_options;              /* the empty object, when the agent has no options */
    json_t *facts;                   /* published so far and given from outside, "VALIDATOR.NAME" → value */
    size_t facts_len;
    bool retry;
    int code; /* QL_ENOMEM when a callback ran out of memory */
};

/**
 * Decode what is bound by the nonce and make the qualifying data that the quote must have (design section 5).
 * @param[out] digest 32 bytes
 * @return QL_OK; QL_EPARSE: a failure was recorded; QL_ENOMEM and others: internal
 */
int ql_run_bind(struct ql_run *run, uint8_t *digest, struct ql_err *err);
/**
 * Make the evidence ready that a policy needs.
 * @return QL_OK; QL_ENOTFOUND: a failure was recorded; QL_ENOMEM
 */
int ql_run_meet_needs(struct ql_run *run, const struct ql_policy *policy, struct ql_err *err);
/** Evidence made ready, NULL: none of that name. */
const struct ql_ready *ql_run_ready(const struct ql_run *run, const char *name);
/** Free what the two above made. */
void ql_run_drop_evidence(struct ql_run *run);

/** Run the validators over all policies, in order. @retval QL_OK whatever they found @retval QL_ENOMEM */
int ql_run_validators(struct ql_run *run, struct ql_err *err);
