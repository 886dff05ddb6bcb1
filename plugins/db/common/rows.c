/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server.h"

static int add_conds(struct sv_db *db, struct sv_shape *shape, const struct ql_cond *only_if, uint32_t count,
                     struct ql_err *err)
{
    if (count > SV_COND_MAX)
        return db->host->fail(err, QL_ELIMIT, "%u conditions, at most %d", (unsigned)count, SV_COND_MAX);
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

int sv_update_shape(struct sv_db *db, const struct ql_table *t, uint64_t mask, const struct ql_cond *only_if,
                    uint32_t cond_count, struct sv_shape *ret, struct ql_err *err)
{
    uint64_t all = t->column_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->column_count) - 1;
    uint64_t keys = t->key_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->key_count) - 1;

    *ret = (struct sv_shape){.op = SV_UPDATE, .table = t, .mask = mask & all & ~keys};
    return add_conds(db, ret, only_if, cond_count, err);
}

/** Reading is offered outside of a transaction as well: then it is one of its own. */
static int read_rows(struct sv_db *db, const struct sv_shape *shape, const struct sv_input *in,
                     struct sv_rows *rows, struct ql_err *err)
{
    bool alone = !db->in_txn;
    int r = alone ? sv_begin(NULL, db, err) : QL_OK;

    if (r == QL_OK)
        r = sv_run(db, shape, in, rows, NULL, err);
    if (alone && r == QL_OK)
        r = sv_commit(NULL, db, err);
    if (alone && r < 0)
        sv_rollback(NULL, db);
    return r;
}

int sv_get(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn,
           void *arg, struct ql_err *err)
{
    struct sv_shape shape = {.op = fn ? SV_GET : SV_EXISTS, .table = t};
    struct sv_input in = {.row = key};
    struct sv_rows rows = {.fn = fn, .arg = arg, .keep_on = true};
    struct sv_db *db = at;
    int r;

    (void)plugin;
    r = read_rows(db, &shape, &in, &rows, err);
    if (r == QL_OK && !rows.count)
        return db->host->fail(err, QL_ENOTFOUND, "no such row in %s", t->name);
    return r;
}

static int need_txn(struct sv_db *db, struct ql_err *err)
{
    return db->in_txn ? QL_OK : db->host->fail(err, QL_EINTERNAL, "a write without a transaction");
}

/** What INSERT … ON CONFLICT DO UPDATE cannot do where it looks at every unique index. */
static int upsert_in_two(struct sv_db *db, const struct sv_shape *upsert, const struct sv_input *in,
                         uint64_t all, uint64_t *changes, struct ql_err *err)
{
    struct sv_shape update = *upsert, insert = {.op = SV_INSERT, .table = upsert->table};
    int r;

    update.op = SV_UPDATE;
    update.mask = all;
    r = sv_run(db, &update, in, NULL, changes, err);
    if (r < 0 || *changes)
        return r;
    return sv_run(db, &insert, in, NULL, changes, err);
}

int sv_put(void *plugin, void *at, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    uint64_t all = t->column_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->column_count) - 1;
    uint64_t keys = t->key_count >= 64 ? UINT64_MAX : (UINT64_C(1) << t->key_count) - 1;
    struct sv_shape shape = {.table = t};
    struct sv_input in = {.row = row, .conds = only_if};
    struct sv_db *db = at;
    uint64_t changes = 0;
    int r;

    (void)plugin;
    switch (mode) {
    case QL_PUT_INSERT:
        shape.op = SV_INSERT;
        if (cond_count)
            return db->host->fail(err, QL_ERANGE, "an insert takes no conditions");
        break;
    case QL_PUT_UPDATE:
        shape.op = SV_UPDATE;
        shape.mask = mask & all & ~keys;
        break;
    case QL_PUT_UPSERT:
        shape.op = SV_UPSERT;
        break;
    default:
        return db->host->fail(err, QL_ERANGE, "unknown way %u to put a row", (unsigned)mode);
    }
    r = need_txn(db, err);
    if (r == QL_OK)
        r = add_conds(db, &shape, only_if, cond_count, err);
    if (r < 0)
        return r;
    if (mode == QL_PUT_UPSERT && !sv_dialect.returning)
        r = upsert_in_two(db, &shape, &in, all & ~keys, &changes, err);
    else
        r = sv_run(db, &shape, &in, NULL, &changes, err);
    if (r == QL_OK && !changes)
        return db->host->fail(err, QL_ECONFLICT, "%s: no row meets the condition", t->name);
    return r;
}

int sv_del(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    struct sv_shape shape = {.op = SV_DELETE, .table = t};
    struct sv_input in = {.row = key, .conds = only_if};
    struct sv_db *db = at;
    uint64_t changes = 0;
    int r;

    r = need_txn(db, err);
    if (r == QL_OK)
        r = add_conds(db, &shape, only_if, cond_count, err);
    if (r == QL_OK)
        r = sv_run(db, &shape, &in, NULL, &changes, err);
    if (r < 0 || changes)
        return r;
    r = sv_get(plugin, db, t, key, NULL, NULL, err);
    if (r == QL_OK)
        return db->host->fail(err, QL_ECONFLICT, "%s: the row does not meet the condition", t->name);
    return r;
}

static int scan_shape(struct sv_db *db, struct sv_shape *shape, const char *index,
                      const struct ql_value *from, uint32_t from_count, struct ql_err *err)
{
    const struct ql_table *t = shape->table;
    uint32_t count = t->key_count;

    for (uint32_t i = 0; index && i < t->index_count; i++)
        if (!strcmp(t->indexes[i].name, index))
            shape->index = &t->indexes[i];
    if (index && !shape->index)
        return db->host->fail(err, QL_ERANGE, "%s has no index %s", t->name, index);
    if (shape->index)
        for (count = 0; shape->index->columns[count];)
            count++;
    if (!from)
        return QL_OK;
    if (from_count != count)
        return db->host->fail(err, QL_ERANGE, "%u values to start from, the index of %s has %u columns",
                              (unsigned)from_count, t->name, (unsigned)count);
    shape->has_from = 1;
    for (uint32_t i = 0; i < count; i++)
        if (from[i].type == QL_COL_NULL)
            shape->mask |= UINT64_C(1) << i;
    return QL_OK;
}

int sv_scan(void *plugin, void *at, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg, struct ql_err *err)
{
    enum {
        FEW = 100 /* rows that are fetched at once */
    };
    struct sv_shape shape = {.op = SV_SCAN,
                             .table = t,
                             .has_limit = !limit || limit > INT64_MAX ? 0
                                          : limit <= FEW              ? 1
                                                                      : 2};
    struct sv_input in = {.row = from, .extra = {sv_int(shape.has_limit ? (int64_t)limit : 0)}};
    struct sv_rows rows = {.fn = fn, .arg = arg, .is_long = !limit || limit > FEW};
    struct sv_db *db = at;
    int r;

    (void)plugin;
    r = scan_shape(db, &shape, index, from, from_count, err);
    return r < 0 ? r : read_rows(db, &shape, &in, &rows, err);
}
