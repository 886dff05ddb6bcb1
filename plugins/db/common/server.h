/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file server.h
 * What the stores on a database server share: URL and password, SQL text, rows, leases, schema. Each plugin compiles
 * these files together with a driver of its own (the functions sv_drv_…) and its dialect. One handle is used by one
 * thread, as the plugin contract says.
 */
#pragma once
#include <stdbool.h>

#include <quicklime/store.h>

enum {
    SV_STMT_MAX = 256,  /**< prepared statements kept; more shapes than that are prepared for one use */
    SV_COND_MAX = 8,    /**< conditions of one call */
    SV_NAME_MAX = 63,   /**< bytes of a table's, column's or index's name; PostgreSQL's limit */
    SV_PARAM_MAX = 160, /**< parameters of one statement */
    SV_PASSWORD_MAX = 1024,
    SV_NO_COLUMN = 255 /**< parameter that belongs to no column */
};

/** How the line to the server is protected. */
enum sv_tls {
    SV_TLS_DEFAULT, /**< SV_TLS_FULL, but SV_TLS_OFF on a local socket and to loopback addresses */
    SV_TLS_OFF,
    SV_TLS_REQUIRE, /**< encrypted, whoever answers */
    SV_TLS_CA,      /**< and its certificate comes from a known CA */
    SV_TLS_FULL     /**< and is made out to the host's name */
};

/** Where the server is and who we are to it. */
struct sv_url {
    char *user, *password, *host, *port, *database;
    char *socket;     /**< folder (PostgreSQL) or path (MySQL) of a local socket; NULL: TCP */
    char *parameters; /**< "options" of PostgreSQL; NULL: none */
    enum sv_tls tls;
    char *ca, *cert, *key; /**< PEM files */
    char *password_file;   /**< read at every connect; instead of `password` */
};

/** State of the plugin: its options. */
struct sv_plugin {
    const struct ql_host *host;
    char *tls, *tls_ca, *tls_cert, *tls_key, *password_file;
    int64_t connect_timeout_s, statement_timeout_s;
};

/** What differs in SQL. */
struct sv_dialect {
    const char *scheme;      /**< of URLs */
    const char *product;     /**< for texts */
    char quote;              /**< of names */
    bool numbered;           /**< parameters are $1, $2, …; else ? */
    bool returning;          /**< UPDATE … RETURNING and INSERT … ON CONFLICT */
    bool row_values;         /**< (a,b)>=(1,2) uses an index */
    bool indexed_text;       /**< text in a key or index has a type of its own */
    bool ddl_in_txn;         /**< what CREATE and ALTER do can be rolled back */
    const char *same;        /**< equal, where null equals null */
    const char *nulls;       /**< after each column of an order and an index: nulls come first */
    const char *lock_read;   /**< after a read of few rows: what it saw stays true until the commit */
    const char *now_ms;      /**< milliseconds since the epoch by the server's clock */
    const char *find_table;  /**< of tables there: those named :1, else any: ours first */
    const char *find_type;   /**< type of column :2 of table :1 */
    const char *lock_schema; /**< until the end of the session or transaction; one at a time changes tables */
    const char *unlock_schema; /**< NULL: ends with the transaction */
};
extern const struct sv_dialect sv_dialect;

/** What a statement does; with the table, mask and conditions it names a shape. */
enum sv_op {
    SV_GET = 1,
    SV_EXISTS,
    SV_INSERT,
    SV_UPDATE,
    SV_UPSERT,
    SV_DELETE,
    SV_SCAN,
    SV_CLAIM,
    SV_CLAIMED,
    SV_COUNT_CLAIM,
    SV_READ_CLAIM,
    SV_RENEW,
    SV_YIELD,
    SV_MARK,
    SV_READ_MARK,
    SV_SWEEP_MARKS
};

struct sv_shape {
    const struct ql_table *table; /**< NULL: one of our own tables */
    const struct ql_index *index; /**< scan; NULL: the key */
    uint64_t mask;                /**< update: columns written; scan: values of `from` that are null */
    uint32_t op;
    uint32_t has_from;  /**< scan: starts at a place */
    uint32_t has_limit; /**< scan; 2: of many rows */
    uint32_t cond_count;
    uint32_t cond[SV_COND_MAX]; /**< columns */
};

/** Where a parameter's value comes from. */
enum sv_source {
    SV_ROW,
    SV_COND,
    SV_EXTRA
};

struct sv_param {
    uint8_t source;
    uint8_t at;     /**< index within the source */
    uint8_t column; /**< whose type it has, or SV_NO_COLUMN */
    uint8_t type;   /**< QL_COL_… of the column; for an extra, of the value */
};

struct sv_stmt {
    struct sv_stmt *next;
    struct sv_shape shape;
    char *sql;
    struct sv_param params[SV_PARAM_MAX];
    uint32_t param_count;
    uint32_t result_count; /**< columns of a result row; 0: no rows come */
    uint32_t result_types[QL_STORE_MAX_COLUMNS];
    bool is_write;
    bool guard;          /**< may violate a unique index other than the one it says what to do about */
    bool busy;           /**< a row callback is running on it */
    bool cached;         /**< stays after use */
    unsigned number;     /**< for a name */
    unsigned generation; /**< of the connection it is prepared on; 0: none */
    void *driver;
};

/** Who receives rows. */
struct sv_rows {
    ql_row_fn fn; /**< NULL: they are counted only */
    void *arg;
    bool keep_on; /**< a callback's 1 does not stop it */
    bool is_long; /**< any number of rows: they are to come in portions */
    uint64_t count;
};

struct sv_db {
    const struct sv_plugin *plugin;
    const struct ql_host *host;
    struct sv_url url;
    char *state_dir;
    char *name;          /**< for texts: no password */
    void *conn;          /**< the driver's; NULL: not connected */
    unsigned generation; /**< number of the connection, from 1 */
    bool is_accepted;    /**< tables() went well: from now on an absent server is waited for */
    bool in_txn, has_written;
    int64_t retry_ns;   /**< no connecting before */
    struct ql_err away; /**< why the last connect failed */
    char session[33];   /**< names our row of commits */
    int64_t commit_number;
    struct sv_stmt *cache[SV_STMT_MAX];
    size_t cached;
    unsigned next_number;
};

/* ---- driver: one of each plugin ---- */

/** Connect and prepare the session; checks the server's version. @param password  NULL: none */
int sv_drv_connect(struct sv_db *db, const char *password, struct ql_err *err);
void sv_drv_disconnect(struct sv_db *db);
/** @return false: the connection is known to be lost */
bool sv_drv_usable(const struct sv_db *db);
/** The transaction may begin as late as with the first statement. */
int sv_drv_begin(struct sv_db *db, struct ql_err *err);
/**
 * @param mark  statement to run just before, with its values; NULL: none
 * @param[out] is_unsure  nobody knows what became of it: the connection was lost after it was sent
 */
int sv_drv_commit(struct sv_db *db, struct sv_stmt *mark, const struct ql_value *params, bool *is_unsure,
                  struct ql_err *err);
void sv_drv_rollback(struct sv_db *db);
/** End a session of ours that lost its connection, by what sv_drv_session() said while it lived. */
void sv_drv_end_session(struct sv_db *db, uint64_t session);
uint64_t sv_drv_session(const struct sv_db *db);
/** Row of a query of the driver's text form: columns as text, NULL for null. */
typedef void (*sv_text_fn)(void *arg, const char *const *columns);
/** Run SQL with at most two text parameters. @param fn  called with the first row alone @return rows, at most 1 */
int sv_drv_query(struct sv_db *db, const char *sql, const char *one, const char *two, sv_text_fn fn,
                 void *arg, struct ql_err *err);
/**
 * Run a prepared statement. @param rows  where its rows go; may be NULL when it has none
 * @param[out] changes  rows found and written @retval QL_ECONFLICT a unique index refused; the transaction goes on
 */
int sv_drv_run(struct sv_db *db, struct sv_stmt *s, const struct ql_value *params, struct sv_rows *rows,
               uint64_t *changes, struct ql_err *err);
/** One of many statements that are sent before the first is answered. */
struct sv_call {
    struct sv_stmt *s;
    struct ql_value *params;
    int32_t result; /**< QL_OK, QL_ECONFLICT for no row, or what ended it all */
};
/** Run them, in any order. @return QL_OK or what ended it; conflicts do not */
int sv_drv_many(struct sv_db *db, struct sv_call *calls, uint32_t count, struct ql_err *err);
/** Free what the driver keeps with a statement. */
void sv_drv_forget(struct sv_db *db, struct sv_stmt *s);
/** Column type in SQL. @param is_indexed  part of the key or of an index */
const char *sv_drv_type(uint32_t type, bool is_indexed);
/** Does a stored column of type @p found do for @p type? */
bool sv_drv_type_fits(const char *found, uint32_t type);
/** What follows a table's columns. */
const char *sv_drv_table_options(const struct sv_db *db, const struct ql_table *t);

static inline int sv_nomem(const struct ql_host *host, struct ql_err *err)
{
    (void)host->fail(err, QL_ENOMEM, "out of memory");
    return QL_ENOMEM;
}

/* ---- url.c ---- */
int sv_url_parse(const struct ql_host *host, const char *url, struct sv_url *ret, struct ql_err *err);
void sv_url_free(struct sv_url *u);
/** Loopback or a local socket. */
bool sv_url_is_local(const struct sv_url *u);

/* ---- config.c ---- */
/** The rows of both plugins' options but their names for the manual. */
extern const struct ql_option sv_options[];
int sv_plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                   struct ql_err *err);
void sv_plugin_fini(void *plugin);
/** Options where the URL says nothing; settles SV_TLS_DEFAULT. */
int sv_config_complete(struct sv_db *db, struct ql_err *err);
/** Read the password for one connect. @param out  room for SV_PASSWORD_MAX + 1; wipe it @return 1: there is one */
int sv_password(struct sv_db *db, char *out, struct ql_err *err);

/* ---- connection.c ---- */
int sv_open(void *plugin, const char *url, const char *state_dir, void **ret, struct ql_err *err);
void sv_close(void *plugin, void *db);
/** Connect unless connected; QL_EAGAIN while the server is away. */
int sv_connect(struct sv_db *db, struct ql_err *err);
void sv_disconnect(struct sv_db *db);
/** The tables are in order: transactions may come. */
void sv_accept(struct sv_db *db);
int sv_begin(void *plugin, void *db, struct ql_err *err);
int sv_commit(void *plugin, void *db, struct ql_err *err);
void sv_rollback(void *plugin, void *db);

/* ---- sql.c ---- */
/** Make text and parameters of a statement from its shape. @retval QL_ENOMEM @retval QL_ELIMIT */
int sv_sql(struct sv_db *db, struct sv_stmt *s, struct ql_err *err);
uint32_t sv_column(const struct ql_table *t, const char *name);
/** A text that grows. */
struct sv_text {
    char *p;
    size_t len, room;
    bool failed;
};
void sv_add(struct sv_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A name in the dialect's quotes; names are checked to have none of their own. */
void sv_add_name(struct sv_text *t, const char *name);
/** @return the text, free(); NULL: no memory */
char *sv_text_done(struct sv_text *t);

/* ---- stmt.c ---- */
int sv_prepare(struct sv_db *db, const struct sv_shape *shape, struct sv_stmt **ret, struct ql_err *err);
void sv_release(struct sv_db *db, struct sv_stmt *s);
void sv_flush(struct sv_db *db);
/** Where the values of a call are. */
struct sv_input {
    const struct ql_value *row;
    const struct ql_cond *conds;
    struct ql_value extra[4];
};
/** Collect and check the values of all parameters. @param ret  room for SV_PARAM_MAX */
int sv_bind(struct sv_db *db, const struct sv_stmt *s, const struct sv_input *in, struct ql_value *ret,
            struct ql_err *err);
/** Prepare, bind and run. @param rows, changes  may be NULL */
int sv_run(struct sv_db *db, const struct sv_shape *shape, const struct sv_input *in, struct sv_rows *rows,
           uint64_t *changes, struct ql_err *err);
static inline struct ql_value sv_int(int64_t i)
{
    return (struct ql_value){.type = QL_COL_INT, .i = i};
}
struct ql_value sv_string(const char *text);

/* ---- rows.c ---- */
int sv_get(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn,
           void *arg, struct ql_err *err);
int sv_put(void *plugin, void *db, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
int sv_put_many(void *plugin, void *db, const struct ql_table *t, struct ql_put *puts, uint32_t count,
                struct ql_err *err);
/** Shape of an update. */
int sv_update_shape(struct sv_db *db, const struct ql_table *t, uint64_t mask, const struct ql_cond *only_if,
                    uint32_t cond_count, struct sv_shape *ret, struct ql_err *err);
int sv_del(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err);
int sv_scan(void *plugin, void *db, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg, struct ql_err *err);

/* ---- lease.c ---- */
int sv_claim(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err);
int sv_renew(void *plugin, void *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint64_t *ret_count, struct ql_err *err);
int sv_yield(void *plugin, void *db, const struct ql_table *t, const struct ql_value *key, const char *owner,
             struct ql_err *err);

/* ---- schema.c ---- */
int sv_tables(void *plugin, void *db, const struct ql_schema *schema, struct ql_err *err);

/* ---- the plugins' tables ---- */
/** The backend of a plugin: all its functions are the common ones. */
#define SV_BACKEND(NAME)                                                                                     \
    {                                                                                                        \
        .head = {.size = sizeof(struct ql_store_backend), .kind = QL_KIND_STORE, .name = (NAME)},            \
        .open = sv_open, .close = sv_close, .tables = sv_tables, .begin = sv_begin, .commit = sv_commit,     \
        .rollback = sv_rollback, .get = sv_get, .put = sv_put, .del = sv_del, .scan = sv_scan,               \
        .claim = sv_claim, .renew = sv_renew, .yield = sv_yield, .put_many = sv_put_many,                    \
    }
