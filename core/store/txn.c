/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "internal.h"
#include "parse.h"

struct ql_value ql_text(const char *text)
{
    if (!text)
        return ql_null();
    return (struct ql_value){.type = QL_COL_TEXT, .data = text, .len = strlen(text)};
}

struct ql_value ql_json_value(const char *text)
{
    struct ql_value v = ql_text(text);

    if (text)
        v.type = QL_COL_JSON;
    return v;
}

struct ql_value ql_bytes(const void *data, size_t len)
{
    if (!data)
        return ql_null();
    return (struct ql_value){.type = QL_COL_BYTES, .data = data, .len = len};
}

struct ql_txn ql_txn_start(const struct ql_store *s)
{
    return (struct ql_txn){
        .backend = s->backend,
        .plugin = s->plugin,
        .db = s->db,
        .fault_err = QL_ERR_INIT,
    };
}

/** A row callback with what is needed to tell its failures from the backend's. */
struct visit {
    struct ql_txn *t;
    ql_row_fn fn;
    void *arg;
    int result;
};

static int visit_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct visit *v = arg;
    int r;

    v->t->depth++;
    r = v->fn ? v->fn(v->arg, row, column_count) : 0;
    v->t->depth--;
    if (r < 0)
        v->result = r;
    return r;
}

/**
 * Keep the backend's failure: a function that overlooks it must not have its transaction committed. What is an answer
 * rather than a failure passes.
 */
static int judge(struct ql_txn *t, int r, struct ql_err *own, struct ql_err *err)
{
    if (r >= 0)
        return QL_OK;
    if (r != QL_ENOTFOUND && r != QL_ECONFLICT && !t->fault) {
        t->fault = r;
        t->fault_err = *own;
        t->fault_err.code = r;
    }
    return ql_fail(err, r, "%s", own->text);
}

static int judge_rows(struct ql_txn *t, int r, const struct visit *v, struct ql_err *own, struct ql_err *err)
{
    /* The callback stopped the reading: its own affair, and its own text is in err already. */
    if (v->result < 0)
        return v->result;
    return judge(t, r, own, err);
}

static int check_text(const struct ql_value *v, const struct ql_table *table, uint32_t column,
                      struct ql_err *err)
{
    if (v->type != QL_COL_TEXT && v->type != QL_COL_JSON)
        return QL_OK;
    if (!v->len || ql_utf8_ok(v->data, v->len))
        return QL_OK;
    return ql_fail(err, QL_ERANGE, "text for %s.%s is not UTF-8 or has a NUL", table->name,
                   table->columns[column].name);
}

/** Text is checked here, so that all backends refuse the same. */
static int check_write(const struct ql_txn *t, const struct ql_table *table, const struct ql_value *row,
                       uint32_t count, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    int r;

    if (t->depth)
        return ql_fail(err, QL_EINTERNAL, "write to %s while its transaction is reading rows", table->name);
    for (uint32_t i = 0; i < count; i++) {
        r = check_text(&row[i], table, i, err);
        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < cond_count; i++) {
        if (only_if[i].column >= table->column_count)
            return ql_fail(err, QL_EINTERNAL, "condition on column %u of %s", (unsigned)only_if[i].column,
                           table->name);
        r = check_text(&only_if[i].value, table, only_if[i].column, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

int ql_txn_get(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key, ql_row_fn fn,
               void *arg, struct ql_err *err)
{
    struct visit v = {.t = t, .fn = fn, .arg = arg};
    struct ql_err own = QL_ERR_INIT;
    int r = t->backend->get(t->plugin, t->db, table, key, visit_row, &v, &own);

    return judge_rows(t, r, &v, &own, err);
}

int ql_txn_put(struct ql_txn *t, const struct ql_table *table, uint32_t mode, const struct ql_value *row,
               uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    struct ql_err own = QL_ERR_INIT;
    int r = check_write(t, table, row, table->column_count, only_if, cond_count, &own);

    if (r == QL_OK)
        r = t->backend->put(t->plugin, t->db, table, mode, row, mask, only_if, cond_count, &own);
    return judge(t, r, &own, err);
}

static bool has_put_many(const struct ql_store_backend *b)
{
    return b->head.size >= offsetof(struct ql_store_backend, put_many) + sizeof b->put_many && b->put_many;
}

int ql_txn_put_many(struct ql_txn *t, const struct ql_table *table, struct ql_put *puts, uint32_t count,
                    struct ql_err *err)
{
    struct ql_err own = QL_ERR_INIT;
    int r = QL_OK;

    for (uint32_t i = 0; i < count; i++) {
        puts[i].result = QL_OK;
        r = check_write(t, table, puts[i].row, table->column_count, puts[i].only_if, puts[i].cond_count,
                        &own);
        if (r < 0) {
            puts[i].result = r;
            return judge(t, r, &own, err);
        }
    }
    if (has_put_many(t->backend))
        return judge(t, t->backend->put_many(t->plugin, t->db, table, puts, count, &own), &own, err);
    for (uint32_t i = 0; i < count; i++) {
        struct ql_put *p = &puts[i];

        r = t->backend->put(t->plugin, t->db, table, p->mode, p->row, p->mask, p->only_if, p->cond_count,
                            &own);
        p->result = r < 0 ? r : QL_OK;
        if (r < 0 && r != QL_ECONFLICT)
            return judge(t, r, &own, err);
    }
    return QL_OK;
}

int ql_txn_del(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key,
               const struct ql_cond *only_if, uint32_t cond_count, struct ql_err *err)
{
    struct ql_err own = QL_ERR_INIT;
    int r = check_write(t, table, key, table->key_count, only_if, cond_count, &own);

    if (r == QL_OK)
        r = t->backend->del(t->plugin, t->db, table, key, only_if, cond_count, &own);
    return judge(t, r, &own, err);
}

int ql_txn_scan(struct ql_txn *t, const struct ql_table *table, const char *index,
                const struct ql_value *from, uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg,
                struct ql_err *err)
{
    struct visit v = {.t = t, .fn = fn, .arg = arg};
    struct ql_err own = QL_ERR_INIT;
    int r = t->backend->scan(t->plugin, t->db, table, index, from, from_count, limit, visit_row, &v, &own);

    return judge_rows(t, r, &v, &own, err);
}

int ql_txn_claim(struct ql_txn *t, const struct ql_table *table, const char *owner, int64_t ttl_ms,
                 uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err)
{
    struct visit v = {.t = t, .fn = fn, .arg = arg};
    struct ql_err own = QL_ERR_INIT;
    int r = check_write(t, table, NULL, 0, NULL, 0, &own);

    if (r == QL_OK)
        r = t->backend->claim(t->plugin, t->db, table, owner, ttl_ms, max, visit_row, &v, &own);
    return judge_rows(t, r, &v, &own, err);
}

int ql_txn_renew(struct ql_txn *t, const struct ql_table *table, const char *owner, int64_t ttl_ms,
                 uint64_t *ret_count, struct ql_err *err)
{
    struct ql_err own = QL_ERR_INIT;
    uint64_t count = 0;
    int r = check_write(t, table, NULL, 0, NULL, 0, &own);

    if (r == QL_OK)
        r = t->backend->renew(t->plugin, t->db, table, owner, ttl_ms, &count, &own);
    if (r == QL_OK)
        *ret_count = count;
    return judge(t, r, &own, err);
}

int ql_txn_yield(struct ql_txn *t, const struct ql_table *table, const struct ql_value *key,
                 const char *owner, struct ql_err *err)
{
    struct ql_err own = QL_ERR_INIT;
    int r = check_write(t, table, key, table->key_count, NULL, 0, &own);

    if (r == QL_OK)
        r = t->backend->yield(t->plugin, t->db, table, key, owner, &own);
    return judge(t, r, &own, err);
}
