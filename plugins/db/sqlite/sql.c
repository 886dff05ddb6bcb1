/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sqlite.h"

/* Milliseconds since the epoch by SQLite's own clock; constant within one statement. */
#define NOW_MS "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"

const char *sq_type(uint32_t type)
{
    switch (type) {
    case QL_COL_INT:
        return "INTEGER";
    case QL_COL_TEXT:
    case QL_COL_JSON:
        return "TEXT";
    case QL_COL_BYTES:
        return "BLOB";
    default:
        return NULL;
    }
}

uint32_t sq_column(const struct ql_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->column_count; i++)
        if (!strcmp(t->columns[i].name, name))
            return i;
    return t->column_count;
}

static void add_columns(sqlite3_str *s, const struct ql_table *t, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        sqlite3_str_appendf(s, "%s\"%w\"", i ? "," : "", t->columns[i].name);
}

/** Key and conditions: `IS` because NULL equals NULL. @param at  number of the first parameter */
static void add_where(sqlite3_str *s, const struct sq_shape *shape, bool by_key, uint32_t at)
{
    const struct ql_table *t = shape->table;
    const char *joint = " WHERE ";

    if (by_key)
        for (uint32_t i = 0; i < t->key_count; i++) {
            sqlite3_str_appendf(s, "%s\"%w\"=?%u", joint, t->columns[i].name, at++);
            joint = " AND ";
        }
    for (uint32_t i = 0; i < shape->cond_count; i++) {
        sqlite3_str_appendf(s, "%s\"%w\".\"%w\" IS ?%u", joint, t->name, t->columns[shape->cond[i]].name,
                            at++);
        joint = " AND ";
    }
}

static void sql_insert(sqlite3_str *s, const struct sq_shape *shape)
{
    const struct ql_table *t = shape->table;

    sqlite3_str_appendf(s, "INSERT INTO \"%w\"(", t->name);
    add_columns(s, t, t->column_count);
    sqlite3_str_appendall(s, ") VALUES(");
    for (uint32_t i = 0; i < t->column_count; i++)
        sqlite3_str_appendf(s, "%s?%u", i ? "," : "", i + 1);
    sqlite3_str_appendall(s, ")");
    if (shape->op == SQ_INSERT)
        return;

    sqlite3_str_appendall(s, " ON CONFLICT(");
    add_columns(s, t, t->key_count);
    sqlite3_str_appendall(s, ") DO UPDATE SET ");
    for (uint32_t i = t->key_count == t->column_count ? 0 : t->key_count; i < t->column_count; i++)
        sqlite3_str_appendf(s, "%s\"%w\"=excluded.\"%w\"", i == 0 || i == t->key_count ? "" : ",",
                            t->columns[i].name, t->columns[i].name);
    add_where(s, shape, false, t->column_count + 1);
}

static void sql_update(sqlite3_str *s, const struct sq_shape *shape)
{
    const struct ql_table *t = shape->table;
    const char *joint = "";

    sqlite3_str_appendf(s, "UPDATE \"%w\" SET ", t->name);
    for (uint32_t i = 0; i < t->column_count; i++)
        if (shape->mask & (UINT64_C(1) << i)) {
            sqlite3_str_appendf(s, "%s\"%w\"=?%u", joint, t->columns[i].name, i + 1);
            joint = ",";
        }
    /* Nothing to write is still a question whether the row is there. */
    if (!*joint)
        sqlite3_str_appendf(s, "\"%w\"=\"%w\"", t->columns[0].name, t->columns[0].name);
    add_where(s, shape, true, t->column_count + 1);
}

/**
 * First row not before `from`, NULL before everything. Without nulls a row value says it and uses the index; with them
 * it is spelled out column by column.
 */
static void add_from(sqlite3_str *s, const struct ql_table *t, const uint32_t *columns, uint32_t count,
                     uint64_t nulls)
{
    if (!nulls) {
        sqlite3_str_appendall(s, " WHERE (");
        for (uint32_t i = 0; i < count; i++)
            sqlite3_str_appendf(s, "%s\"%w\"", i ? "," : "", t->columns[columns[i]].name);
        sqlite3_str_appendall(s, ")>=(");
        for (uint32_t i = 0; i < count; i++)
            sqlite3_str_appendf(s, "%s?%u", i ? "," : "", i + 1);
        sqlite3_str_appendall(s, ")");
        return;
    }
    sqlite3_str_appendall(s, " WHERE (");
    for (uint32_t last = 0; last < count; last++) {
        sqlite3_str_appendf(s, "%s(", last ? " OR " : "");
        for (uint32_t i = 0; i < last; i++)
            sqlite3_str_appendf(s, "\"%w\" IS ?%u AND ", t->columns[columns[i]].name, i + 1);
        if (!(nulls & (UINT64_C(1) << last)))
            sqlite3_str_appendf(s, "\"%w\"%s?%u", t->columns[columns[last]].name,
                                last + 1 == count ? ">=" : ">", last + 1);
        else if (last + 1 == count)
            sqlite3_str_appendall(s, "1");
        else
            sqlite3_str_appendf(s, "\"%w\" IS NOT NULL", t->columns[columns[last]].name);
        sqlite3_str_appendall(s, ")");
    }
    sqlite3_str_appendall(s, ")");
}

static void sql_scan(sqlite3_str *s, const struct sq_shape *shape)
{
    const struct ql_table *t = shape->table;
    uint32_t columns[QL_STORE_MAX_COLUMNS], count = 0;

    if (shape->index)
        for (const char *const *c = shape->index->columns; *c && count < QL_STORE_MAX_COLUMNS; c++)
            columns[count++] = sq_column(t, *c);
    else
        for (; count < t->key_count; count++)
            columns[count] = count;

    sqlite3_str_appendall(s, "SELECT ");
    add_columns(s, t, t->column_count);
    sqlite3_str_appendf(s, " FROM \"%w\"", t->name);
    if (shape->has_from)
        add_from(s, t, columns, count, shape->mask);
    sqlite3_str_appendall(s, " ORDER BY ");
    for (uint32_t i = 0; i < count; i++)
        sqlite3_str_appendf(s, "%s\"%w\"", i ? "," : "", t->columns[columns[i]].name);
    if (shape->index) {
        /* Rows that are equal in the index come in the order of the key: always the same order. */
        sqlite3_str_appendall(s, ",");
        add_columns(s, t, t->key_count);
    }
    sqlite3_str_appendf(s, " LIMIT ?%u", count + 1);
}

static void sql_claim(sqlite3_str *s, const struct sq_shape *shape)
{
    const struct ql_table *t = shape->table;

    /* ?1 owner, ?2 ttl, ?3 how many, ?4 claim number */
    sqlite3_str_appendf(s,
                        "UPDATE \"%w\" SET lease_owner=?1,lease_until=" NOW_MS
                        "+?2,claim_no=?4 WHERE rowid IN "
                        "(SELECT rowid FROM \"%w\" WHERE lease_owner IS NULL OR lease_until IS NULL OR "
                        "lease_until<=" NOW_MS " ORDER BY ",
                        t->name, t->name);
    add_columns(s, t, t->key_count);
    sqlite3_str_appendall(s, " LIMIT ?3) RETURNING ");
    add_columns(s, t, t->column_count);
}

char *sq_sql(const struct sq_shape *shape)
{
    const struct ql_table *t = shape->table;
    sqlite3_str *s = sqlite3_str_new(NULL);

    switch ((enum sq_op)shape->op) {
    case SQ_GET:
        sqlite3_str_appendall(s, "SELECT ");
        add_columns(s, t, t->column_count);
        sqlite3_str_appendf(s, " FROM \"%w\"", t->name);
        add_where(s, shape, true, 1);
        break;
    case SQ_INSERT:
    case SQ_UPSERT:
        sql_insert(s, shape);
        break;
    case SQ_UPDATE:
        sql_update(s, shape);
        break;
    case SQ_DELETE:
        sqlite3_str_appendf(s, "DELETE FROM \"%w\"", t->name);
        add_where(s, shape, true, 1);
        break;
    case SQ_SCAN:
        sql_scan(s, shape);
        break;
    case SQ_CLAIM:
        sql_claim(s, shape);
        break;
    case SQ_COUNT_CLAIM:
        sqlite3_str_appendall(
            s, "INSERT INTO quicklime_claims(name,last) VALUES(?1,1) ON CONFLICT(name) DO UPDATE "
               "SET last=last+1 RETURNING last");
        break;
    case SQ_RENEW:
        sqlite3_str_appendf(
            s, "UPDATE \"%w\" SET lease_until=" NOW_MS "+?2 WHERE lease_owner=?1 AND lease_until>" NOW_MS,
            t->name);
        break;
    case SQ_YIELD:
        sqlite3_str_appendf(s, "UPDATE \"%w\" SET lease_owner=NULL,lease_until=NULL", t->name);
        add_where(s, shape, true, 1);
        sqlite3_str_appendf(s, " AND lease_owner=?%u", t->key_count + 1);
        break;
    }
    return sqlite3_str_finish(s);
}
