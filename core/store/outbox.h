/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file outbox.h
 * Events of failures, written with the verdict in one transaction; they leave when delivered or expired (decisions 21,
 * 30, 32).
 */
#pragma once
#include "agents.h"

struct ql_outbox_row {
    int64_t seq; /**< given by insert: grows */
    char *agent_id;
    char *event_id;
    char *severity; /**< label */
    char *agent_address;
    char *metadata;  /**< JSON text */
    char *message;   /**< the exact bytes that are signed (JSON text) */
    char *signature; /**< base64, "" without key */
    int64_t created_ns, expires_ns;
    char *pending; /**< JSON array: names of actions that have not finished with it */
    int64_t attempts;
    char *verifier_id; /**< uuid of the verifiers that deliver it; NULL: any (rows of schema 1) */
};
extern const struct ql_table ql_outbox_table;

void ql_outbox_row_done(struct ql_outbox_row *row);
int ql_outbox_insert(struct ql_txn *t, struct ql_outbox_row *row, struct ql_err *err);
int ql_outbox_update(struct ql_txn *t, const struct ql_outbox_row *row, struct ql_err *err);
int ql_outbox_delete(struct ql_txn *t, int64_t seq, struct ql_err *err);
typedef int (*ql_outbox_fn)(void *arg, struct ql_outbox_row *row);
/**
 * Rows with seq > @p after, in order, at most @p limit (0: all); rows that cannot be read are left out. The row is freed
 * when @p fn returns; to keep it, copy the struct and zero *row.
 */
int ql_outbox_each(struct ql_txn *t, int64_t after, uint64_t limit, ql_outbox_fn fn, void *arg,
                   struct ql_err *err);
