/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* ---- text ---- */

void sv_add(struct sv_text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (t->failed)
        return;
    for (;;) {
        size_t room = t->room - t->len;
        char *grown = NULL;

        va_start(ap, fmt);
        n = vsnprintf(t->p ? t->p + t->len : NULL, t->p ? room : 0, fmt, ap);
        va_end(ap);
        if (n >= 0 && t->p && (size_t)n < room) {
            t->len += (size_t)n;
            return;
        }
        room = t->room * 2 + 256 + (n > 0 ? (size_t)n : 0);
        grown = n < 0 ? NULL : realloc(t->p, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->p = grown;
        t->room = room;
    }
}

void sv_add_name(struct sv_text *t, const char *name)
{
    sv_add(t, "%c%s%c", sv_dialect.quote, name, sv_dialect.quote);
}

char *sv_text_done(struct sv_text *t)
{
    if (!t->failed && t->p)
        return t->p;
    free(t->p);
    return NULL;
}

/* ---- parameters ---- */

struct making {
    struct sv_text text;
    struct sv_stmt *s;
    bool too_many;
};

static void param(struct making *m, uint32_t source, uint32_t at, uint32_t column, uint32_t type)
{
    struct sv_stmt *s = m->s;

    if (s->param_count == SV_PARAM_MAX) {
        m->too_many = true;
        return;
    }
    s->params[s->param_count++] = (struct sv_param){
        .source = (uint8_t)source, .at = (uint8_t)at, .column = (uint8_t)column, .type = (uint8_t)type};
    if (sv_dialect.numbered)
        sv_add(&m->text, "$%u", (unsigned)s->param_count);
    else
        sv_add(&m->text, "?");
}

static void of_row(struct making *m, uint32_t at, uint32_t column)
{
    param(m, SV_ROW, at, column, m->s->shape.table->columns[column].type);
}

static void extra(struct making *m, uint32_t at, uint32_t type)
{
    param(m, SV_EXTRA, at, SV_NO_COLUMN, type);
}

/* ---- pieces ---- */

uint32_t sv_column(const struct ql_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->column_count; i++)
        if (!strcmp(t->columns[i].name, name))
            return i;
    return t->column_count;
}

static void name_of(struct making *m, uint32_t column)
{
    sv_add_name(&m->text, m->s->shape.table->columns[column].name);
}

static void columns(struct making *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sv_add(&m->text, "%s", i ? "," : "");
        name_of(m, i);
    }
}

/** All columns as a result. */
static void select_all(struct making *m)
{
    const struct ql_table *t = m->s->shape.table;

    columns(m, t->column_count);
    m->s->result_count = t->column_count;
    for (uint32_t i = 0; i < t->column_count; i++)
        m->s->result_types[i] = t->columns[i].type;
}

static void table(struct making *m)
{
    sv_add_name(&m->text, m->s->shape.table->name);
}

static void one_number(struct making *m)
{
    m->s->result_count = 1;
    m->s->result_types[0] = QL_COL_INT;
}

static void where_key(struct making *m)
{
    for (uint32_t i = 0; i < m->s->shape.table->key_count; i++) {
        sv_add(&m->text, i ? " AND " : " WHERE ");
        name_of(m, i);
        sv_add(&m->text, "=");
        of_row(m, i, i);
    }
}

static void conditions(struct making *m, const char *joint)
{
    const struct sv_shape *shape = &m->s->shape;

    for (uint32_t i = 0; i < shape->cond_count; i++) {
        sv_add(&m->text, "%s", joint);
        table(m);
        sv_add(&m->text, ".");
        name_of(m, shape->cond[i]);
        sv_add(&m->text, "%s", sv_dialect.same);
        param(m, SV_COND, i, shape->cond[i], shape->table->columns[shape->cond[i]].type);
        joint = " AND ";
    }
}

/* ---- statements ---- */

static void sql_insert(struct making *m)
{
    const struct ql_table *t = m->s->shape.table;

    sv_add(&m->text, "INSERT INTO ");
    table(m);
    sv_add(&m->text, "(");
    columns(m, t->column_count);
    sv_add(&m->text, ") VALUES(");
    for (uint32_t i = 0; i < t->column_count; i++) {
        sv_add(&m->text, "%s", i ? "," : "");
        of_row(m, i, i);
    }
    sv_add(&m->text, ")");
    if (!sv_dialect.returning)
        return;
    if (m->s->shape.op == SV_INSERT) {
        sv_add(&m->text, " ON CONFLICT DO NOTHING");
        return;
    }
    sv_add(&m->text, " ON CONFLICT(");
    columns(m, t->key_count);
    sv_add(&m->text, ") DO UPDATE SET ");
    for (uint32_t i = t->key_count == t->column_count ? 0 : t->key_count; i < t->column_count; i++) {
        sv_add(&m->text, i == 0 || i == t->key_count ? "" : ",");
        name_of(m, i);
        sv_add(&m->text, "=excluded.");
        name_of(m, i);
    }
    conditions(m, " WHERE ");
}

static void sql_update(struct making *m)
{
    const struct ql_table *t = m->s->shape.table;
    const char *joint = "";

    sv_add(&m->text, "UPDATE ");
    table(m);
    sv_add(&m->text, " SET ");
    for (uint32_t i = 0; i < t->column_count; i++)
        if (m->s->shape.mask & (UINT64_C(1) << i)) {
            sv_add(&m->text, "%s", joint);
            name_of(m, i);
            sv_add(&m->text, "=");
            of_row(m, i, i);
            joint = ",";
        }
    /* Nothing to write is still a question whether the row is there. */
    if (!*joint) {
        name_of(m, 0);
        sv_add(&m->text, "=");
        name_of(m, 0);
    }
    where_key(m);
    conditions(m, " AND ");
}

static uint32_t scan_columns(const struct sv_shape *shape, uint32_t *ret)
{
    uint32_t count = 0;

    if (shape->index)
        for (const char *const *c = shape->index->columns; *c && count < QL_STORE_MAX_COLUMNS; c++)
            ret[count++] = sv_column(shape->table, *c);
    else
        for (; count < shape->table->key_count; count++)
            ret[count] = count;
    return count;
}

static void compare(struct making *m, const char *op, uint32_t at, uint32_t column)
{
    name_of(m, column);
    sv_add(&m->text, "%s", op);
    of_row(m, at, column);
}

/** First row not before `from`, null before everything, spelled out column by column. */
static void from_spelled(struct making *m, const uint32_t *of, uint32_t count)
{
    uint64_t nulls = m->s->shape.mask;

    sv_add(&m->text, " WHERE ");
    if (!(nulls & 1)) {
        compare(m, ">=", 0, of[0]); /* what an index can be entered with */
        sv_add(&m->text, " AND ");
    }
    sv_add(&m->text, "(");
    for (uint32_t last = 0; last < count; last++) {
        sv_add(&m->text, "%s(", last ? " OR " : "");
        for (uint32_t i = 0; i < last; i++) {
            if (nulls & (UINT64_C(1) << i)) {
                name_of(m, of[i]);
                sv_add(&m->text, " IS NULL");
            } else {
                compare(m, "=", i, of[i]);
            }
            sv_add(&m->text, " AND ");
        }
        if (!(nulls & (UINT64_C(1) << last))) {
            compare(m, last + 1 == count ? ">=" : ">", last, of[last]);
        } else if (last + 1 == count) {
            sv_add(&m->text, "1=1");
        } else {
            name_of(m, of[last]);
            sv_add(&m->text, " IS NOT NULL");
        }
        sv_add(&m->text, ")");
    }
    sv_add(&m->text, ")");
}

static void from_row(struct making *m, const uint32_t *of, uint32_t count)
{
    sv_add(&m->text, " WHERE (");
    for (uint32_t i = 0; i < count; i++) {
        sv_add(&m->text, "%s", i ? "," : "");
        name_of(m, of[i]);
    }
    sv_add(&m->text, ")>=(");
    for (uint32_t i = 0; i < count; i++) {
        sv_add(&m->text, "%s", i ? "," : "");
        of_row(m, i, of[i]);
    }
    sv_add(&m->text, ")");
}

static void order_by(struct making *m, const uint32_t *of, uint32_t count, bool then_key)
{
    sv_add(&m->text, " ORDER BY ");
    for (uint32_t i = 0; i < count; i++) {
        sv_add(&m->text, "%s", i ? "," : "");
        name_of(m, of[i]);
        sv_add(&m->text, "%s", m->s->shape.index ? sv_dialect.nulls : "");
    }
    /* Rows that are equal in the index come in the order of the key: always the same order. */
    for (uint32_t i = 0; then_key && i < m->s->shape.table->key_count; i++) {
        sv_add(&m->text, ",");
        name_of(m, i);
    }
}

static void sql_scan(struct making *m)
{
    const struct sv_shape *shape = &m->s->shape;
    uint32_t of[QL_STORE_MAX_COLUMNS] = {0}, count = scan_columns(shape, of);

    sv_add(&m->text, "SELECT ");
    select_all(m);
    sv_add(&m->text, " FROM ");
    table(m);
    if (shape->has_from && sv_dialect.row_values && !shape->mask)
        from_row(m, of, count);
    else if (shape->has_from)
        from_spelled(m, of, count);
    order_by(m, of, count, shape->index != NULL);
    if (shape->has_limit) {
        sv_add(&m->text, " LIMIT ");
        extra(m, 0, QL_COL_INT);
    }
    if (shape->has_limit == 1)
        sv_add(&m->text, "%s", sv_dialect.lock_read);
}

/* Extras of claims: 0 owner, 1 time to live, 2 how many, 3 claim number. */

static void lease_set(struct making *m)
{
    sv_add(&m->text, "UPDATE ");
    table(m);
    sv_add(&m->text, " SET lease_owner=");
    extra(m, 0, QL_COL_TEXT);
    sv_add(&m->text, ",lease_until=%s+", sv_dialect.now_ms);
    extra(m, 1, QL_COL_INT);
    sv_add(&m->text, ",claim_no=");
    extra(m, 3, QL_COL_INT);
}

static void lease_free(struct making *m)
{
    uint32_t of[QL_STORE_MAX_COLUMNS] = {0}, count = scan_columns(&m->s->shape, of);

    sv_add(&m->text, " WHERE lease_owner IS NULL OR lease_until IS NULL OR lease_until<=%s",
           sv_dialect.now_ms);
    order_by(m, of, count, false);
    sv_add(&m->text, " LIMIT ");
    extra(m, 2, QL_COL_INT);
}

static void sql_claim(struct making *m)
{
    lease_set(m);
    if (!sv_dialect.returning) {
        lease_free(m);
        return;
    }
    /* Rows that another claim is about to take are left to it. */
    sv_add(&m->text, " WHERE ctid=ANY(ARRAY(SELECT ctid FROM ");
    table(m);
    lease_free(m);
    sv_add(&m->text, " FOR UPDATE SKIP LOCKED)) RETURNING ");
    select_all(m);
}

static void sql_lease(struct making *m)
{
    switch ((enum sv_op)m->s->shape.op) {
    case SV_CLAIMED:
        sv_add(&m->text, "SELECT ");
        select_all(m);
        sv_add(&m->text, " FROM ");
        table(m);
        sv_add(&m->text, " WHERE lease_owner=");
        extra(m, 0, QL_COL_TEXT);
        sv_add(&m->text, " AND claim_no=");
        extra(m, 3, QL_COL_INT);
        break;
    case SV_RENEW:
        sv_add(&m->text, "UPDATE ");
        table(m);
        sv_add(&m->text, " SET lease_until=%s+", sv_dialect.now_ms);
        extra(m, 1, QL_COL_INT);
        sv_add(&m->text, " WHERE lease_owner=");
        extra(m, 0, QL_COL_TEXT);
        sv_add(&m->text, " AND lease_until>%s", sv_dialect.now_ms);
        break;
    default: /* SV_YIELD */
        sv_add(&m->text, "UPDATE ");
        table(m);
        sv_add(&m->text, " SET lease_owner=NULL,lease_until=NULL");
        where_key(m);
        sv_add(&m->text, " AND lease_owner=");
        extra(m, 0, QL_COL_TEXT);
        break;
    }
}

/** Our own tables: numbers of claims, and of commits by session. Extras: 0 name, 1 number, 2 age. */
static void sql_own(struct making *m)
{
    const char *duplicate =
        sv_dialect.returning ? "ON CONFLICT(name) DO UPDATE SET" : "ON DUPLICATE KEY UPDATE";

    switch ((enum sv_op)m->s->shape.op) {
    case SV_COUNT_CLAIM:
        sv_add(&m->text, "INSERT INTO quicklime_claims(name,last) VALUES(");
        extra(m, 0, QL_COL_TEXT);
        sv_add(&m->text, ",1) %s last=quicklime_claims.last+1", duplicate);
        break;
    case SV_READ_CLAIM:
        sv_add(&m->text, "SELECT last FROM quicklime_claims WHERE name=");
        extra(m, 0, QL_COL_TEXT);
        one_number(m);
        break;
    case SV_MARK:
        sv_add(&m->text, "INSERT INTO quicklime_commits(name,last,since) VALUES(");
        extra(m, 0, QL_COL_TEXT);
        sv_add(&m->text, ",");
        extra(m, 1, QL_COL_INT);
        sv_add(&m->text, ",%s) %s last=", sv_dialect.now_ms, duplicate);
        sv_add(&m->text, sv_dialect.returning ? "excluded.last,since=excluded.since"
                                              : "VALUES(last),since=VALUES(since)");
        break;
    case SV_READ_MARK:
        sv_add(&m->text, "SELECT last FROM quicklime_commits WHERE name=");
        extra(m, 0, QL_COL_TEXT);
        sv_add(&m->text, " FOR UPDATE");
        one_number(m);
        break;
    default: /* SV_SWEEP_MARKS */
        sv_add(&m->text, "DELETE FROM quicklime_commits WHERE since<%s-", sv_dialect.now_ms);
        extra(m, 0, QL_COL_INT);
        break;
    }
}

/** Does the statement write a column of a unique index? */
static bool writes_unique(const struct sv_shape *shape)
{
    const struct ql_table *t = shape->table;

    for (uint32_t i = 0; i < t->index_count; i++)
        for (const char *const *c = t->indexes[i].columns; t->indexes[i].unique && *c; c++)
            if (shape->op == SV_UPSERT || (shape->mask & (UINT64_C(1) << sv_column(t, *c))))
                return true;
    return false;
}

int sv_sql(struct sv_db *db, struct sv_stmt *s, struct ql_err *err)
{
    struct making m = {.s = s};

    s->is_write = true;
    switch ((enum sv_op)s->shape.op) {
    case SV_GET:
    case SV_EXISTS:
        s->is_write = false;
        sv_add(&m.text, "SELECT ");
        if (s->shape.op == SV_GET) {
            select_all(&m);
        } else {
            sv_add(&m.text, "CAST(1 AS %s)", sv_dialect.returning ? "BIGINT" : "SIGNED");
            one_number(&m);
        }
        sv_add(&m.text, " FROM ");
        table(&m);
        where_key(&m);
        sv_add(&m.text, "%s", sv_dialect.lock_read);
        break;
    case SV_INSERT:
        sql_insert(&m);
        break;
    case SV_UPSERT:
        s->guard = writes_unique(&s->shape);
        sql_insert(&m);
        break;
    case SV_UPDATE:
        s->guard = writes_unique(&s->shape);
        sql_update(&m);
        break;
    case SV_DELETE:
        sv_add(&m.text, "DELETE FROM ");
        table(&m);
        where_key(&m);
        conditions(&m, " AND ");
        break;
    case SV_SCAN:
        s->is_write = false;
        sql_scan(&m);
        break;
    case SV_CLAIM:
        sql_claim(&m);
        break;
    case SV_CLAIMED:
        s->is_write = false;
        sql_lease(&m);
        break;
    case SV_RENEW:
    case SV_YIELD:
        sql_lease(&m);
        break;
    case SV_READ_CLAIM:
    case SV_READ_MARK:
        s->is_write = false;
        sql_own(&m);
        break;
    case SV_COUNT_CLAIM:
    case SV_MARK:
    case SV_SWEEP_MARKS:
        sql_own(&m);
        break;
    }
    s->sql = sv_text_done(&m.text);
    if (!s->sql)
        return sv_nomem(db->host, err);
    if (m.too_many)
        return db->host->fail(err, QL_ELIMIT, "a statement on %s has more than %d parameters",
                              s->shape.table ? s->shape.table->name : "a table", SV_PARAM_MAX);
    return QL_OK;
}
