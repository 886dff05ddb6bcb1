/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verdict.h
 * The verdict function: evidence plus policies plus state in, verdict plus new state out. Pure: no I/O, no
 * clock, no randomness. The polling loop, the one-shot REST calls, `quicklime-verify` and the tests all call
 * this one function.
 *
 * Steps (design section 6): bound and parse the answer → algorithms accepted → quote (ql_quote_check) → data
 * PCR → needs met → validators in order → report. No failure means pass; every other way out is failure.
 */
#pragma once
#include <jansson.h>

#include "quote.h"
#include "registry.h"
#include "vault.h"

enum {
    QL_POLICIES_MAX = 16,       /**< policies of one agent */
    QL_FAILURES_MAX = 256,      /**< failures kept of one report; more are counted */
    QL_CONTEXT_MAX = 16 * 1024, /**< bytes of one failure's context; longer ones are replaced by a note */
    QL_FACTS_MAX = 256 * 1024,  /**< bytes of all facts as JSON */
    QL_RETRIES_IN_A_ROW = 3     /**< decision 4 */
};

enum ql_verdict_kind {
    QL_VERDICT_FAIL = 0,
    QL_VERDICT_PASS = 1,
    QL_VERDICT_RETRY = 2
};

/** A policy, compiled. Made once per digest and process: ql_policy_compile(). */
struct ql_policy {
    const struct ql_validator *validator;
    void *plugin; /**< first argument of its functions */
    void *compiled;
    struct ql_needs needs; /**< strings owned by `compiled`, items by us */
    struct ql_need *items; /**< owned; NULL: none */
    uint8_t digest[32];    /**< SHA-256 of the policy bytes */
    bool prepared;         /**< `compiled` is to be released */
    size_t size;           /**< bytes that the compiled object takes, as the validator says */
};
/**
 * Compile by validator name. @param bytes stay valid as long as the policy lives @retval QL_ENOTFOUND no such
 * validator
 */
int ql_policy_compile(const struct ql_registry *registry, const char *validator, const uint8_t *bytes,
                      size_t len, uint32_t origin, struct ql_policy **ret, struct ql_err *err);
void ql_policy_free(struct ql_policy *p);
QL_DEFINE_CLEANUP(struct ql_policy, ql_policy_free)

/** State of one validator for one agent and policy. It fits that policy alone: another digest is a reset. */
struct ql_kept_state {
    char validator[33];
    uint8_t policy[32]; /**< digest of the policy it was made under */
    uint32_t version;
    const uint8_t *data; /**< borrowed on the way in; owned by the outcome on the way out */
    size_t len;
};

/** All that a verdict depends on. Borrowed. */
struct ql_verdict_in {
    const struct ql_registry *registry;
    const char *agent_id;
    const struct ql_tpm_public *ak;
    const struct ql_key *ak_key;
    struct ql_digester *digester;
    const struct ql_accept *accept;
    const char *nonce; /**< expected, text */
    size_t nonce_len;
    uint32_t mask;      /**< that was asked for, needs included (PCR 16 is added when a key must be bound) */
    bool exact_mask;    /**< extra PCRs are refused (polling) */
    const char *answer; /**< the agent's `results` object, JSON text; may be a read-only mapping */
    size_t answer_len;
    bool whole_body;                 /**< `answer` is the HTTP body around the results object */
    bool pubkey_expected;            /**< polling: an answer must carry the key or one must be stored */
    const char *stored_pubkey;       /**< key proven before, PEM; NULL: none */
    const struct ql_clock *previous; /**< NULL: first */
    uint64_t expected_ima_entry;     /**< offset that was asked for */
    bool asked_evidence;             /**< custom evidence was asked for: its binding is required */
    struct ql_policy *const *policies;
    size_t policy_count;
    const struct ql_kept_state *states;
    size_t state_count;
    const json_t *options; /**< the agent's own options, object; NULL: {} */
    const json_t *facts;   /**< facts given from outside (one-shot), object; NULL */
    unsigned retries;      /**< retry verdicts in a row before this one */
    int64_t deadline_ns;   /**< monotonic; for host->deadline_ns() */
    /** Called before a validator runs (so that a crash can be named); may be NULL. */
    void (*entering)(void *arg, const char *validator);
    void *entering_arg;
    struct ql_vault *vault; /**< shows validators core's proven facts read-only; NULL: plain memory */
};

struct ql_failure {
    char *event_id;
    char *severity; /**< label asked for by the validator; NULL: the severity policy decides */
    bool recoverable;
    json_t *context; /**< object */
};

/** What came out. ql_outcome_done() frees what it holds. */
struct ql_outcome {
    enum ql_verdict_kind kind; /**< the zero value is failure */
    struct ql_failure *failures;
    size_t failure_count, failures_dropped;
    char *retry_reason;
    bool quote_ok;                       /**< the quote itself verified */
    struct ql_quote quote;               /**< valid when quote_ok */
    char *hash_alg, *enc_alg, *sign_alg; /**< as claimed; NULL when absent */
    char *pubkey;      /**< key of the answer as text, proven when PASS; NULL: answer had none */
    uint8_t nk_n[512]; /**< its RSA modulus; decision 12 */
    size_t nk_n_len;
    uint32_t nk_e;
    struct ql_kept_state
        *states; /**< those that changed; only with PASS (and as the validators ask after failure: reset) */
    size_t state_count;
    json_t *facts;   /**< object; only with PASS */
    json_t *cursors; /**< object: evidence name → u64 */
};
/**
 * @return QL_OK: outcome written (whatever the verdict); negative: internal fault independent of the evidence
 */
int ql_verdict(const struct ql_verdict_in *in, struct ql_outcome *ret, struct ql_err *err);
void ql_outcome_done(struct ql_outcome *o);
size_t ql_verdict_vault_len(void); /**< bytes that `vault` must hold */
/** Highest-first event: the first failure that is irrecoverable, else the first. NULL without failures. */
const struct ql_failure *ql_outcome_first(const struct ql_outcome *o);

/**
 * One-shot form: the body of POST /verify/evidence with the extensions of quicklime-verify (spec/server.md
 * 2.10, decision 8).
 * @param extensions  false: a member of the extensions is an error (public callers, decision 9)
 * @param state       in/out for --state: JSON object or NULL; *new_state owned by the caller, may be NULL
 * @param[out] result the call's result object; caller decrefs
 * @param[out] http   200, or 400 as the spec says
 * @retval QL_OK judged (valid or not) @retval QL_EPARSE cannot be judged: not a JSON object, no type/data
 * (err says it)
 * @retval QL_EUNSUPPORTED another type of evidence, or data that is no object: for the API 400 as well
 */
int ql_verify_oneshot(const struct ql_registry *registry, const char *body, size_t len, bool extensions,
                      const json_t *state, json_t **new_state, json_t **result, int *http,
                      struct ql_err *err);
