/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "server.h"

struct ql_value sv_string(const char *text)
{
    return (struct ql_value){.type = QL_COL_TEXT, .data = text, .len = strlen(text)};
}

static size_t bucket_of(const struct sv_shape *shape)
{
    uint64_t h = (uint64_t)(uintptr_t)shape->table >> 4;

    h = h * 31 + shape->op;
    h = h * 31 + ((uint64_t)(uintptr_t)shape->index >> 4);
    h = h * 31 + shape->mask;
    h = h * 31 + shape->has_from * 2 + shape->has_limit;
    for (uint32_t i = 0; i < shape->cond_count; i++)
        h = h * 31 + shape->cond[i];
    h ^= h >> 29;
    return (size_t)(h % SV_STMT_MAX);
}

static bool same_shape(const struct sv_shape *a, const struct sv_shape *b)
{
    return a->table == b->table && a->index == b->index && a->mask == b->mask && a->op == b->op &&
           a->has_from == b->has_from && a->has_limit == b->has_limit && a->cond_count == b->cond_count &&
           !memcmp(a->cond, b->cond, a->cond_count * sizeof a->cond[0]);
}

static void stmt_free(struct sv_db *db, struct sv_stmt *s)
{
    sv_drv_forget(db, s);
    free(s->sql);
    free(s);
}

int sv_prepare(struct sv_db *db, const struct sv_shape *shape, struct sv_stmt **ret, struct ql_err *err)
{
    size_t bucket = bucket_of(shape);
    struct sv_stmt *s = NULL;
    int r;

    for (s = db->cache[bucket]; s; s = s->next)
        if (!s->busy && same_shape(&s->shape, shape)) {
            s->busy = true;
            *ret = s;
            return QL_OK;
        }
    s = calloc(1, sizeof *s);
    if (!s)
        return sv_nomem(db->host, err);
    s->shape = *shape;
    s->number = ++db->next_number;
    r = sv_sql(db, s, err);
    if (r != QL_OK) {
        stmt_free(db, s);
        return r;
    }
    s->busy = true;
    if (db->cached < SV_STMT_MAX) {
        s->cached = true;
        s->next = db->cache[bucket];
        db->cache[bucket] = s;
        db->cached++;
    }
    *ret = s;
    return QL_OK;
}

void sv_release(struct sv_db *db, struct sv_stmt *s)
{
    s->busy = false;
    if (!s->cached)
        stmt_free(db, s);
}

void sv_flush(struct sv_db *db)
{
    for (size_t i = 0; i < SV_STMT_MAX; i++)
        while (db->cache[i]) {
            struct sv_stmt *s = db->cache[i];

            db->cache[i] = s->next;
            stmt_free(db, s);
        }
    db->cached = 0;
}

static int check_value(struct sv_db *db, const struct sv_stmt *s, const struct sv_param *p,
                       const struct ql_value *v, struct ql_err *err)
{
    const struct ql_table *t = s->shape.table;
    const char *column = t->columns[p->column].name;
    bool is_text = p->type == QL_COL_TEXT || p->type == QL_COL_JSON;

    switch (v->type) {
    case QL_COL_NULL:
        if (p->column < t->key_count && p->source == SV_ROW && s->shape.op != SV_SCAN)
            return db->host->fail(err, QL_ERANGE, "%s.%s is a key and cannot be null", t->name, column);
        return QL_OK;
    case QL_COL_INT:
        if (p->type != QL_COL_INT)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take a number", t->name, column);
        return QL_OK;
    case QL_COL_TEXT:
    case QL_COL_JSON:
        if (!is_text)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take text", t->name, column);
        if (v->len && memchr(v->data, 0, v->len))
            return db->host->fail(err, QL_ERANGE, "text for %s.%s has a NUL", t->name, column);
        break;
    case QL_COL_BYTES:
        if (p->type != QL_COL_BYTES)
            return db->host->fail(err, QL_ERANGE, "%s.%s does not take bytes", t->name, column);
        break;
    default:
        return db->host->fail(err, QL_ERANGE, "value for %s.%s has the unknown type %u", t->name, column,
                              (unsigned)v->type);
    }
    if (v->len > INT32_MAX / 2)
        return db->host->fail(err, QL_ELIMIT, "value of %zu bytes for %s.%s, at most 1 GiB", v->len, t->name,
                              column);
    return QL_OK;
}

int sv_bind(struct sv_db *db, const struct sv_stmt *s, const struct sv_input *in, struct ql_value *ret,
            struct ql_err *err)
{
    for (uint32_t i = 0; i < s->param_count; i++) {
        const struct sv_param *p = &s->params[i];
        const struct ql_value *v = p->source == SV_ROW    ? &in->row[p->at]
                                   : p->source == SV_COND ? &in->conds[p->at].value
                                                          : &in->extra[p->at];
        int r = p->column == SV_NO_COLUMN ? QL_OK : check_value(db, s, p, v, err);

        if (r < 0)
            return r;
        ret[i] = *v;
    }
    return QL_OK;
}

int sv_run(struct sv_db *db, const struct sv_shape *shape, const struct sv_input *in, struct sv_rows *rows,
           uint64_t *changes, struct ql_err *err)
{
    struct ql_value params[SV_PARAM_MAX];
    struct sv_stmt *s = NULL;
    uint64_t count = 0;
    int r;

    r = sv_prepare(db, shape, &s, err);
    if (r != QL_OK)
        return r;
    r = sv_bind(db, s, in, params, err);
    if (r == QL_OK) {
        db->has_written |= s->is_write;
        r = sv_drv_run(db, s, params, rows, &count, err);
    }
    sv_release(db, s);
    if (r == QL_OK && changes)
        *changes = count;
    return r;
}
