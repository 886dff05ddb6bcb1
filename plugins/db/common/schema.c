/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* Our mark in the database: one row with the schema's name. */
#define SCHEMA_TABLE "quicklime_schema"

/** What the database holds. */
struct found {
    char name[SV_NAME_MAX + 1];
    long long version, oldest_reader;
    bool is_empty;
    bool
        has_mark; /**< the table of marks is there; with is_empty: making the tables was begun and cut short */
};

/* ---- reading ---- */

struct texts {
    char at[3][SV_NAME_MAX + 1];
};

static void copy_texts(struct texts *t, const char *const *columns, int count)
{
    for (int i = 0; i < count; i++)
        (void)snprintf(t->at[i], sizeof t->at[i], "%s", columns[i] ? columns[i] : "");
}

static void one_text(void *arg, const char *const *columns)
{
    copy_texts(arg, columns, 1);
}

static void three_texts(void *arg, const char *const *columns)
{
    copy_texts(arg, columns, 3);
}

static int find_schema(struct sv_db *db, const struct ql_schema *schema, struct found *ret,
                       struct ql_err *err)
{
    struct texts t = {0};
    int r = sv_drv_query(db, sv_dialect.find_table, SCHEMA_TABLE, NULL, one_text, &t, err);

    if (r < 0)
        return r;
    *ret = (struct found){.is_empty = !r, .has_mark = r && !strcmp(t.at[0], SCHEMA_TABLE)};
    if (ret->is_empty)
        return QL_OK;
    if (!ret->has_mark)
        return db->host->fail(err, QL_EEXIST,
                              "%s belongs to another program: found table %s and no %s, wanted the tables of "
                              "%s; it was left as it is",
                              db->name, t.at[0], SCHEMA_TABLE, schema->name);
    t = (struct texts){0};
    r = sv_drv_query(db, "SELECT name,version,oldest_reader FROM " SCHEMA_TABLE " LIMIT 1", NULL, NULL,
                     three_texts, &t, err);
    if (r < 0)
        return r;
    if (r && strcmp(t.at[0], schema->name) != 0)
        return db->host->fail(err, QL_EEXIST,
                              "%s holds the tables of \"%s\", wanted those of \"%s\"; it was left as it is",
                              db->name, t.at[0], schema->name);
    (void)snprintf(ret->name, sizeof ret->name, "%s", t.at[0]);
    ret->version = strtoll(t.at[1], NULL, 10);
    ret->oldest_reader = strtoll(t.at[2], NULL, 10);
    ret->is_empty = !r && !sv_dialect.ddl_in_txn; /* tables were begun; what is missing is made */
    if (!ret->is_empty && (ret->version < 1 || ret->oldest_reader < 1 || ret->oldest_reader > ret->version))
        return db->host->fail(err, QL_ECORRUPT,
                              "%s is damaged: schema version %lld, oldest reader %lld; it was left as it is",
                              db->name, ret->version, ret->oldest_reader);
    return QL_OK;
}

static int check_version(struct sv_db *db, const struct ql_schema *schema, const struct found *found,
                         struct ql_err *err)
{
    if (found->is_empty)
        return QL_OK;
    if (found->version > schema->version && found->oldest_reader > schema->version)
        return db->host->fail(err, QL_EUNSUPPORTED,
                              "%s is newer than this program: found schema %s %lld, which programs of schema "
                              "%lld and later may "
                              "use, wanted %u; it was left as it is",
                              db->name, schema->name, found->version, found->oldest_reader,
                              (unsigned)schema->version);
    if (found->version < schema->version && !schema->may_migrate)
        return db->host->fail(
            err, QL_EUNSUPPORTED,
            "%s is older than this program: found schema %s %lld, wanted %u, and migration is "
            "switched off (auto_migrate_db); it was left as it is",
            db->name, schema->name, found->version, (unsigned)schema->version);
    return QL_OK;
}

/* ---- what was asked for ---- */

static bool name_ok(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!len || len > SV_NAME_MAX || !strncmp(name, "quicklime_", 10) || !strncmp(name, "pg_", 3))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len && (name[0] < '0' || name[0] > '9');
}

static bool has_index(const struct ql_table *t, uint32_t column)
{
    if (column < t->key_count || (t->lease && !strcmp(t->columns[column].name, "lease_owner")))
        return true;
    for (uint32_t i = 0; i < t->index_count; i++)
        for (const char *const *c = t->indexes[i].columns; *c; c++)
            if (!strcmp(*c, t->columns[column].name))
                return true;
    return false;
}

static const char *type_of(const struct ql_table *t, uint32_t column)
{
    return sv_drv_type(t->columns[column].type, has_index(t, column));
}

static int check_indexes(struct sv_db *db, const struct ql_table *t, struct ql_err *err)
{
    for (uint32_t i = 0; i < t->index_count; i++) {
        if (!name_ok(t->indexes[i].name) || !t->indexes[i].columns[0])
            return db->host->fail(err, QL_ERANGE, "%s: index %u has no usable name or no columns", t->name,
                                  (unsigned)i);
        if (strlen(t->name) + 1 + strlen(t->indexes[i].name) > SV_NAME_MAX)
            return db->host->fail(err, QL_ELIMIT, "%s_%s is too long for an index, at most %d bytes", t->name,
                                  t->indexes[i].name, SV_NAME_MAX);
        for (const char *const *c = t->indexes[i].columns; *c; c++)
            if (sv_column(t, *c) == t->column_count)
                return db->host->fail(err, QL_ERANGE, "%s: index %s names no column %s", t->name,
                                      t->indexes[i].name, *c);
    }
    return QL_OK;
}

static int check_table(struct sv_db *db, const struct ql_table *t, struct ql_err *err)
{
    if (!name_ok(t->name))
        return db->host->fail(err, QL_ERANGE, "table name \"%s\" is not one", t->name ? t->name : "");
    if (!t->column_count || t->column_count > QL_STORE_MAX_COLUMNS || !t->key_count ||
        t->key_count > t->column_count)
        return db->host->fail(err, QL_ERANGE, "table %s has %u columns and %u keys, at most %u", t->name,
                              (unsigned)t->column_count, (unsigned)t->key_count, QL_STORE_MAX_COLUMNS);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct ql_column *c = &t->columns[i];

        if (!name_ok(c->name) || !type_of(t, i))
            return db->host->fail(err, QL_ERANGE, "%s: column %u has no usable name or type", t->name,
                                  (unsigned)i);
        if (i < t->key_count && c->since > t->since)
            return db->host->fail(err, QL_ERANGE, "%s.%s: a key is as old as its table", t->name, c->name);
    }
    if (t->lease &&
        (sv_column(t, "lease_owner") == t->column_count || sv_column(t, "lease_until") == t->column_count ||
         sv_column(t, "claim_no") == t->column_count))
        return db->host->fail(err, QL_ERANGE, "%s lacks a column of leases", t->name);
    return check_indexes(db, t, err);
}

/* ---- writing ---- */

/** Run SQL made with sv_add(); frees it. */
static int exec_made(struct sv_db *db, struct sv_text *t, struct ql_err *err)
{
    char *sql = sv_text_done(t);
    int r;

    if (!sql)
        return sv_nomem(db->host, err);
    r = sv_drv_query(db, sql, NULL, NULL, NULL, NULL, err);
    free(sql);
    return r < 0 ? r : QL_OK;
}

static int create_table(struct sv_db *db, const struct ql_table *t, struct ql_err *err)
{
    struct sv_text s = {0};

    sv_add(&s, "CREATE TABLE ");
    sv_add_name(&s, t->name);
    sv_add(&s, "(");
    for (uint32_t i = 0; i < t->column_count; i++) {
        sv_add_name(&s, t->columns[i].name);
        sv_add(&s, " %s%s,", type_of(t, i), i < t->key_count ? " NOT NULL" : "");
    }
    sv_add(&s, "PRIMARY KEY(");
    for (uint32_t i = 0; i < t->key_count; i++) {
        sv_add(&s, "%s", i ? "," : "");
        sv_add_name(&s, t->columns[i].name);
    }
    sv_add(&s, ")");
    /* Where definitions cannot be rolled back, a table comes with its indexes or not at all. */
    for (uint32_t i = 0; !sv_dialect.ddl_in_txn && i < t->index_count; i++) {
        const struct ql_index *index = &t->indexes[i];

        sv_add(&s, ",%s ", index->unique ? "UNIQUE KEY" : "KEY");
        sv_add_name(&s, index->name);
        for (const char *const *c = index->columns; *c; c++) {
            sv_add(&s, c == index->columns ? "(" : ",");
            sv_add_name(&s, *c);
        }
        sv_add(&s, ")");
    }
    if (t->lease && !sv_dialect.ddl_in_txn)
        sv_add(&s, ",KEY lease_holder(lease_owner)");
    sv_add(&s, ")%s", sv_drv_table_options(db, t));
    return exec_made(db, &s, err);
}

static int create_index(struct sv_db *db, const struct ql_table *t, const struct ql_index *index,
                        struct ql_err *err)
{
    struct sv_text s = {0};

    /* MySQL knows no IF NOT EXISTS here: its driver takes an index that is there already for made. */
    sv_add(&s, "CREATE %sINDEX %s", index->unique ? "UNIQUE " : "",
           sv_dialect.ddl_in_txn ? "IF NOT EXISTS " : "");
    if (sv_dialect.ddl_in_txn) /* names of indexes are shared by all tables */
        sv_add(&s, "%c%s_%s%c", sv_dialect.quote, t->name, index->name, sv_dialect.quote);
    else
        sv_add_name(&s, index->name);
    sv_add(&s, " ON ");
    sv_add_name(&s, t->name);
    for (const char *const *c = index->columns; *c; c++) {
        sv_add(&s, c == index->columns ? "(" : ",");
        sv_add_name(&s, *c);
        sv_add(&s, "%s", sv_dialect.nulls);
    }
    sv_add(&s, ")");
    return exec_made(db, &s, err);
}

static int create_indexes(struct sv_db *db, const struct ql_table *t, struct ql_err *err)
{
    static const char *const columns[] = {"lease_owner", NULL};
    static const struct ql_index holder = {.name = "lease_holder", .columns = columns};
    int r = QL_OK;

    for (uint32_t i = 0; r == QL_OK && i < t->index_count; i++)
        r = create_index(db, t, &t->indexes[i], err);
    return r == QL_OK && t->lease ? create_index(db, t, &holder, err) : r;
}

/** Compare one stored table with what it should be; add columns that are younger than the stored version. */
static int check_columns(struct sv_db *db, const struct ql_table *t, const struct found *found,
                         struct ql_err *err)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct ql_column *c = &t->columns[i];
        struct texts type = {0};
        struct sv_text s = {0};
        int r = sv_drv_query(db, sv_dialect.find_type, t->name, c->name, one_text, &type, err);

        if (r < 0)
            return r;
        if (r && !sv_drv_type_fits(type.at[0], c->type))
            return db->host->fail(
                err, QL_ECORRUPT,
                "%s is damaged: column %s.%s has the type %s, wanted %s; it was left as it is", db->name,
                t->name, c->name, type.at[0], type_of(t, i));
        if (!r && !found->is_empty && c->since <= found->version && t->since <= found->version)
            return db->host->fail(
                err, QL_ECORRUPT,
                "%s is damaged: schema version %lld should have column %s.%s, it is missing; it "
                "was left as it is",
                db->name, found->version, t->name, c->name);
        if (r)
            continue;
        sv_add(&s, "ALTER TABLE ");
        sv_add_name(&s, t->name);
        sv_add(&s, " ADD COLUMN ");
        sv_add_name(&s, c->name);
        sv_add(&s, " %s", type_of(t, i));
        r = exec_made(db, &s, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int bring_table(struct sv_db *db, const struct ql_table *t, const struct found *found, bool may_change,
                       struct ql_err *err)
{
    struct texts name = {0};
    int r = sv_drv_query(db, sv_dialect.find_table, t->name, NULL, one_text, &name, err);
    bool is_there;

    if (r < 0)
        return r;
    is_there = r && !strcmp(name.at[0], t->name);
    if (!is_there && !found->is_empty && t->since <= found->version)
        return db->host->fail(
            err, QL_ECORRUPT,
            "%s is damaged: schema version %lld should have table %s, it is missing; it was left as it is",
            db->name, found->version, t->name);
    r = is_there ? check_columns(db, t, found, err) : create_table(db, t, err);
    if (r == QL_OK && may_change)
        r = create_indexes(db, t, err);
    return r;
}

static int create_own(struct sv_db *db, struct ql_err *err)
{
    static const char *const tables[][2] = {
        {SCHEMA_TABLE, "version BIGINT NOT NULL,oldest_reader BIGINT NOT NULL"},
        {"quicklime_claims", "last BIGINT NOT NULL"},
        {"quicklime_commits", "last BIGINT NOT NULL,since BIGINT NOT NULL"},
    };

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct sv_text s = {0};
        int r;

        sv_add(&s, "CREATE TABLE IF NOT EXISTS %s(name %s NOT NULL PRIMARY KEY,%s)%s", tables[i][0],
               sv_drv_type(QL_COL_TEXT, true), tables[i][1], sv_drv_table_options(db, NULL));
        r = exec_made(db, &s, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int write_mark(struct sv_db *db, const struct ql_schema *schema, bool is_new, struct ql_err *err)
{
    struct sv_text s = {0};

    /* Names are checked: letters, digits and '_'. */
    if (is_new)
        sv_add(&s, "INSERT INTO " SCHEMA_TABLE "(name,version,oldest_reader) VALUES('%s',%u,%u)",
               schema->name, (unsigned)schema->version, (unsigned)schema->oldest_reader);
    else
        sv_add(&s, "UPDATE " SCHEMA_TABLE " SET version=%u,oldest_reader=%u WHERE name='%s'",
               (unsigned)schema->version, (unsigned)schema->oldest_reader, schema->name);
    return exec_made(db, &s, err);
}

/** Everything that changes definitions; one process at a time. */
static int bring(struct sv_db *db, const struct ql_schema *schema, struct ql_err *err)
{
    struct found found;
    bool may_change = false;
    int r;

    r = find_schema(db, schema, &found, err);
    if (r == QL_OK)
        r = check_version(db, schema, &found, err);
    if (r < 0)
        return r;
    may_change = found.is_empty || found.version < schema->version;
    if (found.is_empty)
        r = create_own(db, err);
    for (uint32_t i = 0; r == QL_OK && i < schema->table_count; i++)
        r = bring_table(db, schema->tables[i], &found, may_change, err);
    return r == QL_OK && may_change ? write_mark(db, schema, found.is_empty, err) : r;
}

static int bring_locked(struct sv_db *db, const struct ql_schema *schema, struct ql_err *err)
{
    int r = sv_drv_query(db, sv_dialect.lock_schema, NULL, NULL, NULL, NULL, err);

    if (r < 0)
        return r;
    r = bring(db, schema, err);
    if (sv_dialect.unlock_schema) {
        int done = sv_drv_query(db, sv_dialect.unlock_schema, NULL, NULL, NULL, NULL, NULL);

        r = r == QL_OK && done < 0 ? db->host->fail(err, QL_EAGAIN, "%s: connection lost", db->name) : r;
    }
    return r;
}

int sv_tables(void *plugin, void *at, const struct ql_schema *schema, struct ql_err *err)
{
    struct sv_db *db = at;
    bool is_unsure = false;
    int r;

    (void)plugin;
    if (!name_ok(schema->name) || !schema->version || !schema->oldest_reader ||
        schema->oldest_reader > schema->version)
        return db->host->fail(err, QL_ERANGE, "schema %s: version %u, oldest reader %u",
                              schema->name ? schema->name : "", (unsigned)schema->version,
                              (unsigned)schema->oldest_reader);
    for (uint32_t i = 0; i < schema->table_count; i++) {
        r = check_table(db, schema->tables[i], err);
        if (r < 0)
            return r;
    }
    r = sv_connect(db, err);
    if (r == QL_OK)
        r = sv_drv_begin(db, err);
    if (r == QL_OK)
        r = bring_locked(db, schema, err);
    if (r == QL_OK)
        r = sv_drv_commit(db, NULL, NULL, &is_unsure, err);
    if (r < 0) {
        sv_disconnect(db);
        return r;
    }
    sv_accept(db);
    return QL_OK;
}
