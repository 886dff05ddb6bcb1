/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "parse.h"
#include "source.h"

struct ql_source {
    const struct ql_source_ops *ops;
    void *db;
};

static bool begins(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);

    return strncmp(url, scheme, len) == 0 && (url[len] == ':' || url[len] == '+') && strstr(url, "://");
}

int ql_source_open(const char *url, struct ql_source **ret, struct ql_err *err)
{
    ql_auto_free struct ql_source *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return ql_fail_nomem(err);
    if (strlen(url) > QL_SOURCE_URL_MAX)
        return ql_fail(err, QL_ELIMIT, "the URL has more than %d characters", QL_SOURCE_URL_MAX);
    if (begins(url, "sqlite"))
        r = ql_source_sqlite(url, &s->ops, &s->db, err);
    else if (begins(url, "postgresql") || begins(url, "postgres"))
        r = ql_source_postgresql(url, &s->ops, &s->db, err);
    else if (begins(url, "mysql") || begins(url, "mariadb"))
        r = ql_source_mysql(url, &s->ops, &s->db, err);
    else
        r = ql_fail(err, QL_ERANGE,
                    "not a URL of a database: want sqlite:///FILE, postgresql://USER@HOST/NAME or "
                    "mysql+pymysql://USER@HOST/NAME");
    if (r == QL_OK)
        *ret = ql_steal(s);
    return r;
}

int ql_source_new(const struct ql_source_ops *ops, void *db, struct ql_source **ret, struct ql_err *err)
{
    struct ql_source *s = calloc(1, sizeof *s);

    if (!s)
        return ql_fail_nomem(err);
    *s = (struct ql_source){.ops = ops, .db = db};
    *ret = s;
    return QL_OK;
}

void ql_source_close(struct ql_source *s)
{
    if (!s)
        return;
    s->ops->close(s->db);
    free(s);
}

static int read_count(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    bool *found = arg;
    uint64_t count = 0;
    int r = ql_parse_u64(row[0].text ? row[0].text : "", row[0].len, 0, UINT64_MAX, &count, err);

    if (r == QL_OK)
        *found = count > 0;
    return r;
}

int ql_source_has(struct ql_source *s, const char *table, bool *ret, struct ql_err *err)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, "%s'%s'%s", s->ops->tables, table, s->ops->here); /* fits: all are ours */
    return s->ops->each(s->db, sql, 1, read_count, ret, err);
}

int ql_source_each(struct ql_source *s, const char *sql, size_t columns, ql_source_fn fn, void *arg,
                   struct ql_err *err)
{
    if (columns > QL_SOURCE_COLUMNS)
        return ql_fail(err, QL_EINTERNAL, "query of %zu columns", columns);
    return s->ops->each(s->db, sql, columns, fn, arg, err);
}
