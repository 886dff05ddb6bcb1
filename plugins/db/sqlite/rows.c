/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sqlite.h"

int sq_begin(void *plugin, void *at, struct ql_err *err)
{
    struct sq_db *db = at;

    (void)plugin;
    if (!db->conn)
        return db->host->fail(err, QL_EINTERNAL, "the tables of the database have not been opened");
    /* IMMEDIATE: a reader that becomes a writer could not be repeated in the middle. */
    return sq_exec(db, "BEGIN IMMEDIATE", err);
}

int sq_commit(void *plugin, void *at, struct ql_err *err)
{
    struct sq_db *db = at;

    (void)plugin;
    /* SQLite ends a transaction by itself after some errors; what is gone must not look committed. */
    if (!db->conn || sqlite3_get_autocommit(db->conn))
        return db->host->fail(err, QL_EINTERNAL, "no transaction to commit");
    return sq_exec(db, "COMMIT", err);
}

void sq_rollback(void *plugin, void *at)
{
    struct sq_db *db = at;

    (void)plugin;
    if (db->conn && !sqlite3_get_autocommit(db->conn))
        (void)sqlite3_exec(db->conn, "ROLLBACK", NULL, NULL,
                           NULL); /* what fails here ended the transaction */
}

static int add_conds(struct sq_db *db, struct sq_shape *shape, const struct ql_cond *only_if, uint32_t count,
                     struct ql_err *err)
{
    if (count > SQ_COND_MAX)
        return db->host->fail(err, QL_ELIMIT, "%u conditions, at most %d", (unsigned)count, SQ_COND_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (only_if[i].column >= shape->table->column_count)
            return db->host->fail(err, QL_ERANGE, "condition on column %u, %s has %u",
                                  (unsigned)only_if[i].column, shape->table->name,
                                  (unsigned)shape->table->column_count);
        shape->cond[i] = only_if[i].column;
    }
    shape->cond_count = count;
    return QL_OK;
}

static int bind_key(struct sq_db *db, struct sq_stmt *s, int at, const struct ql_value *key,
                    struct ql_err *err)
{
    for (uint32_t i = 0; i < s->shape.table->key_count; i++) {
        int r = sq_bind(db, s, at + (int)i, i, &key[i], err);

        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int bind_conds(struct sq_db *db, struct sq_stmt *s, int at, const struct ql_cond *only_if,
                      struct ql_err *err)
{
    for (uint32_t i = 0; i < s->shape.cond_count; i++) {
        int r = sq_bind(db, s, at + (int)i, only_if[i].column, &only_if[i].value, err);

        if (r < 0)
            return r;
    }
    return QL_OK;
}

int sq_get(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn,
           void *arg, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_GET, .table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    uint64_t count = 0;
    int r;

    (void)plugin;
    r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    r = bind_key(db, s, 1, key, err);
    if (r == QL_OK)
        r = sq_rows(db, s, fn, arg, true, &count, err);
    sq_release(db, s);
    if (r == QL_OK && !count)
        return db->host->fail(err, QL_ENOTFOUND, "no such row in %s", t->name);
    return r;
}

static int put_bind(struct sq_db *db, struct sq_stmt *s, const struct ql_value *row, uint64_t mask,
                    const struct ql_cond *only_if, struct ql_err *err)
{
    const struct ql_table *t = s->shape.table;
    int at = (int)t->column_count + 1;
    int r;

    for (uint32_t i = 0; i < t->column_count; i++)
        if (mask & (UINT64_C(1) << i)) {
            r = sq_bind(db, s, (int)i + 1, i, &row[i], err);
            if (r < 0)
                return r;
        }
    if (s->shape.op == SQ_UPDATE) {
        r = bind_key(db, s, at, row, err);
        if (r < 0)
            return r;
        at += (int)t->key_count;
    }
    return bind_conds(db, s, at, only_if, err);
}

int sq_put(void *plugin, void *at, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    uint64_t all = t->column_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->column_count) - 1;
    uint64_t keys = t->key_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->key_count) - 1;
    struct sq_shape shape = {.table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    uint64_t changes = 0;
    int r;

    (void)plugin;
    switch (mode) {
    case QL_PUT_INSERT:
        shape.op = SQ_INSERT;
        if (cond_count)
            return db->host->fail(err, QL_ERANGE, "an insert takes no conditions");
        break;
    case QL_PUT_UPDATE:
        shape.op = SQ_UPDATE;
        shape.mask = mask & all & ~keys;
        break;
    case QL_PUT_UPSERT:
        shape.op = SQ_UPSERT;
        break;
    default:
        return db->host->fail(err, QL_ERANGE, "unknown way %u to put a row", (unsigned)mode);
    }
    r = add_conds(db, &shape, only_if, cond_count, err);
    if (r == QL_OK)
        r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    r = put_bind(db, s, row, mode == QL_PUT_UPDATE ? shape.mask : all, only_if, err);
    if (r == QL_OK)
        r = sq_step(db, s, &changes, err);
    sq_release(db, s);
    if (r == QL_OK && !changes)
        return db->host->fail(err, QL_ECONFLICT, "%s: no row meets the condition", t->name);
    return r;
}

int sq_del(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_DELETE, .table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    uint64_t changes = 0;
    int r;

    r = add_conds(db, &shape, only_if, cond_count, err);
    if (r == QL_OK)
        r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    r = bind_key(db, s, 1, key, err);
    if (r == QL_OK)
        r = bind_conds(db, s, (int)t->key_count + 1, only_if, err);
    if (r == QL_OK)
        r = sq_step(db, s, &changes, err);
    sq_release(db, s);
    if (r < 0 || changes)
        return r;
    r = sq_get(plugin, db, t, key, NULL, NULL, err);
    if (r == QL_OK)
        return db->host->fail(err, QL_ECONFLICT, "%s: the row does not meet the condition", t->name);
    return r;
}

static int scan_shape(struct sq_db *db, struct sq_shape *shape, const char *index,
                      const struct ql_value *from, uint32_t from_count, uint32_t *columns, struct ql_err *err)
{
    const struct ql_table *t = shape->table;
    uint32_t count = 0;

    for (uint32_t i = 0; index && i < t->index_count; i++)
        if (!strcmp(t->indexes[i].name, index))
            shape->index = &t->indexes[i];
    if (index && !shape->index)
        return db->host->fail(err, QL_ERANGE, "%s has no index %s", t->name, index);
    if (shape->index)
        for (const char *const *c = shape->index->columns; *c && count < QL_STORE_MAX_COLUMNS; c++)
            columns[count++] = sq_column(t, *c);
    else
        for (; count < t->key_count; count++)
            columns[count] = count;
    if (!from)
        return (int)count;
    if (from_count != count)
        return db->host->fail(err, QL_ERANGE, "%u values to start from, the index of %s has %u columns",
                              (unsigned)from_count, t->name, (unsigned)count);
    shape->has_from = 1;
    for (uint32_t i = 0; i < count; i++)
        if (from[i].type == QL_COL_NULL)
            shape->mask |= UINT64_C(1) << i;
    return (int)count;
}

int sq_scan(void *plugin, void *at, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_SCAN, .table = t};
    uint32_t columns[QL_STORE_MAX_COLUMNS] = {0};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    int count, r;

    (void)plugin;
    count = scan_shape(db, &shape, index, from, from_count, columns, err);
    if (count < 0)
        return count;
    r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    for (int i = 0; r == QL_OK && from && i < count; i++)
        r = sq_bind(db, s, i + 1, columns[i], &from[i], err);
    if (r == QL_OK && sqlite3_bind_int64(s->stmt, count + 1,
                                         limit && limit <= INT64_MAX ? (int64_t)limit : -1) != SQLITE_OK)
        r = sq_fail(db, SQLITE_NOMEM, "binding a value", err);
    if (r == QL_OK)
        r = sq_rows(db, s, fn, arg, false, NULL, err);
    sq_release(db, s);
    return r;
}
