/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sqlite.h
 * What the files of the sqlite store share. One handle is used by one thread, as the plugin contract says: connections
 * are opened without SQLite's own mutexes.
 */
#pragma once
#include <sqlite3.h>
#include <stdbool.h>

#include <quicklime/store.h>

enum {
    SQ_STMT_MAX = 256, /**< prepared statements kept; more shapes than that are prepared for one use */
    SQ_COND_MAX = 8,   /**< conditions of one call */
    SQ_NAME_MAX = 63   /**< bytes of a table's, column's or index's name; what PostgreSQL takes as well */
};

/** State of the plugin. */
struct sq_plugin {
    const struct ql_host *host;
    int64_t busy_timeout_ms;
};

/** What a statement does; with the table, mask and conditions it names a shape. */
enum sq_op {
    SQ_GET = 1,
    SQ_INSERT,
    SQ_UPDATE,
    SQ_UPSERT,
    SQ_DELETE,
    SQ_SCAN,
    SQ_CLAIM,
    SQ_COUNT_CLAIM,
    SQ_RENEW,
    SQ_YIELD
};

struct sq_shape {
    const struct ql_table *table;
    const struct ql_index *index; /**< scan; NULL: the key */
    uint64_t mask;                /**< update: columns written; scan: values of `from` that are null */
    uint32_t op;
    uint32_t has_from; /**< scan: starts at a place */
    uint32_t cond_count;
    uint32_t cond[SQ_COND_MAX]; /**< columns */
};

struct sq_stmt {
    struct sq_stmt *next;
    struct sq_shape shape;
    sqlite3_stmt *stmt;
    bool busy;   /**< a row callback is running on it */
    bool cached; /**< stays after use */
};

/** A database. The file is opened by tables(), which knows the schema's name. */
struct sq_db {
    const struct sq_plugin *plugin;
    const struct ql_host *host;
    char *state_dir;
    char *url_path; /**< path of the URL; NULL: STATE_DIR/NAME by schema */
    char *path;     /**< file that is open */
    sqlite3 *conn;  /**< NULL until tables() */
    struct sq_stmt *cache[SQ_STMT_MAX];
    size_t cached;
};

/* open.c */
int sq_open(void *plugin, const char *url, const char *state_dir, void **ret, struct ql_err *err);
void sq_close(void *plugin, void *db);
/** Open the file of @p schema without changing it. */
int sq_connect(struct sq_db *db, const struct ql_schema *schema, struct ql_err *err);
void sq_disconnect(struct sq_db *db);
/** From now on the file may be changed: journal mode, checkpoints. */
int sq_accept(struct sq_db *db, struct ql_err *err);

/* schema.c */
int sq_tables(void *plugin, void *db, const struct ql_schema *schema, struct ql_err *err);

/* sql.c */
/** SQL text of a shape; sqlite3_free(). NULL: no memory. */
char *sq_sql(const struct sq_shape *shape);
const char *sq_type(uint32_t type);
/** @return index of a column, column_count when there is none */
uint32_t sq_column(const struct ql_table *t, const char *name);

/* stmt.c */
/** Describe the connection's last error and map it to a code. @param what  what was being done */
int sq_fail(struct sq_db *db, int result, const char *what, struct ql_err *err);
/** Run SQL that has no parameters. */
int sq_exec(struct sq_db *db, const char *sql, struct ql_err *err);
int sq_prepare(struct sq_db *db, const struct sq_shape *shape, struct sq_stmt **ret, struct ql_err *err);
/** Reset, and free unless it is cached. */
void sq_release(struct sq_db *db, struct sq_stmt *s);
void sq_flush(struct sq_db *db);
/** Bind one value as @p column of the shape's table wants it. @param at  number of the parameter, from 1 */
int sq_bind(struct sq_db *db, struct sq_stmt *s, int at, uint32_t column, const struct ql_value *v,
            struct ql_err *err);
/** Hand each row to @p fn. @param keep_on  a callback's 1 does not stop it @param[out] count  rows, may be NULL */
int sq_rows(struct sq_db *db, struct sq_stmt *s, ql_row_fn fn, void *arg, bool keep_on, uint64_t *count,
            struct ql_err *err);
/** Step a statement without result rows. @param[out] changes  rows touched */
int sq_step(struct sq_db *db, struct sq_stmt *s, uint64_t *changes, struct ql_err *err);

/* rows.c */
int sq_begin(void *plugin, void *db, struct ql_err *err);
int sq_commit(void *plugin, void *db, struct ql_err *err);
void sq_rollback(void *plugin, void *db);
int sq_get(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn,
           void *arg, struct ql_err *err);
int sq_put(void *plugin, void *db, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
int sq_del(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
int sq_scan(void *plugin, void *db, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg, struct ql_err *err);

/* lease.c */
int sq_claim(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err);
int sq_renew(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint64_t *ret_count, struct ql_err *err);
int sq_yield(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key, const char *owner,
             struct ql_err *err);
