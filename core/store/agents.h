/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file agents.h
 * The verifier's agent rows (decisions 20, 25; spec/server.md 13 names the columns that Keylime's users know).
 */
#pragma once
#include "store.h"

/** One agent. Text fields are NUL-ended and owned by the row; NULL stands for a null column. */
struct ql_agent_row {
    char *agent_id;
    int64_t generation; /**< raised by API writes, failures and claims */
    uint8_t *v;         /**< sealed; NULL: none */
    size_t v_len;
    char *ip;
    int64_t port; /**< 0: null */
    int64_t operational_state;
    char *public_key;        /**< PEM of NK as last proven */
    char *tpm_policy;        /**< JSON text as uploaded */
    char *meta_data;         /**< JSON text as uploaded */
    int64_t mask;            /**< effective PCR mask: tpm_policy OR needs (decision 2) */
    char *needs;             /**< JSON: evidence items that the policies need */
    char *policies;          /**< JSON: validator name → {"name": stored policy's name, "digest": hex} */
    uint8_t *revocation_key; /**< sealed PEM; NULL: none */
    size_t revocation_key_len;
    char *accept_hash, *accept_enc, *accept_sign; /**< JSON arrays as uploaded */
    char *hash_alg, *enc_alg, *sign_alg;          /**< as last claimed; "" at first */
    char *ima_sign_verification_keys;
    char *runtime_policy_name, *mb_policy_name; /**< name of the linked policy, NULL: none */
    char *verifier_id, *verifier_ip;
    int64_t verifier_port;
    int64_t severity_level; /**< -1: null */
    char *last_event_id;
    char *last_event_context; /**< JSON text */
    char *supported_version;
    uint8_t *ak_tpm; /**< TPM2B_PUBLIC */
    size_t ak_tpm_len;
    char *mtls_cert; /**< PEM or "disabled"; NULL */
    int64_t attestation_count, last_received_quote,
        last_successful_attestation; /**< count, seconds, seconds */
    char *clock;    /**< JSON: clock, resetCount, restartCount, safe; NULL before the first pass */
    uint8_t *state; /**< validators' states as one blob (attest/states.h) */
    size_t state_len;
    int64_t state_number; /**< raised with each new state */
    char *options;        /**< JSON: the agent's own options for validators */
    char *lease_owner;    /**< member (members.h) that polls it; NULL: none */
    int64_t lease_until;  /**< not used: the member's own lease says it. 0: null */
    int64_t
        claim_no; /**< claim number of the member when the agent became its own; 0: null. Grows with each take-over */
};

extern const struct ql_table ql_agents_table;

void ql_agent_row_done(struct ql_agent_row *row);
/** Deep copy. @retval QL_ENOMEM */
int ql_agent_row_copy(const struct ql_agent_row *from, struct ql_agent_row *ret, struct ql_err *err);

/** @retval QL_ENOTFOUND */
int ql_agents_get(struct ql_txn *t, const char *agent_id, struct ql_agent_row *ret, struct ql_err *err);
/** @retval QL_EEXIST the id is taken */
int ql_agents_insert(struct ql_txn *t, const struct ql_agent_row *row, struct ql_err *err);
/** Write the whole row where the stored generation equals @p generation; stores row->generation. @retval QL_ECONFLICT */
int ql_agents_update(struct ql_txn *t, const struct ql_agent_row *row, int64_t generation,
                     struct ql_err *err);
/** @retval QL_ENOTFOUND */
int ql_agents_delete(struct ql_txn *t, const char *agent_id, struct ql_err *err);
/**
 * All rows in order of id; rows that cannot be read are skipped and counted. The row is freed when @p fn returns; to
 * keep it, copy the struct and zero *row. @p fn may read, not write; 0: go on, 1: stop, negative: fail.
 */
typedef int (*ql_agent_fn)(void *arg, struct ql_agent_row *row);
int ql_agents_each(struct ql_txn *t, ql_agent_fn fn, void *arg, size_t *skipped, struct ql_err *err);

/** Who polls an agent, and whether its row has changed: a row without its large columns. Texts are borrowed. */
struct ql_agent_mark {
    const char *agent_id, *verifier_id, *lease_owner; /**< the last two: NULL for null */
    int64_t generation, operational_state, severity_level;
};
/** @return 0 to go on, 1 to stop, negative to stop with that error */
typedef int (*ql_mark_fn)(void *arg, const struct ql_agent_mark *m);
/** @retval QL_ENOTFOUND */
int ql_agents_mark(struct ql_txn *t, const char *agent_id, ql_mark_fn fn, void *arg, struct ql_err *err);
/** All, in order of id. */
int ql_agents_marks(struct ql_txn *t, ql_mark_fn fn, void *arg, struct ql_err *err);

/** Progress of one attestation: what write-behind stores, at most one record an agent. */
struct ql_agent_progress {
    const char *agent_id;
    int64_t generation; /**< must match the stored one; else the record is dropped */
    int64_t claim_no;   /**< the same; 0: agents are not shared by lease */
    int64_t operational_state;
    int64_t attestation_count, last_received_quote, last_successful_attestation;
    const char *hash_alg, *enc_alg, *sign_alg;
    const char *clock;      /**< JSON text, NULL: unchanged */
    const char *public_key; /**< NULL: unchanged */
    const void *state;      /**< NULL: unchanged */
    size_t state_len;
    int64_t state_number;
};
/**
 * Queue progress; replaces an older one of the agent that is still waiting; written within QL_STORE_BATCH_MS. Copies
 * what it is given. Never an error to the caller: it is repeated while the database is away.
 */
void ql_agents_progress(struct ql_store *s, const struct ql_agent_progress *p);
/** Drop what waits for an agent (before a failure or API write is queued). */
void ql_agents_progress_drop(struct ql_store *s, const char *agent_id);
