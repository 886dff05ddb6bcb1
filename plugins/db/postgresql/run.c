/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgresql.h"

#define BEGIN_SQL "BEGIN ISOLATION LEVEL SERIALIZABLE"

/* ---- messages ---- */

bool pg_send(struct pg *pg, const char *sql)
{
    return PQsendQueryParams(pg->c, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

bool pg_sync(struct pg *pg)
{
    return PQpipelineSync(pg->c) == 1;
}

PGresult *pg_next(struct pg *pg)
{
    PGresult *res = PQgetResult(pg->c), *more = NULL;

    if (!res)
        return NULL;
    /* A null ends the answer of one command; a lost connection has only one of all. */
    while (PQstatus(pg->c) == CONNECTION_OK && PQresultStatus(res) != PGRES_PIPELINE_SYNC &&
           (more = PQgetResult(pg->c)))
        PQclear(more);
    return res;
}

bool pg_end(struct pg *pg)
{
    PGresult *res = pg_next(pg);
    bool ok = res && PQresultStatus(res) == PGRES_PIPELINE_SYNC;

    PQclear(res);
    return ok;
}

static bool is_good(const PGresult *res)
{
    return PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;
}

/** The next answer is to be good; its failure is noted. @return it, PQclear(), or NULL */
static PGresult *want(struct pg *pg, struct pg_failure *f)
{
    PGresult *res = pg_next(pg);

    if (res && is_good(res))
        return res;
    pg_note(pg, res, f);
    PQclear(res);
    return NULL;
}

static void skip(struct pg *pg, struct pg_failure *f)
{
    PQclear(want(pg, f));
}

/** End of the answers. @return QL_OK or what went wrong in them */
static int finish(struct sv_db *db, struct pg *pg, struct pg_failure *f, const char *what, struct ql_err *err)
{
    if (!pg_end(pg)) {
        pg->is_lost = true; /* answers are out of step at best */
        pg_note(pg, NULL, f);
    }
    if (!f->any)
        return QL_OK;
    pg->is_failed = pg->is_begun;
    return pg_fail(db, f, what, err);
}

static int lost(struct sv_db *db, struct pg *pg, const char *what, struct ql_err *err)
{
    struct pg_failure f = {0};

    pg->is_lost = true;
    pg_note(pg, NULL, &f);
    return pg_fail(db, &f, what, err);
}

int pg_exec(struct sv_db *db, const char *sql, char *tag, size_t tag_room, struct ql_err *err)
{
    struct pg *pg = db->conn;
    struct pg_failure f = {0};
    PGresult *res = NULL;

    if (!pg_send(pg, sql) || !pg_sync(pg))
        return lost(db, pg, "sending", err);
    res = want(pg, &f);
    if (res && tag)
        (void)snprintf(tag, tag_room, "%s", PQcmdStatus(res));
    PQclear(res);
    return finish(db, pg, &f, "running a command", err);
}

int sv_drv_query(struct sv_db *db, const char *sql, const char *one, const char *two, sv_text_fn fn,
                 void *arg, struct ql_err *err)
{
    const char *values[] = {one, two}, *columns[8];
    struct pg *pg = db->conn;
    struct pg_failure f = {0};
    bool begin = !pg->is_begun;
    PGresult *res = NULL;
    int rows = 0, r;

    if ((begin && !pg_send(pg, BEGIN_SQL)) ||
        PQsendQueryParams(pg->c, sql,
                          two   ? 2
                          : one ? 1
                                : 0,
                          NULL, values, NULL, NULL, 0) != 1 ||
        !pg_sync(pg))
        return lost(db, pg, "sending", err);
    if (begin) {
        res = want(pg, &f);
        pg->is_begun = res != NULL;
        PQclear(res);
    }
    res = want(pg, &f);
    if (res && PQntuples(res)) {
        for (int i = 0; i < 8; i++)
            columns[i] = i < PQnfields(res) && !PQgetisnull(res, 0, i) ? PQgetvalue(res, 0, i) : NULL;
        if (fn)
            fn(arg, columns);
        rows = 1;
    }
    PQclear(res);
    r = finish(db, pg, &f, "reading or making tables", err);
    return r < 0 ? r : rows;
}

/* ---- transactions ---- */

int sv_drv_begin(struct sv_db *db, struct ql_err *err)
{
    struct pg *pg = db->conn;

    (void)err;
    pg->is_begun = pg->is_failed = false; /* BEGIN travels with the first statement */
    return QL_OK;
}

void sv_drv_rollback(struct sv_db *db)
{
    struct pg *pg = db->conn;

    if (pg->is_begun && pg_exec(db, "ROLLBACK", NULL, 0, NULL) < 0)
        pg->is_lost = true; /* ROLLBACK fails with the connection alone */
    pg->is_begun = pg->is_failed = false;
}

/* ---- values ---- */

/** Parameters as libpq takes them. */
struct values {
    const char *data[SV_PARAM_MAX];
    int lengths[SV_PARAM_MAX], formats[SV_PARAM_MAX];
    uint64_t numbers[SV_PARAM_MAX];
    Oid types[SV_PARAM_MAX];
};

static void to_values(const struct sv_stmt *s, const struct ql_value *params, struct values *ret)
{
    for (uint32_t i = 0; i < s->param_count; i++) {
        const struct ql_value *v = &params[i];

        ret->formats[i] = 1;
        ret->types[i] = s->params[i].type == QL_COL_INT     ? PG_INT_OID
                        : s->params[i].type == QL_COL_BYTES ? PG_BYTES_OID
                                                            : PG_TEXT_OID;
        if (v->type == QL_COL_NULL) {
            ret->data[i] = NULL;
            ret->lengths[i] = 0;
        } else if (v->type == QL_COL_INT) {
            ret->numbers[i] = htobe64((uint64_t)v->i);
            ret->data[i] = (const char *)&ret->numbers[i];
            ret->lengths[i] = sizeof ret->numbers[i];
        } else {
            ret->data[i] = v->len ? v->data : "";
            ret->lengths[i] = (int)v->len;
        }
    }
}

static int read_value(struct sv_db *db, const struct sv_stmt *s, const PGresult *res, int row, int column,
                      struct ql_value *ret, struct ql_err *err)
{
    uint32_t type = s->result_types[column];
    uint64_t number = 0;

    *ret = (struct ql_value){.type = QL_COL_NULL};
    if (PQgetisnull(res, row, column))
        return QL_OK;
    ret->type = type;
    ret->len = (size_t)PQgetlength(res, row, column);
    ret->data = PQgetvalue(res, row, column);
    if (PQftype(res, column) != (type == QL_COL_INT     ? PG_INT_OID
                                 : type == QL_COL_BYTES ? PG_BYTES_OID
                                                        : PG_TEXT_OID))
        return db->host->fail(err, QL_ECORRUPT, "%s: column %d of %s has another type than it had", db->name,
                              column + 1, s->shape.table ? s->shape.table->name : "a table");
    if (type == QL_COL_INT) {
        memcpy(&number, ret->data, sizeof number);
        *ret = (struct ql_value){.type = QL_COL_INT, .i = (int64_t)be64toh(number)};
    }
    return QL_OK;
}

/** Hand out the rows of one answer. @return 1: the callback wants no more */
static int hand_out(struct sv_db *db, const struct sv_stmt *s, const PGresult *res, struct sv_rows *rows,
                    struct ql_err *err)
{
    struct ql_value row[QL_STORE_MAX_COLUMNS];

    if (PQntuples(res) && PQnfields(res) != (int)s->result_count)
        return db->host->fail(err, QL_ECORRUPT, "%s: %d columns came, wanted %u", db->name, PQnfields(res),
                              (unsigned)s->result_count);
    for (int i = 0; i < PQntuples(res); i++) {
        int r = QL_OK;

        rows->count++;
        for (int c = 0; r == QL_OK && c < (int)s->result_count; c++)
            r = read_value(db, s, res, i, c, &row[c], err);
        if (r == QL_OK && rows->fn)
            r = rows->fn(rows->arg, row, s->result_count);
        if (r < 0 || (r > 0 && !rows->keep_on))
            return r;
    }
    return QL_OK;
}

/* ---- statements ---- */

static const char *what_of(const struct sv_stmt *s)
{
    return s->shape.table ? s->shape.table->name : "bookkeeping";
}

static bool send_prepare(struct sv_db *db, struct pg *pg, const struct sv_stmt *s, const struct values *v)
{
    char name[24];

    (void)snprintf(name, sizeof name, "ql%u", s->number);
    (void)db;
    return PQsendPrepare(pg->c, name, s->sql, (int)s->param_count, v->types) == 1;
}

static bool send_run(struct pg *pg, const struct sv_stmt *s, const struct values *v)
{
    char name[24];

    (void)snprintf(name, sizeof name, "ql%u", s->number);
    return PQsendQueryPrepared(pg->c, name, (int)s->param_count, v->data, v->lengths, v->formats, 1) == 1;
}

static uint64_t changes_of(PGresult *res)
{
    return strtoull(PQcmdTuples(res), NULL, 10);
}

/** A unique index refused: back to before the statement, so that the transaction goes on. */
static int undo(struct sv_db *db, struct pg *pg, struct ql_err *err)
{
    struct pg_failure f = {0};

    if (!pg_send(pg, "ROLLBACK TO SAVEPOINT ql") || !pg_send(pg, "RELEASE SAVEPOINT ql") || !pg_sync(pg))
        return lost(db, pg, "sending", err);
    skip(pg, &f);
    skip(pg, &f);
    if (finish(db, pg, &f, "undoing a statement", err) < 0)
        return QL_EAGAIN;
    pg->is_failed = false;
    return db->host->fail(err, QL_ECONFLICT, "a unique value is there already");
}

/** Send what runs a statement but the end of the message. */
static bool send_all(struct sv_db *db, struct pg *pg, const struct sv_stmt *s, const struct values *v,
                     bool begin, bool prepare)
{
    return (!begin || pg_send(pg, BEGIN_SQL)) && (!prepare || send_prepare(db, pg, s, v)) &&
           (!s->guard || pg_send(pg, "SAVEPOINT ql")) && send_run(pg, s, v) &&
           (!s->guard || pg_send(pg, "RELEASE SAVEPOINT ql"));
}

/** Answers to that up to the statement's own. @return it, PQclear(); NULL: a failure is noted */
static PGresult *take_all(struct sv_db *db, struct pg *pg, struct sv_stmt *s, bool begin, bool prepare,
                          struct pg_failure *f)
{
    PGresult *res = NULL;

    if (begin) {
        res = want(pg, f);
        pg->is_begun = res != NULL;
        PQclear(res);
    }
    if (prepare) {
        res = want(pg, f);
        s->generation = res ? db->generation : 0;
        PQclear(res);
    }
    if (s->guard)
        skip(pg, f);
    res = want(pg, f);
    if (s->guard)
        skip(pg, f);
    return res;
}

static int run_long(struct sv_db *db, struct sv_stmt *s, const struct values *v, struct sv_rows *rows,
                    struct ql_err *err);

int sv_drv_run(struct sv_db *db, struct sv_stmt *s, const struct ql_value *params, struct sv_rows *rows,
               uint64_t *changes, struct ql_err *err)
{
    struct pg *pg = db->conn;
    struct pg_failure f = {0};
    struct values v;
    bool begin = !pg->is_begun, prepare = s->generation != db->generation;
    PGresult *res = NULL;
    int r;

    to_values(s, params, &v);
    if (rows && rows->is_long)
        return run_long(db, s, &v, rows, err);
    if (!send_all(db, pg, s, &v, begin, prepare) || !pg_sync(pg))
        return lost(db, pg, what_of(s), err);
    res = take_all(db, pg, s, begin, prepare, &f);
    r = finish(db, pg, &f, what_of(s), err);
    if (r == QL_ECONFLICT && s->guard) {
        PQclear(res);
        return undo(db, pg, err);
    }
    if (r == QL_OK && rows)
        r = hand_out(db, s, res, rows, err);
    if (r >= 0)
        *changes = changes_of(res);
    PQclear(res);
    return r < 0 ? r : QL_OK;
}

/* ---- many ---- */

/** Send all; a statement that the server does not know yet is prepared by the first call of it. @param[out] fresh  which */
static bool send_many(struct sv_db *db, struct pg *pg, const struct sv_call *calls, uint32_t count,
                      bool begin, bool *fresh)
{
    struct values v;

    if (begin && !pg_send(pg, BEGIN_SQL))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct sv_stmt *s = calls[i].s;

        to_values(s, calls[i].params, &v);
        fresh[i] = s->generation != db->generation;
        if (fresh[i] && !send_prepare(db, pg, s, &v))
            return false;
        s->generation = db->generation; /* as long as nothing fails */
        if (!send_run(pg, s, &v))
            return false;
    }
    return pg_sync(pg);
}

int sv_drv_many(struct sv_db *db, struct sv_call *calls, uint32_t count, struct ql_err *err)
{
    struct pg *pg = db->conn;
    struct pg_failure f = {0};
    bool begin = !pg->is_begun, *fresh = calloc(count ? count : 1, sizeof *fresh);
    uint32_t failed = count;
    PGresult *res = NULL;
    int r;

    if (!fresh)
        return sv_nomem(db->host, err);
    if (!send_many(db, pg, calls, count, begin, fresh)) {
        free(fresh);
        return lost(db, pg, "sending", err);
    }
    if (begin) {
        res = want(pg, &f);
        pg->is_begun = res != NULL;
        PQclear(res);
    }
    for (uint32_t i = 0; i < count && PQstatus(pg->c) == CONNECTION_OK; i++) {
        if (fresh[i]) {
            res = want(pg, &f);
            calls[i].s->generation = res ? db->generation : 0;
            PQclear(res);
        }
        res = want(pg, &f);
        if (!res && failed == count)
            failed = i;
        calls[i].result = res && changes_of(res) ? QL_OK : QL_ECONFLICT;
        PQclear(res);
    }
    free(fresh);
    r = finish(db, pg, &f, count ? what_of(calls[0].s) : "", err);
    if (r < 0 && failed < count)
        calls[failed].result = r;
    return r;
}

/* ---- any number of rows ---- */

enum {
    FIRST_FETCH = 16, /* rows of the first portion */
    MOST_FETCH = 512,
    FETCH_BYTES = 1 << 20 /* a portion above is followed by a smaller one */
};

static size_t size_of(const PGresult *res)
{
    return PQresultMemorySize(res);
}

static int fetch(struct sv_db *db, struct pg *pg, unsigned cursor, unsigned count, PGresult **ret,
                 struct ql_err *err)
{
    struct pg_failure f = {0};
    char sql[64];
    int r;

    (void)snprintf(sql, sizeof sql, "FETCH %u FROM qlc%u", count, cursor);
    if (PQsendQueryParams(pg->c, sql, 0, NULL, NULL, NULL, NULL, 1) != 1 || !pg_sync(pg))
        return lost(db, pg, "fetching", err);
    *ret = want(pg, &f);
    r = finish(db, pg, &f, "fetching", err);
    if (r < 0) {
        PQclear(*ret);
        *ret = NULL;
    }
    return r;
}

static int declare(struct sv_db *db, struct pg *pg, const struct sv_stmt *s, const struct values *v,
                   unsigned cursor, struct ql_err *err)
{
    bool begin = !pg->is_begun;
    struct pg_failure f = {0};
    PGresult *res = NULL;
    char *sql = NULL;
    bool sent;

    if (asprintf(&sql, "DECLARE qlc%u NO SCROLL CURSOR FOR %s", cursor, s->sql) < 0)
        return sv_nomem(db->host, err);
    sent = (!begin || pg_send(pg, BEGIN_SQL)) &&
           PQsendQueryParams(pg->c, sql, (int)s->param_count, v->types, v->data, v->lengths, v->formats, 1) ==
               1 &&
           pg_sync(pg);
    free(sql);
    if (!sent)
        return lost(db, pg, what_of(s), err);
    if (begin) {
        res = want(pg, &f);
        pg->is_begun = res != NULL;
        PQclear(res);
    }
    skip(pg, &f);
    return finish(db, pg, &f, what_of(s), err);
}

static int run_long(struct sv_db *db, struct sv_stmt *s, const struct values *v, struct sv_rows *rows,
                    struct ql_err *err)
{
    struct pg *pg = db->conn;
    unsigned cursor = ++pg->cursors, count = FIRST_FETCH;
    char sql[48];
    int r = declare(db, pg, s, v, cursor, err), got = 1;

    while (r == QL_OK && got) {
        PGresult *res = NULL;

        r = fetch(db, pg, cursor, count, &res, err);
        if (r < 0)
            break;
        got = PQntuples(res);
        r = hand_out(db, s, res, rows, err);
        if (got < (int)count)
            got = 0;
        else if (size_of(res) > FETCH_BYTES)
            count = count > 1 ? count / 2 : 1;
        else
            count = count < MOST_FETCH ? count * 2 : count;
        PQclear(res);
    }
    if (pg->is_failed || !sv_drv_usable(db))
        return r;
    (void)snprintf(sql, sizeof sql, "CLOSE qlc%u", cursor);
    (void)pg_exec(db, sql, NULL, 0, NULL); /* ends with the transaction anyway */
    return r < 0 ? r : QL_OK;
}

/* ---- commit ---- */

int sv_drv_commit(struct sv_db *db, struct sv_stmt *mark, const struct ql_value *params, bool *is_unsure,
                  struct ql_err *err)
{
    struct pg *pg = db->conn;
    struct pg_failure f = {0};
    bool prepare = mark && mark->generation != db->generation;
    PGresult *res = NULL;
    struct values v;
    int r;

    if (!pg->is_begun)
        return QL_OK; /* nothing was asked */
    if (mark)
        to_values(mark, params, &v);
    if ((mark && !send_all(db, pg, mark, &v, false, prepare)) || !pg_send(pg, "COMMIT") || !pg_sync(pg)) {
        *is_unsure = true;
        return lost(db, pg, "commit", err);
    }
    if (mark)
        PQclear(take_all(db, pg, mark, false, prepare, &f));
    res = want(pg, &f);
    r = finish(db, pg, &f, "commit", err);
    /* COMMIT of what has failed is answered with ROLLBACK, and is no error. */
    if (r == QL_OK && strcmp(PQcmdStatus(res), "COMMIT") != 0)
        r = db->host->fail(err, QL_EINTERNAL, "%s: the transaction had failed", db->name);
    PQclear(res);
    *is_unsure = r < 0 && !sv_drv_usable(db);
    if (r == QL_OK)
        pg->is_begun = pg->is_failed = false;
    return r;
}
