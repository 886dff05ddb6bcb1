/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite.h"

static int code_of(struct sq_db *db, int result)
{
    int last = errno;
    int sys = db->conn ? sqlite3_system_errno(db->conn) : 0;

    if (!sys)
        sys = last;
    switch (result) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_ROWID:
        return QL_ECONFLICT;
    case SQLITE_IOERR_NOMEM:
        return QL_ENOMEM;
    default:
        break;
    }
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return QL_EAGAIN;
    case SQLITE_FULL:
        return QL_EFULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return QL_EACCES;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return QL_ECORRUPT;
    case SQLITE_NOMEM:
        return QL_ENOMEM;
    case SQLITE_TOOBIG:
        return QL_ELIMIT;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return QL_ERANGE;
    case SQLITE_CANTOPEN:
        return sys == EACCES || sys == EROFS || sys == EPERM ? QL_EACCES : QL_EIO;
    case SQLITE_IOERR:
        return sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? QL_EFULL : QL_EIO;
    default:
        return QL_EINTERNAL;
    }
}

int sq_fail(struct sq_db *db, int result, const char *what, struct ql_err *err)
{
    int code = code_of(db, result);
    const char *text = db->conn ? sqlite3_errmsg(db->conn) : sqlite3_errstr(result);

    switch (code) {
    case QL_ECORRUPT:
        return db->host->fail(err, code, "database %s is damaged (%s: %s); it was left as it is", db->path,
                              what, text);
    case QL_EFULL:
        return db->host->fail(err, code, "database %s: no room left (%s: %s)", db->path, what, text);
    case QL_EACCES:
        return db->host->fail(err, code, "database %s cannot be written (%s: %s)", db->path, what, text);
    case QL_EAGAIN:
        return db->host->fail(err, code, "database %s is held by another process (%s: %s)", db->path, what,
                              text);
    default:
        return db->host->fail(err, code, "database %s: %s: %s", db->path, what, text);
    }
}

int sq_exec(struct sq_db *db, const char *sql, struct ql_err *err)
{
    int r;

    errno = 0; /* code_of() looks at it: SQLite does not keep the reason why a commit could not write */
    r = sqlite3_exec(db->conn, sql, NULL, NULL, NULL);
    return r == SQLITE_OK ? QL_OK : sq_fail(db, r, sql, err);
}

static size_t bucket_of(const struct sq_shape *shape)
{
    uint64_t h = (uint64_t)(uintptr_t)shape->table >> 4;

    h = h * 31 + shape->op;
    h = h * 31 + ((uint64_t)(uintptr_t)shape->index >> 4);
    h = h * 31 + shape->mask;
    h = h * 31 + shape->has_from;
    for (uint32_t i = 0; i < shape->cond_count; i++)
        h = h * 31 + shape->cond[i];
    h ^= h >> 29;
    return (size_t)(h % SQ_STMT_MAX);
}

static bool same_shape(const struct sq_shape *a, const struct sq_shape *b)
{
    return a->table == b->table && a->index == b->index && a->mask == b->mask && a->op == b->op &&
           a->has_from == b->has_from && a->cond_count == b->cond_count &&
           !memcmp(a->cond, b->cond, a->cond_count * sizeof a->cond[0]);
}

static void stmt_free(struct sq_stmt *s)
{
    (void)sqlite3_finalize(s->stmt); /* repeats an error that was reported already */
    free(s);
}

int sq_prepare(struct sq_db *db, const struct sq_shape *shape, struct sq_stmt **ret, struct ql_err *err)
{
    size_t bucket = bucket_of(shape);
    struct sq_stmt *s = NULL;
    char *sql = NULL;
    int r;

    if (!db->conn)
        return db->host->fail(err, QL_EINTERNAL, "the tables of the database have not been opened");
    for (s = db->cache[bucket]; s; s = s->next)
        if (!s->busy && same_shape(&s->shape, shape)) {
            s->busy = true;
            *ret = s;
            return QL_OK;
        }
    s = calloc(1, sizeof *s);
    sql = s ? sq_sql(shape) : NULL;
    if (!sql) {
        free(s);
        return db->host->fail(err, QL_ENOMEM, "out of memory");
    }
    s->shape = *shape;
    r = sqlite3_prepare_v3(db->conn, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
    sqlite3_free(sql);
    if (r != SQLITE_OK) {
        free(s);
        return sq_fail(db, r, "preparing a statement", err);
    }
    s->busy = true;
    if (db->cached < SQ_STMT_MAX) {
        s->cached = true;
        s->next = db->cache[bucket];
        db->cache[bucket] = s;
        db->cached++;
    }
    *ret = s;
    return QL_OK;
}

void sq_release(struct sq_db *db, struct sq_stmt *s)
{
    (void)db;
    s->busy = false;
    if (!s->cached) {
        stmt_free(s);
        return;
    }
    (void)sqlite3_reset(s->stmt); /* repeats an error that was reported already */
    (void)sqlite3_clear_bindings(s->stmt);
}

void sq_flush(struct sq_db *db)
{
    for (size_t i = 0; i < SQ_STMT_MAX; i++)
        while (db->cache[i]) {
            struct sq_stmt *s = db->cache[i];

            db->cache[i] = s->next;
            stmt_free(s);
        }
    db->cached = 0;
}

int sq_bind(struct sq_db *db, struct sq_stmt *s, int at, uint32_t column, const struct ql_value *v,
            struct ql_err *err)
{
    const struct ql_table *t = s->shape.table;
    const struct ql_column *c = &t->columns[column];
    bool is_text = c->type == QL_COL_TEXT || c->type == QL_COL_JSON;
    int r;

    switch (v->type) {
    case QL_COL_NULL:
        if (column < t->key_count && s->shape.op != SQ_SCAN)
            return db->host->fail(err, QL_ERANGE, "%s.%s is a key and cannot be null", t->name, c->name);
        r = sqlite3_bind_null(s->stmt, at);
        break;
    case QL_COL_INT:
        if (c->type != QL_COL_INT)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take a number", t->name, c->name);
        r = sqlite3_bind_int64(s->stmt, at, v->i);
        break;
    case QL_COL_TEXT:
    case QL_COL_JSON:
        if (!is_text)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take text", t->name, c->name);
        if (v->len && memchr(v->data, 0, v->len))
            return db->host->fail(err, QL_ERANGE, "text for %s.%s has a NUL", t->name, c->name);
        r = sqlite3_bind_text64(s->stmt, at, v->len ? v->data : "", v->len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case QL_COL_BYTES:
        if (c->type != QL_COL_BYTES)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take bytes", t->name, c->name);
        r = sqlite3_bind_blob64(s->stmt, at, v->len ? v->data : "", v->len, SQLITE_STATIC);
        break;
    default:
        return db->host->fail(err, QL_ERANGE, "value for %s.%s has the unknown type %u", t->name, c->name,
                              (unsigned)v->type);
    }
    return r == SQLITE_OK ? QL_OK : sq_fail(db, r, "binding a value", err);
}

/**
 * Column n as it is stored. A type that does not fit the table is passed on as it is: whoever reads the row knows
 * whether it can do without.
 */
static int read_value(struct sq_db *db, struct sq_stmt *s, int at, struct ql_value *ret, struct ql_err *err)
{
    const void *data = NULL;

    *ret = (struct ql_value){.type = QL_COL_NULL};
    switch (sqlite3_column_type(s->stmt, at)) {
    case SQLITE_INTEGER:
        ret->type = QL_COL_INT;
        ret->i = sqlite3_column_int64(s->stmt, at);
        return QL_OK;
    case SQLITE_NULL:
        return QL_OK;
    case SQLITE_BLOB:
        data = sqlite3_column_blob(s->stmt, at);
        ret->type = QL_COL_BYTES;
        ret->len = (size_t)sqlite3_column_bytes(s->stmt, at);
        ret->data = data ? data : "";
        return data || !ret->len ? QL_OK : sq_fail(db, SQLITE_NOMEM, "reading a row", err);
    default:
        data = sqlite3_column_text(s->stmt, at);
        if (!data)
            return sq_fail(db, SQLITE_NOMEM, "reading a row", err);
        ret->type = s->shape.table->columns[at].type == QL_COL_JSON ? QL_COL_JSON : QL_COL_TEXT;
        ret->len = (size_t)sqlite3_column_bytes(s->stmt, at);
        ret->data = data;
        return QL_OK;
    }
}

int sq_rows(struct sq_db *db, struct sq_stmt *s, ql_row_fn fn, void *arg, bool keep_on, uint64_t *count,
            struct ql_err *err)
{
    struct ql_value row[QL_STORE_MAX_COLUMNS];
    uint32_t columns = s->shape.table->column_count;
    uint64_t n = 0;
    int r;

    while ((r = sqlite3_step(s->stmt)) == SQLITE_ROW) {
        n++;
        for (uint32_t i = 0; i < columns; i++) {
            r = read_value(db, s, (int)i, &row[i], err);
            if (r < 0)
                return r;
        }
        r = fn ? fn(arg, row, columns) : 0;
        if (r < 0)
            return r;
        if (r > 0 && !keep_on) {
            r = SQLITE_DONE;
            break;
        }
    }
    if (r != SQLITE_DONE)
        return sq_fail(db, r, "reading", err);
    if (count)
        *count = n;
    return QL_OK;
}

int sq_step(struct sq_db *db, struct sq_stmt *s, uint64_t *changes, struct ql_err *err)
{
    int r = sqlite3_step(s->stmt);

    if (r != SQLITE_DONE)
        return sq_fail(db, r, s->shape.table->name, err);
    *changes = (uint64_t)sqlite3_changes64(db->conn);
    return QL_OK;
}
