/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file agent.h
 * One polled agent in memory: what the next quote, its check and the answer to it need, and nothing else. The row in the
 * store is the truth; an agent that failed or was stopped has no record here.
 *
 * Loop thread only.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "agents.h"
#include "client.h"
#include "contents.h"
#include "jobs.h"
#include "json.h"
#include "state.h"

enum {
    QL_NONCE_LEN = 20,       /**< characters, as Keylime's verifier sends */
    QL_ALG_NAME_MAX = 32,    /**< characters of a claimed algorithm's name */
    QL_EVIDENCE_NAMES = 16,  /**< evidence items that one agent is asked for by name */
    QL_EVIDENCE_QUERY = 6144 /**< characters of the names and parameters in `evidence=` */
};

struct ql_agent;
struct ql_verifier;

/**
 * What is under way for an agent: a call, a check, an encryption, a write. At most one. It outlives an agent that is
 * stopped meanwhile: then `agent` is NULL and its end changes nothing. So there is one nonce an agent, used once.
 */
struct ql_op {
    struct ql_agent *agent; /**< NULL: nobody waits any more */
    struct ql_verifier *verifier;
    const char *what; /**< "quote", "check", …, static; for the log */
    int64_t started_ns;
    char nonce[QL_NONCE_LEN + 1];
    bool partial, asked_evidence;
    uint64_t entry; /**< of the measurement list that was asked for */
    struct ql_attest_job
        job; /**< the check under way; points into the agent's own memory until it is submitted */
    struct ql_failing *failing; /**< the failure being written; failure.c */
    struct ql_sending *sending; /**< V being encrypted and sent; vkey.c */
    TAILQ_ENTRY(ql_op) later;   /**< in the list of failures that could not be stored yet */
};
TAILQ_HEAD(ql_op_list, ql_op);

struct ql_policy_ref {
    char validator[33];
    uint8_t digest[32];
};

struct ql_agent {
    struct ql_agent *chain;         /**< in its bucket */
    TAILQ_ENTRY(ql_agent) starting; /**< in the queue of first polls */
    struct ql_verifier *verifier;
    char id[81];
    int64_t generation, claim_no; /**< of its row; what does not match is not stored */
    int64_t state;                /**< enum ql_agent_state, as shown */
    struct event *timer;
    int64_t due_ns; /**< monotonic time of the poll that the timer waits for */
    bool is_starting;
    bool is_deleting; /**< an order is being carried out: nothing is asked of it until that is decided */
    struct ql_op *op;

    struct ql_peer *peer; /**< NULL: not connected yet, or dropped */
    char *ip;
    uint16_t port;
    bool is_plain; /**< plain HTTP */
    uint8_t *pin;  /**< DER of mtls_cert */
    size_t pin_len;
    unsigned api; /**< QL_API(…) spoken with it */

    uint32_t mask;      /**< PCRs asked for */
    char mask_text[16]; /**< as in tpm_policy where that says it all */
    uint8_t *ak;
    size_t ak_len;
    char *accept;  /**< JSON {"hash", "enc", "sign"} */
    char *options; /**< JSON object, NULL: none */
    struct ql_policy_ref *policies;
    size_t policy_count;
    char *evidence; /**< names to ask for, separated by commas; NULL: none */
    bool evidence_known, evidence_offered;

    uint8_t *v; /**< sealed; NULL: none */
    size_t v_len;
    uint8_t v_sent_to[32]; /**< SHA-256 of the key that V was sent to */
    bool v_sent;
    uint8_t *nk_n; /**< modulus of the proven key while V waits to be sent to it */
    size_t nk_n_len;
    uint32_t nk_e;

    char *pubkey;     /**< proven key, PEM */
    bool pubkey_live; /**< proven since this process started to poll it: partial quotes are enough */
    bool ask_full;    /**< next quote in full */
    char *clock;
    uint8_t *kept; /**< validators' states */
    size_t kept_len;
    int64_t kept_number;
    json_t *cursors; /**< evidence name → u64, NULL: all 0 */
    json_t *facts; /**< "VALIDATOR.NAME" → value, of the last pass; NULL: none since this process started */

    unsigned retries;       /**< calls that failed in a row */
    unsigned judge_retries; /**< verdicts "retry" in a row */
    int severity;           /**< level of the failure that is going on, -1: none */
    int64_t attestation_count, last_received_quote, last_successful_attestation;
    char hash_alg[QL_ALG_NAME_MAX + 1], enc_alg[QL_ALG_NAME_MAX + 1], sign_alg[QL_ALG_NAME_MAX + 1];
    int64_t told_seq; /**< newest event of the outbox that it is being, or was, told of */
};

/** An agent as loaded from the store: its row and the contents of its policies. */
struct ql_loaded {
    struct ql_agent_row row;
    struct {
        char validator[33];
        uint8_t digest[32];
        char *content; /**< NULL: has to be in ql_contents already */
        size_t len;
    } policies[QL_POLICIES_MAX];
    size_t policy_count;
};
/** Read an agent with its policies; in a transaction. @retval QL_ENOTFOUND */
int ql_loaded_get(struct ql_txn *t, const char *agent_id, struct ql_loaded *ret, struct ql_err *err);
/**
 * Fill in the policies of loaded->row. Content that is not stored any more is left out: the agent then cannot be judged,
 * which is a failure, never a pass.
 */
int ql_loaded_policies(struct ql_txn *t, struct ql_loaded *loaded, struct ql_err *err);
/** The row's own table of policies, without contents. @retval QL_ECORRUPT */
int ql_loaded_refs(struct ql_loaded *loaded, struct ql_err *err);
/** Fill in the content of one of them, if it is stored. */
int ql_loaded_content(struct ql_txn *t, struct ql_loaded *loaded, size_t i, struct ql_err *err);
void ql_loaded_done(struct ql_loaded *loaded);

/** All polled agents. */
struct ql_agent_table {
    struct ql_agent **buckets;
    size_t bucket_count, count;
};
struct ql_agent *ql_agents_find(const struct ql_agent_table *t, const char *id);
/** Call for each; the callback may remove the agent it is given, no other. */
void ql_agents_visit(struct ql_agent_table *t, void (*fn)(struct ql_agent *a, void *arg), void *arg);
void ql_agents_table_done(struct ql_agent_table *t);

/**
 * Make the record of a loaded agent and put it into the verifier's table, in place of one that is there. Nothing is
 * scheduled yet.
 */
int ql_agent_add(struct ql_verifier *v, const struct ql_loaded *loaded, struct ql_agent **ret,
                 struct ql_err *err);
/** Stop what is under way, leave the table, free. */
void ql_agent_remove(struct ql_agent *a);
/** Have a->peer. */
int ql_agent_connect(struct ql_agent *a, struct ql_err *err);
/** Let go of what is under way: its end will change nothing. The timer is stopped too. */
void ql_agent_halt(struct ql_agent *a);

/** Begin something for an agent that has nothing under way. NULL: no memory. */
struct ql_op *ql_op_new(struct ql_agent *a, const char *what);
/** End it. */
void ql_op_free(struct ql_op *op);

/** What is in memory and may not be in the store yet, for a transaction that writes the row. */
struct ql_live;
struct ql_live *ql_live_take(const struct ql_agent *a); /**< NULL: no memory */
/** Bring @p row up to date if it is of the same generation. */
int ql_live_apply(const struct ql_live *l, struct ql_agent_row *row, struct ql_err *err);
int64_t ql_live_generation(const struct ql_live *l);
void ql_live_free(struct ql_live *l);
QL_DEFINE_CLEANUP(struct ql_live, ql_live_free)

/** Queue the agent's progress for the store. @param clock, pubkey, kept  whether these changed */
void ql_agent_progress(const struct ql_agent *a, bool clock, bool pubkey, bool kept);

/**
 * Mask out of a tpm_policy text.
 * @param[out] has_pcrs it names values for PCRs @param[out] text the mask as written, room for 16
 * @retval QL_EPARSE not an object, or a mask that is not hex @retval QL_ERANGE a bit above PCR 23
 */
int ql_tpm_policy_read(const char *json, size_t len, uint32_t *mask, char *text, bool *has_pcrs,
                       struct ql_err *err);
/** Names of the evidence that `needs` asks for beyond Keylime's own, with commas; *ret NULL: none. Caller frees. */
int ql_needs_evidence(const char *needs, char **ret, struct ql_err *err);
/** DER of the first certificate of a PEM text, unread. Caller frees. @retval QL_EPARSE */
int ql_pem_der(const char *pem, uint8_t **ret, size_t *ret_len, struct ql_err *err);
