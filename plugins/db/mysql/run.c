/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "mysql.h"

enum {
    PREFETCH = 16,     /* rows of a portion of a long scan */
    SPARE_BYTES = 4096 /* of a message, beside its values */
};

static const char *what_of(const struct sv_stmt *s)
{
    return s->shape.table ? s->shape.table->name : "bookkeeping";
}

int my_exec(struct sv_db *db, const char *sql, struct ql_err *err)
{
    struct my *my = db->conn;
    MYSQL_RES *res = NULL;

    if (mysql_real_query(my->c, sql, strlen(sql)))
        return mysql_errno(my->c) == ER_DUP_KEYNAME ? QL_OK : my_fail_conn(db, "running a command", err);
    res = mysql_store_result(my->c);
    if (res)
        mysql_free_result(res);
    return QL_OK;
}

/* ---- queries about the schema ---- */

static int query_rows(struct sv_db *db, MYSQL_STMT *stmt, sv_text_fn fn, void *arg, struct ql_err *err)
{
    MYSQL_BIND bind[8] = {0};
    const char *columns[8] = {NULL};
    unsigned long lengths[8] = {0};
    my_bool nulls[8] = {0};
    char texts[8][128] = {""};
    unsigned count = mysql_stmt_field_count(stmt);
    int r;

    if (!count)
        return 0;
    if (count > 8)
        return db->host->fail(err, QL_EINTERNAL, "%s: %u columns", db->name, count);
    for (unsigned i = 0; i < 8; i++)
        bind[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                               .buffer = texts[i],
                               .buffer_length = sizeof texts[i] - 1,
                               .length = &lengths[i],
                               .is_null = &nulls[i]};
    if (mysql_stmt_bind_result(stmt, bind) || mysql_stmt_store_result(stmt))
        return my_fail_stmt(db, stmt, "reading tables", err);
    r = mysql_stmt_fetch(stmt);
    if (r == 1)
        return my_fail_stmt(db, stmt, "reading tables", err);
    if (r == MYSQL_NO_DATA)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        texts[i][lengths[i] < sizeof texts[i] ? lengths[i] : sizeof texts[i] - 1] = 0;
        columns[i] = nulls[i] ? NULL : texts[i];
    }
    if (fn)
        fn(arg, columns);
    return 1;
}

int sv_drv_query(struct sv_db *db, const char *sql, const char *one, const char *two, sv_text_fn fn,
                 void *arg, struct ql_err *err)
{
    const char *values[] = {one, two};
    struct my *my = db->conn;
    MYSQL_BIND bind[2] = {0};
    MYSQL_STMT *stmt = NULL;
    unsigned long wanted;
    int r;

    if (!one && !fn)
        return my_exec(db, sql, err);
    stmt = mysql_stmt_init(my->c);
    if (!stmt)
        return sv_nomem(db->host, err);
    if (mysql_stmt_prepare(stmt, sql, strlen(sql))) {
        r = my_fail_stmt(db, stmt, "reading tables", err);
        (void)mysql_stmt_close(stmt); /* reported above */
        return r;
    }
    for (int i = 0; i < 2; i++)
        if (values[i])
            bind[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                   .buffer = (void *)(uintptr_t)values[i],
                                   .buffer_length = strlen(values[i])};
    wanted = mysql_stmt_param_count(stmt);
    if (wanted > 2U - !two || (wanted && mysql_stmt_bind_param(stmt, bind)) || mysql_stmt_execute(stmt))
        r = my_fail_stmt(db, stmt, "reading tables", err);
    else
        r = query_rows(db, stmt, fn, arg, err);
    (void)mysql_stmt_close(stmt); /* a read that went well, or was reported */
    return r;
}

/* ---- transactions ---- */

int sv_drv_begin(struct sv_db *db, struct ql_err *err)
{
    struct my *my = db->conn;

    (void)err;
    my->is_failed = false;
    return QL_OK;
}

void sv_drv_rollback(struct sv_db *db)
{
    struct my *my = db->conn;

    if (mysql_rollback(my->c))
        my->is_lost = true; /* whatever the reason: a new session has no transaction */
}

int sv_drv_commit(struct sv_db *db, struct sv_stmt *mark, const struct ql_value *params, bool *is_unsure,
                  struct ql_err *err)
{
    struct my *my = db->conn;
    uint64_t changes = 0;
    int r = QL_OK;

    if (my->is_failed)
        return db->host->fail(err, QL_EINTERNAL, "%s: the transaction had failed", db->name);
    if (mark)
        r = sv_drv_run(db, mark, params, NULL, &changes, err);
    if (r < 0)
        return r;
    if (!mysql_commit(my->c))
        return QL_OK;
    r = my_fail_conn(db, "commit", err);
    *is_unsure = my->is_lost;
    return r;
}

/* ---- values ---- */

/** Parameters as the library takes them. */
struct values {
    MYSQL_BIND bind[SV_PARAM_MAX];
    int64_t numbers[SV_PARAM_MAX];
};

static int to_values(struct sv_db *db, const struct sv_stmt *s, const struct ql_value *params,
                     struct values *ret, struct ql_err *err)
{
    const struct my *my = db->conn;
    uint64_t bytes = SPARE_BYTES;

    for (uint32_t i = 0; i < s->param_count; i++) {
        const struct ql_value *v = &params[i];
        MYSQL_BIND *b = &ret->bind[i];

        *b = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_NULL};
        if (v->type == QL_COL_INT) {
            ret->numbers[i] = v->i;
            b->buffer_type = MYSQL_TYPE_LONGLONG;
            b->buffer = &ret->numbers[i];
        } else if (v->type != QL_COL_NULL) {
            b->buffer_type = v->type == QL_COL_BYTES ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
            b->buffer = (void *)(uintptr_t)(v->len ? v->data : "");
            b->buffer_length = v->len;
            bytes += v->len + 16;
        }
    }
    if (my->most_bytes && bytes > my->most_bytes)
        return db->host->fail(
            err, QL_ELIMIT,
            "%s: a row of %s has %llu bytes, the server takes %llu: raise its max_allowed_packet", db->name,
            what_of(s), (unsigned long long)bytes, (unsigned long long)my->most_bytes);
    return QL_OK;
}

/** A row under way: numbers in place, texts and bytes fetched when their length is known. */
struct line {
    MYSQL_BIND bind[QL_STORE_MAX_COLUMNS];
    int64_t numbers[QL_STORE_MAX_COLUMNS];
    unsigned long lengths[QL_STORE_MAX_COLUMNS];
    my_bool nulls[QL_STORE_MAX_COLUMNS];
    my_bool errors[QL_STORE_MAX_COLUMNS];
    struct ql_value row[QL_STORE_MAX_COLUMNS];
    char *memory;
    size_t room;
};

static int bind_line(struct sv_db *db, const struct sv_stmt *s, struct line *l, struct ql_err *err)
{
    if (mysql_stmt_field_count(s->driver) != s->result_count)
        return db->host->fail(err, QL_ECORRUPT, "%s: %u columns came, wanted %u", db->name,
                              mysql_stmt_field_count(s->driver), (unsigned)s->result_count);
    for (uint32_t i = 0; i < s->result_count; i++) {
        bool number = s->result_types[i] == QL_COL_INT;

        l->bind[i] = (MYSQL_BIND){.buffer_type = number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB,
                                  .buffer = number ? (void *)&l->numbers[i] : NULL,
                                  .length = &l->lengths[i],
                                  .is_null = &l->nulls[i],
                                  .error = &l->errors[i]};
    }
    return mysql_stmt_bind_result(s->driver, l->bind) ? my_fail_stmt(db, s->driver, what_of(s), err) : QL_OK;
}

static int read_line(struct sv_db *db, const struct sv_stmt *s, struct line *l, struct ql_err *err)
{
    size_t need = 0, at = 0;

    for (uint32_t i = 0; i < s->result_count; i++)
        if (!l->nulls[i] && s->result_types[i] != QL_COL_INT)
            need += l->lengths[i] + 1;
    if (need > l->room) {
        free(l->memory);
        l->room = need + need / 2;
        l->memory = malloc(l->room);
        if (!l->memory) {
            l->room = 0;
            return sv_nomem(db->host, err);
        }
    }
    for (uint32_t i = 0; i < s->result_count; i++) {
        struct ql_value *v = &l->row[i];
        size_t len = l->lengths[i];
        MYSQL_BIND b = {.buffer_type = MYSQL_TYPE_BLOB};
        unsigned long got = 0;
        my_bool null = 0, error = 0;

        *v = (struct ql_value){.type = QL_COL_NULL};
        if (l->nulls[i])
            continue;
        if (s->result_types[i] == QL_COL_INT) {
            *v = sv_int(l->numbers[i]);
            continue;
        }
        b.buffer = l->memory + at;
        b.buffer_length = len;
        b.length = &got;
        b.is_null = &null;
        b.error = &error;
        if (len && mysql_stmt_fetch_column(s->driver, &b, i, 0))
            return my_fail_stmt(db, s->driver, what_of(s), err);
        l->memory[at + len] = 0;
        *v = (struct ql_value){.type = s->result_types[i], .data = l->memory + at, .len = len};
        at += len + 1;
    }
    return QL_OK;
}

static int hand_out(struct sv_db *db, const struct sv_stmt *s, struct sv_rows *rows, struct line *l,
                    struct ql_err *err)
{
    int r = bind_line(db, s, l, err);

    /* Other statements may run between two rows: the rows are here, or wait on the server in a cursor. */
    if (r == QL_OK && !rows->is_long && mysql_stmt_store_result(s->driver))
        r = my_fail_stmt(db, s->driver, what_of(s), err);
    while (r == QL_OK) {
        int got = mysql_stmt_fetch(s->driver);

        if (got == MYSQL_NO_DATA)
            return QL_OK;
        if (got == 1)
            return my_fail_stmt(db, s->driver, what_of(s), err);
        rows->count++;
        r = rows->fn ? read_line(db, s, l, err) : QL_OK;
        if (r == QL_OK && rows->fn)
            r = rows->fn(rows->arg, l->row, s->result_count);
        if (r > 0 && rows->keep_on)
            r = QL_OK;
    }
    return r < 0 ? r : QL_OK;
}

/* ---- statements ---- */

int my_prepare(struct sv_db *db, struct sv_stmt *s, struct ql_err *err)
{
    struct my *my = db->conn;

    if (s->driver && s->generation == db->generation)
        return QL_OK;
    sv_drv_forget(db, s);
    s->driver = mysql_stmt_init(my->c);
    if (!s->driver)
        return sv_nomem(db->host, err);
    if (mysql_stmt_prepare(s->driver, s->sql, strlen(s->sql))) {
        int r = my_fail_stmt(db, s->driver, what_of(s), err);

        sv_drv_forget(db, s);
        return r;
    }
    if (mysql_stmt_param_count(s->driver) != s->param_count) {
        sv_drv_forget(db, s);
        return db->host->fail(err, QL_EINTERNAL, "%s: parameters are miscounted", what_of(s));
    }
    s->generation = db->generation;
    return QL_OK;
}

static int execute(struct sv_db *db, struct sv_stmt *s, struct values *v, bool is_long, struct ql_err *err)
{
    unsigned long cursor = is_long ? CURSOR_TYPE_READ_ONLY : CURSOR_TYPE_NO_CURSOR, prefetch = PREFETCH;

    if (mysql_stmt_attr_set(s->driver, STMT_ATTR_CURSOR_TYPE, &cursor) ||
        (is_long && mysql_stmt_attr_set(s->driver, STMT_ATTR_PREFETCH_ROWS, &prefetch)) ||
        (s->param_count && mysql_stmt_bind_param(s->driver, v->bind)) || mysql_stmt_execute(s->driver))
        return my_fail_stmt(db, s->driver, what_of(s), err);
    return QL_OK;
}

int sv_drv_run(struct sv_db *db, struct sv_stmt *s, const struct ql_value *params, struct sv_rows *rows,
               uint64_t *changes, struct ql_err *err)
{
    struct values v;
    struct line *l = NULL;
    int r;

    r = to_values(db, s, params, &v, err);
    if (r == QL_OK)
        r = my_prepare(db, s, err);
    if (r != QL_OK)
        return r;
    r = execute(db, s, &v, rows && rows->is_long, err);
    if (r == QL_OK && s->result_count && rows) {
        l = calloc(1, sizeof *l);
        r = l ? hand_out(db, s, rows, l, err) : sv_nomem(db->host, err);
        if (l)
            free(l->memory);
        free(l);
    } else if (r == QL_OK) {
        *changes = mysql_stmt_affected_rows(s->driver);
    }
    (void)mysql_stmt_free_result(s->driver); /* a failure shows at its next use */
    return r;
}
