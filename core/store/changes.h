/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file changes.h
 * What API writes changed, in order, for other verifiers on the same database (decision 23), and the counters that
 * number rows.
 */
#pragma once
#include "store.h"

enum {
    QL_CHANGES_KEEP = 65536 /**< newest rows that stay; whoever is further behind reads everything anew */
};

extern const struct ql_table ql_changes_table, ql_counters_table;

/**
 * Next number of a counter, from 1. Two transactions never get the same one, and numbers are committed in order: the
 * counter's row is written in the same transaction.
 * @retval QL_EAGAIN another process took it at the same time
 */
int ql_counter_next(struct ql_txn *t, const char *name, int64_t *ret, struct ql_err *err);

/** The number given last, 0: none yet. */
int ql_counter_last(struct ql_txn *t, const char *name, int64_t *ret, struct ql_err *err);

/** @param kind "agent" or "policy" @param id  the agent's id, "KIND/NAME" of a policy */
int ql_changes_add(struct ql_txn *t, const char *kind, const char *id, struct ql_err *err);

/** @return 0 to go on, 1 to stop, negative to stop with that error */
typedef int (*ql_change_fn)(void *arg, int64_t seq, const char *kind, const char *id);
/** Changes with seq > @p after, in order, at most @p limit (0: all). */
int ql_changes_each(struct ql_txn *t, int64_t after, uint64_t limit, ql_change_fn fn, void *arg,
                    struct ql_err *err);
