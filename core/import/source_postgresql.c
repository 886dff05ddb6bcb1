/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "source.h"

#ifdef QL_HAVE_PQ
#include <libpq-fe.h>

enum {
    TEXT_SHOWN = 200
};

static int fail(const PGconn *db, struct ql_err *err)
{
    const char *text = PQerrorMessage(db);

    return ql_fail(err, QL_EIO, "database to read: %.*s", (int)strcspn(text, "\n"), text);
}

static void close_db(void *db)
{
    PQfinish(db);
}

static int take_row(const PGresult *result, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    struct ql_cell row[QL_SOURCE_COLUMNS] = {0};

    for (size_t i = 0; i < columns; i++) {
        if (PQgetisnull(result, 0, (int)i))
            continue;
        row[i].text = PQgetvalue(result, 0, (int)i);
        row[i].len = (size_t)PQgetlength(result, 0, (int)i);
        if (row[i].len > QL_SOURCE_CELL_MAX)
            return ql_fail(err, QL_ELIMIT, "database to read: value of %zu bytes", row[i].len);
    }
    return fn(arg, row, err);
}

/* Row by row: a table of policies need not fit into memory as a whole. */
static int each(void *db, const char *sql, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    PGresult *result = NULL;
    int r = QL_OK;

    if (!PQsendQuery(db, sql) || !PQsetSingleRowMode(db))
        return fail(db, err);
    while ((result = PQgetResult(db))) {
        ExecStatusType status = PQresultStatus(result);

        if (r == QL_OK && status == PGRES_SINGLE_TUPLE)
            r = (size_t)PQnfields(result) == columns
                    ? take_row(result, columns, fn, arg, err)
                    : ql_fail(err, QL_EINTERNAL, "query of %d columns", PQnfields(result));
        else if (r == QL_OK && status != PGRES_TUPLES_OK)
            r = fail(db, err);
        PQclear(result);
    }
    return r;
}

/* libpq knows no "+DRIVER". */
static char *plain_url(const char *url)
{
    char *out = NULL;

    if (asprintf(&out, "postgresql%s", strstr(url, "://")) < 0)
        return NULL;
    return out;
}

int ql_source_postgresql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err)
{
    static const struct ql_source_ops postgresql = {
        /* Not information_schema: that hides tables that may not be read, and the reason with them. */
        .tables = "SELECT count(*) FROM pg_catalog.pg_class WHERE relname=",
        .here = " AND relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(oid)",
        .close = close_db,
        .each = each,
    };
    ql_auto_free char *plain = plain_url(url);
    PGconn *db = plain ? PQconnectdb(plain) : NULL;
    int r = QL_OK;

    if (!db)
        return ql_fail_nomem(err);
    if (PQstatus(db) != CONNECTION_OK || PQsetClientEncoding(db, "UTF8") != 0)
        r = fail(db, err);
    if (r < 0) {
        PQfinish(db);
        return r;
    }
    *ops = &postgresql;
    *ret = db;
    return QL_OK;
}

#else

int ql_source_postgresql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err)
{
    (void)url, (void)ops, (void)ret;
    return ql_fail(err, QL_EUNSUPPORTED, "built without libpq: databases of PostgreSQL cannot be read");
}

#endif
