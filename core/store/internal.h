/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file internal.h
 * What store.c, txn.c and progress.c share. Whatever is below `lock` is touched under it; the rest belongs to one
 * thread, as each comment says.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "agents.h"

/** One queued transaction. */
struct ql_store_item {
    TAILQ_ENTRY(ql_store_item) link;
    ql_txn_fn fn;
    ql_txn_done done;
    void *arg;
    int result;
    struct ql_err *err; /**< why it failed, owned; NULL: no memory for it, or none */
    bool is_sync;       /**< somebody waits in ql_store_run() and owns the item */
    bool is_finished;
};
TAILQ_HEAD(ql_store_items, ql_store_item);

/** Progress of one agent that waits to be written. */
struct ql_progress {
    TAILQ_ENTRY(ql_progress) order; /**< oldest first */
    struct ql_progress *chain;      /**< others of the bucket */
    int64_t queued_ns;              /**< since when the agent has something waiting (monotonic) */
    atomic_bool is_dropped;         /**< taken already, and no longer wanted */
    struct ql_agent_progress p;     /**< pointers into `memory` */
    char memory[];
};
TAILQ_HEAD(ql_progress_list, ql_progress);

struct ql_progress_map {
    struct ql_progress_list list;
    struct ql_progress **buckets;
    size_t bucket_count; /**< power of two, or 0 while nothing was ever queued */
    size_t count;
};

/** A transaction: exists on the store thread while its function runs. */
struct ql_txn {
    const struct ql_store_backend *backend;
    void *plugin, *db;
    unsigned depth; /**< row callbacks on the stack */
    int fault;      /**< first failure of the backend that no function may overlook; 0: none */
    struct ql_err fault_err;
};

struct ql_store {
    const struct ql_store_backend *backend;
    void *plugin;
    const struct ql_schema *schema;
    char *url, *state_dir;
    char *name; /**< the URL without its password */

    /* Loop thread. */
    struct event *done_event;
    int done_fd; /**< eventfd: the store thread has finished items */

    /* Store thread. */
    pthread_t thread;
    void *db;
    bool is_away;   /**< the last transaction was given up with QL_EAGAIN */
    bool is_broken; /**< the backend said QL_ECORRUPT: nothing more is written */
    struct ql_err broken_err;
    struct ql_progress_list taken; /**< progress of the transaction under way; list itself under lock */

    pthread_mutex_t lock;
    pthread_cond_t work; /**< for the store thread; monotonic clock */
    pthread_cond_t idle; /**< for ql_store_run() and ql_store_open() */
    struct ql_store_items queue, finished;
    struct ql_progress_map waiting;
    int64_t progress_after_ns; /**< progress that failed is not tried before (monotonic) */
    bool is_open;              /**< opening has ended, with open_result */
    int open_result;
    struct ql_err open_err;
    bool is_closing;
    int64_t closing_ns;

    atomic_size_t pending;
};

/* txn.c */
struct ql_txn ql_txn_start(const struct ql_store *s);

/* agents.c */
/**
 * Write records of different agents where generation and claim match.
 * @param[out] results  of each: QL_OK; QL_ECONFLICT: they do not, or the agent is gone; or what ended the call
 */
int ql_agents_progress_put(struct ql_txn *t, const struct ql_agent_progress *const *records, uint32_t count,
                           int32_t *results, struct ql_err *err);

/* progress.c */
void ql_progress_init(struct ql_store *s);
void ql_progress_free(struct ql_store *s);
/** When waiting progress must be written, monotonic ns; INT64_MAX: none waits. Lock held. */
int64_t ql_progress_due(const struct ql_store *s);
/** Move at most QL_STORE_BATCH_MAX records, oldest first, to `taken`. @return how many. Lock held. */
size_t ql_progress_take(struct ql_store *s);
/** The transaction that writes `taken`. @p arg  the store */
int ql_progress_write(struct ql_txn *t, void *arg, struct ql_err *err);
/** End of that transaction: forget `taken`, or put back what is still wanted. */
void ql_progress_end(struct ql_store *s, int result, const struct ql_err *err);
