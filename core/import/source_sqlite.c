/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>
#include <string.h>

#include "error.h"
#include "source.h"

enum {
    BUSY_MS = 10000
};

static int fail(sqlite3 *db, struct ql_err *err)
{
    return ql_fail(err, QL_EIO, "database to read: %s", sqlite3_errmsg(db));
}

static void close_db(void *db)
{
    (void)sqlite3_close(db); /* no statement is left */
}

static int take_row(sqlite3_stmt *stmt, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    struct ql_cell row[QL_SOURCE_COLUMNS] = {0};

    for (size_t i = 0; i < columns; i++) {
        row[i].text = (const char *)sqlite3_column_text(stmt, (int)i);
        row[i].len = (size_t)sqlite3_column_bytes(stmt, (int)i);
        if (!row[i].text && sqlite3_column_type(stmt, (int)i) != SQLITE_NULL)
            return ql_fail_nomem(err);
    }
    return fn(arg, row, err);
}

static int each(void *db, const char *sql, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int step, r = QL_OK;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return fail(db, err);
    if (sqlite3_column_count(stmt) != (int)columns)
        r = ql_fail(err, QL_EINTERNAL, "query of %d columns, %zu wanted", sqlite3_column_count(stmt),
                    columns);
    while (r == QL_OK && (step = sqlite3_step(stmt)) != SQLITE_DONE)
        r = step == SQLITE_ROW ? take_row(stmt, columns, fn, arg, err) : fail(db, err);
    (void)sqlite3_finalize(stmt); /* repeats an error that was reported */
    return r;
}

int ql_source_sqlite(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err)
{
    static const struct ql_source_ops sqlite = {
        .tables = "SELECT count(*) FROM sqlite_master WHERE type='table' AND name=",
        .here = "",
        .close = close_db,
        .each = each,
    };
    const char *path = strstr(url, "://") + strlen("://");
    sqlite3 *db = NULL;
    int r = QL_OK;

    if (*path != '/' || path[1] == '\0' || strchr(path, '?'))
        return ql_fail(err, QL_ERANGE,
                       "URL of an SQLite database: want sqlite:///FILE or sqlite:////ABSOLUTE/FILE");
    path++;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        r = db ? ql_fail(err, QL_ENOTFOUND, "database %s: %s", path, sqlite3_errmsg(db)) : ql_fail_nomem(err);
    if (r == QL_OK)
        (void)sqlite3_busy_timeout(db, BUSY_MS); /* cannot fail */
    if (r == QL_OK && (sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
                       sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
                       sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL) != SQLITE_OK ||
                       sqlite3_limit(db, SQLITE_LIMIT_LENGTH, QL_SOURCE_CELL_MAX) < 0))
        r = fail(db, err);
    if (r < 0) {
        (void)sqlite3_close(db);
        return r;
    }
    *ops = &sqlite;
    *ret = db;
    return QL_OK;
}
