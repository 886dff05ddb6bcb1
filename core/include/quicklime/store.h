/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file store.h
 * A store backend keeps rows of tables that core declares. It runs on the store thread; calls come one at a time and
 * may block. Everything between `begin` and `commit` is one transaction; `commit` returns after the data is durable.
 *
 * Errors: QL_ECONFLICT (a condition does not hold; no row was touched), QL_EAGAIN (deadlock, serialization, connection:
 * core repeats the whole transaction with backoff), QL_EFULL, QL_EACCES, QL_ECORRUPT (stop, keep the file).
 * Conformance: `quicklime-store-test PLUGIN URL`.
 *
 * Columns, indexes, values, conditions and puts cross the line as arrays without sizes: they do not grow within this major.
 */
#pragma once
#include <quicklime/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Column types, also the types of values. */
#define QL_COL_NULL  UINT32_C(0) /**< a value only */
#define QL_COL_INT   UINT32_C(1) /**< 64 bits, signed */
#define QL_COL_TEXT  UINT32_C(2) /**< UTF-8 without NUL */
#define QL_COL_BYTES UINT32_C(3)
#define QL_COL_JSON  UINT32_C(4) /**< UTF-8, kept byte for byte */

#define QL_STORE_MAX_COLUMNS 64u /**< columns of a table: a mask of them fits uint64_t */

struct ql_column {
    const char *name;
    uint32_t type;  /**< QL_COL_… but QL_COL_NULL */
    uint32_t since; /**< schema version that added it (rows of older schemas read NULL) */
};

struct ql_index {
    const char *name;
    const char *const *columns; /**< NULL at the end */
    uint32_t unique;
};

/** A table. The first `key_count` columns are the primary key. */
struct ql_table {
    uint32_t size;
    const char *name;
    const struct ql_column *columns;
    uint32_t column_count;
    uint32_t key_count;
    const struct ql_index *indexes;
    uint32_t index_count;
    uint32_t since; /**< schema version that added it */
    uint32_t lease; /**< 1: has the columns lease_owner (text), lease_until (int, ms), claim_no (int) */
};

/** All tables of one daemon, with the version of the whole. */
struct ql_schema {
    uint32_t size;
    const char *name;       /**< "verifier", "registrar" */
    uint32_t version;       /**< of this release */
    uint32_t oldest_reader; /**< releases of at least this version may use the database */
    const struct ql_table *const *tables;
    uint32_t table_count;
    uint32_t may_migrate; /**< 0: refuse instead of changing an older schema */
};

/** One value. Text ends in NUL as well; `len` does not count it. */
struct ql_value {
    uint32_t type; /**< QL_COL_… */
    int64_t i;
    const void *data;
    size_t len;
};

/** A condition: column equals value (NULL equals NULL). */
struct ql_cond {
    uint32_t column; /**< index into the table's columns */
    struct ql_value value;
};

/** What `put` does with a row that exists or does not. */
#define QL_PUT_INSERT UINT32_C(1) /**< exists: QL_ECONFLICT */
#define QL_PUT_UPDATE UINT32_C(2) /**< absent: QL_ECONFLICT; touches only the columns of the mask */
#define QL_PUT_UPSERT UINT32_C(3) /**< whole row either way; `only_if` holds for an existing row */

/** One row of `put_many`: the arguments of a `put`, and what became of it. */
struct ql_put {
    const struct ql_value *row;
    uint64_t mask;
    const struct ql_cond *only_if;
    uint32_t cond_count;
    uint32_t mode;  /**< QL_PUT_… */
    int32_t result; /**< out: QL_OK, QL_ECONFLICT, or the failure that ended the call */
};

/**
 * Receives rows. @p row has one value a column, borrowed until the callback returns. A callback may read from the same
 * database (`get`, `scan`), not write to it, nor begin, commit or roll back.
 * @return 0 to go on, 1 to stop, negative to stop with that error
 */
typedef int (*ql_row_fn)(void *arg, const struct ql_value *row, uint32_t column_count);

/** Component of kind QL_KIND_STORE. */
struct ql_store_backend {
    struct ql_component head;
    /**
     * Connect. @p url as in `database_url`; secrets in it never reach a log or an error text.
     * @param state_dir folder for relative names, absolute path
     */
    int (*open)(void *plugin, const char *url, const char *state_dir, void **db, struct ql_err *err);
    void (*close)(void *plugin, void *db);
    /** Create or migrate the tables of @p schema; refuse a newer or foreign schema and leave it untouched. */
    int (*tables)(void *plugin, void *db, const struct ql_schema *schema, struct ql_err *err);
    int (*begin)(void *plugin, void *db, struct ql_err *err);
    int (*commit)(void *plugin, void *db, struct ql_err *err);
    void (*rollback)(void *plugin, void *db);
    /** One row by its key values. @retval QL_ENOTFOUND */
    int (*get)(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn,
               void *arg, struct ql_err *err);
    /**
     * @param mode QL_PUT_…
     * @param row  one value a column; key columns always set
     * @param mask QL_PUT_UPDATE: bit n set = write column n; ignored otherwise
     */
    int (*put)(void *plugin, void *db, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
               uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
    /** @retval QL_ENOTFOUND no such row @retval QL_ECONFLICT it exists, but @p only_if does not hold */
    int (*del)(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key,
               const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
    /**
     * Rows in the order of an index (NULL: the key), from the first one whose index columns are >= @p from
     * (NULL: all; @p from has one value for each column of the index). @p limit 0: no limit.
     */
    int (*scan)(void *plugin, void *db, const struct ql_table *t, const char *index,
                const struct ql_value *from, uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg,
                struct ql_err *err);
    /**
     * Take leases of up to @p max rows that nobody holds (by the database's clock) for @p ttl_ms; each row taken is
     * handed to @p fn after the change, with its new claim_no: a number that only grows over the whole table, not a row,
     * so that no two claims of a table ever carry the same one.
     */
    int (*claim)(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
                 uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err);
    /** Prolong all leases of @p owner that have not run out; @p ret_count rows. */
    int (*renew)(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
                 uint64_t *ret_count, struct ql_err *err);
    /** Give back the lease of one row. @retval QL_ECONFLICT @p owner does not hold it, or there is no such row */
    int (*yield)(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key,
                 const char *owner, struct ql_err *err);
    /** Optional: wait for another process's change of table `changes`. @retval QL_ETIMEOUT none came */
    int (*wait)(void *plugin, void *db, int64_t timeout_ms, struct ql_err *err);
    /**
     * Optional: `put` for @p count different rows of a table, in any order, with as few answers waited for as possible. A
     * conflict of one is its result and ends nothing; any other failure ends the call and is returned.
     */
    int (*put_many)(void *plugin, void *db, const struct ql_table *t, struct ql_put *puts, uint32_t count,
                    struct ql_err *err);
};

#ifdef __cplusplus
}
#endif
