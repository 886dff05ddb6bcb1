/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file store.h
 * The store thread: a blocking backend behind a queue. The loop submits transactions and is called back; many queued
 * transactions share one commit. If one of a group fails, the group is rolled back and each runs in a transaction of
 * its own. QL_EAGAIN repeats with backoff.
 */
#pragma once
#include <event2/event.h>

#include <quicklime/store.h>

#include "cleanup.h"
#include "registry.h"
#include "secret.h"

enum {
    QL_STORE_QUEUE_MAX = 65536, /**< transactions waiting; more: QL_EFULL (the API answers 503) */
    QL_STORE_BATCH_MAX = 512,   /**< transactions of one commit */
    QL_STORE_BATCH_MS = 50,     /**< longest wait of write-behind progress */
    QL_STORE_BACKOFF_MS = 1000, /**< longest pause before QL_EAGAIN is tried again; the first is 10 ms */
    QL_STORE_RETRY_MS =
        30000, /**< a transaction is tried for so long, then fails with QL_EAGAIN; after one that
                                     failed so, each is tried once until one succeeds */
    QL_STORE_AWAY_MS =
        5000, /**< the same while none can even be begun: callers are told that the store is away */
    QL_STORE_CLOSE_MS = 5000 /**< the same while the store is being closed */
};

struct ql_store;
struct ql_txn; /**< a transaction, on the store thread only */

/**
 * Work inside a transaction; may run more than once (a group that fails is repeated): only the last run counts.
 * Row callbacks may read (get, scan) but not write. A backend's failure other than QL_ENOTFOUND and QL_ECONFLICT
 * undoes the transaction even if the function returns 0.
 */
typedef int (*ql_txn_fn)(struct ql_txn *t, void *arg, struct ql_err *err);
/** Called once on the loop thread after the commit (or the failure). */
typedef void (*ql_txn_done)(int result, const struct ql_err *err, void *arg);

struct ql_store_config {
    struct event_base *base; /**< NULL: ql_store_run() and progress only */
    struct ql_found backend; /**< a component of kind store */
    const char *url;         /**< database_url as configured: "sqlite", "sqlite:///x", … */
    const char *state_dir;
    const struct ql_schema *schema;
};
/** Open, create or migrate, start the thread. Errors name the database, never its password. */
int ql_store_open(const struct ql_store_config *config, struct ql_store **ret, struct ql_err *err);
/** Finish what is queued (callbacks included), close. On the loop thread, not from a done callback. */
void ql_store_close(struct ql_store *s);
QL_DEFINE_CLEANUP(struct ql_store, ql_store_close)
/** Backend name for @p url: part before "://" or "+": "sqlite", "postgresql", "mysql"; "mariadb" is "mysql". @p out of 32 bytes */
int ql_store_backend_name(const char *url, char *out, struct ql_err *err);

/** Queue a transaction; loop thread only. @param done may be NULL @retval QL_EFULL @retval QL_ECLOSED is closing */
int ql_store_submit(struct ql_store *s, ql_txn_fn fn, ql_txn_done done, void *arg, struct ql_err *err);
/** Run one and wait (start-up and tests only; never on a live loop). */
int ql_store_run(struct ql_store *s, ql_txn_fn fn, void *arg, struct ql_err *err);
/** @return transactions queued or running */
size_t ql_store_pending(const struct ql_store *s);

int ql_txn_get(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key, ql_row_fn fn,
               void *arg, struct ql_err *err);
int ql_txn_put(struct ql_txn *t, const struct ql_table *table, uint32_t mode, const struct ql_value *row,
               uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
/** `put_many` of <quicklime/store.h>, also where the backend has none. */
int ql_txn_put_many(struct ql_txn *t, const struct ql_table *table, struct ql_put *puts, uint32_t count,
                    struct ql_err *err);
int ql_txn_del(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key,
               const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
int ql_txn_scan(struct ql_txn *t, const struct ql_table *table, const char *index,
                const struct ql_value *from, uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg,
                struct ql_err *err);

/**
 * Leases of a table that has them, by the database's clock; the rules are those of `claim`, `renew` and `yield` in
 * <quicklime/store.h>. A lease is this process's only after the commit.
 */
int ql_txn_claim(struct ql_txn *t, const struct ql_table *table, const char *owner, int64_t ttl_ms,
                 uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err);
int ql_txn_renew(struct ql_txn *t, const struct ql_table *table, const char *owner, int64_t ttl_ms,
                 uint64_t *ret_count, struct ql_err *err);
int ql_txn_yield(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key,
                 const char *owner, struct ql_err *err);

/** Values for rows. */
static inline struct ql_value ql_int(int64_t i)
{
    return (struct ql_value){.type = QL_COL_INT, .i = i};
}
struct ql_value ql_text(const char *text); /**< NULL: a null value */
struct ql_value ql_json_value(const char *text);
struct ql_value ql_bytes(const void *data, size_t len); /**< data NULL: a null value */
static inline struct ql_value ql_null(void)
{
    return (struct ql_value){.type = QL_COL_NULL};
}

/**
 * Sealing of columns that hold secrets (decision 25): AES-256-GCM under store_key_file (made at first use, 0600).
 * Sealed form: version byte 1, IV of 12 random bytes, ciphertext, tag of 16 bytes; the version is authenticated.
 */
struct ql_seal;
/**
 * Read the key, or make it: 32 random bytes, never replacing a file.
 * @retval QL_EACCES the file may be read by others or belongs to somebody else @retval QL_ERANGE not 32 bytes
 */
int ql_seal_open(const char *key_file, struct ql_seal **ret, struct ql_err *err);
int ql_seal_wrap(const struct ql_seal *s, const void *data, size_t len, uint8_t **ret, size_t *ret_len,
                 struct ql_err *err);
/** @retval QL_ECRYPTO changed, cut, or sealed under another key: one text for all */
int ql_seal_unwrap(const struct ql_seal *s, const void *data, size_t len, struct ql_secret **ret,
                   struct ql_err *err);
void ql_seal_free(struct ql_seal *s);
QL_DEFINE_CLEANUP(struct ql_seal, ql_seal_free)
