/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sqlite.h"

/* Our mark in the file: one row with the schema's name. Made with the first tables, in the same transaction. */
#define SCHEMA_TABLE "quicklime_schema"

/** What the file holds. */
struct found {
    char name[SQ_NAME_MAX + 1];
    int64_t version, oldest_reader;
    bool is_empty;
};

/** Run a query of one text parameter (NULL: none) and hand over its first row's statement; 1: there is a row. */
static int query(struct sq_db *db, const char *sql, const char *text, sqlite3_stmt **ret, struct ql_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int r;

    r = sqlite3_prepare_v2(db->conn, sql, -1, &stmt, NULL);
    if (r == SQLITE_OK && text)
        r = sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);
    if (r == SQLITE_OK)
        r = sqlite3_step(stmt);
    if (r == SQLITE_ROW || r == SQLITE_DONE) {
        *ret = stmt;
        return r == SQLITE_ROW;
    }
    r = sq_fail(db, r, "reading the schema", err);
    (void)sqlite3_finalize(stmt); /* reported above */
    return r;
}

static void copy_text(char *to, size_t room, const unsigned char *from)
{
    (void)sqlite3_snprintf((int)room, to, "%s", from ? (const char *)from : "");
}

static int find_schema(struct sq_db *db, const struct ql_schema *schema, struct found *ret,
                       struct ql_err *err)
{
    char first[SQ_NAME_MAX + 1] = "";
    sqlite3_stmt *stmt = NULL;
    bool has_mark = false;
    int r;

    r = query(db,
              "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name='" SCHEMA_TABLE
              "' DESC, name LIMIT 1",
              NULL, &stmt, err);
    if (r < 0)
        return r;
    if (r)
        copy_text(first, sizeof first, sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt); /* a read that went well */
    *ret = (struct found){.is_empty = !r};
    if (ret->is_empty)
        return QL_OK;

    has_mark = !strcmp(first, SCHEMA_TABLE);
    if (!has_mark)
        return db->host->fail(
            err, QL_EEXIST,
            "database %s belongs to another program: found table %s and no %s, wanted the tables "
            "of %s; it was left as it is",
            db->path, first, SCHEMA_TABLE, schema->name);
    r = query(db, "SELECT name,version,oldest_reader FROM " SCHEMA_TABLE " ORDER BY name<>?1 LIMIT 1",
              schema->name, &stmt, err);
    if (r < 0)
        return r;
    if (r) {
        copy_text(ret->name, sizeof ret->name, sqlite3_column_text(stmt, 0));
        ret->version = sqlite3_column_int64(stmt, 1);
        ret->oldest_reader = sqlite3_column_int64(stmt, 2);
    }
    (void)sqlite3_finalize(stmt); /* a read that went well */
    if (strcmp(ret->name, schema->name) != 0)
        return db->host->fail(
            err, QL_EEXIST,
            "database %s holds the tables of \"%s\", wanted those of \"%s\"; it was left as it is", db->path,
            ret->name, schema->name);
    if (ret->version < 1 || ret->oldest_reader < 1 || ret->oldest_reader > ret->version)
        return db->host->fail(
            err, QL_ECORRUPT,
            "database %s is damaged: schema version %lld, oldest reader %lld; it was left as it is", db->path,
            (long long)ret->version, (long long)ret->oldest_reader);
    return QL_OK;
}

static int check_version(struct sq_db *db, const struct ql_schema *schema, const struct found *found,
                         struct ql_err *err)
{
    if (found->is_empty)
        return QL_OK;
    if (found->version > schema->version && found->oldest_reader > schema->version)
        return db->host->fail(
            err, QL_EUNSUPPORTED,
            "database %s is newer than this program: found schema %s %lld, which programs of "
            "schema %lld and later may use, wanted %u; it was left as it is",
            db->path, schema->name, (long long)found->version, (long long)found->oldest_reader,
            (unsigned)schema->version);
    if (found->version < schema->version && !schema->may_migrate)
        return db->host->fail(err, QL_EUNSUPPORTED,
                              "database %s is older than this program: found schema %s %lld, wanted %u, and "
                              "migration is switched off (auto_migrate_db); it was left as it is",
                              db->path, schema->name, (long long)found->version, (unsigned)schema->version);
    return QL_OK;
}

static int check_damage(struct sq_db *db, struct ql_err *err)
{
    char text[160] = "no answer";
    sqlite3_stmt *stmt = NULL;
    int r;

    r = query(db, "PRAGMA quick_check(1)", NULL, &stmt, err);
    if (r < 0)
        return r;
    if (r)
        copy_text(text, sizeof text, sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt); /* a read that went well */
    if (!strcmp(text, "ok"))
        return QL_OK;
    return db->host->fail(err, QL_ECORRUPT, "database %s is damaged (%s); it was left as it is", db->path,
                          text);
}

static bool name_ok(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!len || len > SQ_NAME_MAX || !strncmp(name, "sqlite_", 7) || !strncmp(name, "quicklime_", 10))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len && (name[0] < '0' || name[0] > '9');
}

static int check_table(struct sq_db *db, const struct ql_table *t, struct ql_err *err)
{
    if (!name_ok(t->name))
        return db->host->fail(err, QL_ERANGE, "table name \"%s\" is not one", t->name ? t->name : "");
    if (!t->column_count || t->column_count > QL_STORE_MAX_COLUMNS || !t->key_count ||
        t->key_count > t->column_count)
        return db->host->fail(err, QL_ERANGE, "table %s has %u columns and %u keys, at most %u", t->name,
                              (unsigned)t->column_count, (unsigned)t->key_count, QL_STORE_MAX_COLUMNS);
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct ql_column *c = &t->columns[i];

        if (!name_ok(c->name) || !sq_type(c->type))
            return db->host->fail(err, QL_ERANGE, "%s: column %u has no usable name or type", t->name,
                                  (unsigned)i);
        if (i < t->key_count && c->since > t->since)
            return db->host->fail(err, QL_ERANGE, "%s.%s: a key is as old as its table", t->name, c->name);
    }
    for (uint32_t i = 0; i < t->index_count; i++) {
        if (!name_ok(t->indexes[i].name) || !t->indexes[i].columns[0])
            return db->host->fail(err, QL_ERANGE, "%s: index %u has no usable name or no columns", t->name,
                                  (unsigned)i);
        for (const char *const *c = t->indexes[i].columns; *c; c++)
            if (sq_column(t, *c) == t->column_count)
                return db->host->fail(err, QL_ERANGE, "%s: index %s names no column %s", t->name,
                                      t->indexes[i].name, *c);
    }
    if (t->lease &&
        (sq_column(t, "lease_owner") == t->column_count || sq_column(t, "lease_until") == t->column_count ||
         sq_column(t, "claim_no") == t->column_count))
        return db->host->fail(err, QL_ERANGE, "%s lacks a column of leases", t->name);
    return QL_OK;
}

/** Run SQL made by sqlite3_mprintf(); frees it. */
static int exec_made(struct sq_db *db, char *sql, struct ql_err *err)
{
    int r;

    if (!sql)
        return db->host->fail(err, QL_ENOMEM, "out of memory");
    r = sq_exec(db, sql, err);
    sqlite3_free(sql);
    return r;
}

static int create_table(struct sq_db *db, const struct ql_table *t, struct ql_err *err)
{
    sqlite3_str *s = sqlite3_str_new(db->conn);

    sqlite3_str_appendf(s, "CREATE TABLE \"%w\"(", t->name);
    for (uint32_t i = 0; i < t->column_count; i++)
        sqlite3_str_appendf(s, "\"%w\" %s%s,", t->columns[i].name, sq_type(t->columns[i].type),
                            i < t->key_count ? " NOT NULL" : "");
    sqlite3_str_appendall(s, "PRIMARY KEY(");
    for (uint32_t i = 0; i < t->key_count; i++)
        sqlite3_str_appendf(s, "%s\"%w\"", i ? "," : "", t->columns[i].name);
    sqlite3_str_appendall(s, ")) STRICT");
    return exec_made(db, sqlite3_str_finish(s), err);
}

static int create_indexes(struct sq_db *db, const struct ql_table *t, struct ql_err *err)
{
    for (uint32_t i = 0; i < t->index_count; i++) {
        const struct ql_index *index = &t->indexes[i];
        sqlite3_str *s = sqlite3_str_new(db->conn);
        int r;

        /* Names of indexes are shared by all tables of a file. */
        sqlite3_str_appendf(s, "CREATE %sINDEX IF NOT EXISTS \"%w_%w\" ON \"%w\"(",
                            index->unique ? "UNIQUE " : "", t->name, index->name, t->name);
        for (const char *const *c = index->columns; *c; c++)
            sqlite3_str_appendf(s, "%s\"%w\"", c == index->columns ? "" : ",", *c);
        sqlite3_str_appendall(s, ")");
        r = exec_made(db, sqlite3_str_finish(s), err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

/** Type of a stored column; "" when there is none. @return 1 when the table has the column */
static int column_type(struct sq_db *db, const char *table, const char *column, char *type, size_t room,
                       struct ql_err *err)
{
    char *sql = sqlite3_mprintf("SELECT type FROM pragma_table_info('%q') WHERE name=?1", table);
    sqlite3_stmt *stmt = NULL;
    int r;

    if (!sql)
        return db->host->fail(err, QL_ENOMEM, "out of memory");
    r = query(db, sql, column, &stmt, err);
    sqlite3_free(sql);
    if (r < 0)
        return r;
    copy_text(type, room, r ? sqlite3_column_text(stmt, 0) : NULL);
    (void)sqlite3_finalize(stmt); /* a read that went well */
    return r;
}

/** Compare one stored table with what it should be; add columns that are younger than the stored version. */
static int check_columns(struct sq_db *db, const struct ql_table *t, int64_t version, struct ql_err *err)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        const struct ql_column *c = &t->columns[i];
        char type[32];
        int r = column_type(db, t->name, c->name, type, sizeof type, err);

        if (r < 0)
            return r;
        if (r && sqlite3_stricmp(type, sq_type(c->type)) != 0)
            return db->host->fail(err, QL_ECORRUPT, "database %s: column %s.%s has the type %s, wanted %s",
                                  db->path, t->name, c->name, type, sq_type(c->type));
        if (!r && c->since <= version && t->since <= version)
            return db->host->fail(err, QL_ECORRUPT,
                                  "database %s: schema version %lld should have column %s.%s, it is missing",
                                  db->path, (long long)version, t->name, c->name);
        if (!r)
            r = exec_made(db,
                          sqlite3_mprintf("ALTER TABLE \"%w\" ADD COLUMN \"%w\" %s", t->name, c->name,
                                          sq_type(c->type)),
                          err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int bring_table(struct sq_db *db, const struct ql_table *t, const struct found *found, bool may_change,
                       struct ql_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int r;

    r = query(db, "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1", t->name, &stmt, err);
    if (r < 0)
        return r;
    (void)sqlite3_finalize(stmt); /* a read that went well */
    if (!r && !found->is_empty && t->since <= found->version)
        return db->host->fail(err, QL_ECORRUPT,
                              "database %s: schema version %lld should have table %s, it is missing",
                              db->path, (long long)found->version, t->name);
    r = r ? check_columns(db, t, found->version, err) : create_table(db, t, err);
    if (r == QL_OK && may_change)
        r = create_indexes(db, t, err);
    return r;
}

/** Everything that changes the file, in one transaction. */
static int bring(struct sq_db *db, const struct ql_schema *schema, struct ql_err *err)
{
    struct found found;
    bool may_change = false;
    int r;

    /* Again, now that nobody else can change it. */
    r = find_schema(db, schema, &found, err);
    if (r == QL_OK)
        r = check_version(db, schema, &found, err);
    if (r < 0)
        return r;
    may_change = found.is_empty || found.version < schema->version;
    for (uint32_t i = 0; i < schema->table_count; i++) {
        r = bring_table(db, schema->tables[i], &found, may_change, err);
        if (r < 0)
            return r;
    }
    if (!may_change)
        return QL_OK;
    if (found.is_empty) {
        r = sq_exec(
            db,
            "CREATE TABLE " SCHEMA_TABLE "(name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, "
            "oldest_reader INTEGER NOT NULL) STRICT;"
            "CREATE TABLE quicklime_claims(name TEXT PRIMARY KEY NOT NULL, last INTEGER NOT NULL) STRICT",
            err);
        if (r < 0)
            return r;
    }
    return exec_made(
        db,
        sqlite3_mprintf("INSERT INTO " SCHEMA_TABLE "(name,version,oldest_reader) VALUES(%Q,%u,%u) "
                        "ON CONFLICT(name) DO UPDATE SET version=excluded.version,"
                        "oldest_reader=excluded.oldest_reader",
                        schema->name, (unsigned)schema->version, (unsigned)schema->oldest_reader),
        err);
}

static int open_tables(struct sq_db *db, const struct ql_schema *schema, struct ql_err *err)
{
    struct found found;
    int r;

    r = sq_connect(db, schema, err);
    if (r == QL_OK)
        r = find_schema(db, schema, &found, err);
    if (r == QL_OK)
        r = check_version(db, schema, &found, err);
    if (r == QL_OK)
        r = check_damage(db, err);
    /* Up to here nothing was written: what is refused stays byte for byte as it was. */
    if (r == QL_OK)
        r = sq_accept(db, err);
    if (r == QL_OK)
        r = sq_exec(db, "BEGIN IMMEDIATE", err);
    if (r < 0)
        return r;
    r = bring(db, schema, err);
    if (r == QL_OK)
        r = sq_exec(db, "COMMIT", err);
    if (r < 0)
        sq_rollback(NULL, db);
    return r;
}

int sq_tables(void *plugin, void *at, const struct ql_schema *schema, struct ql_err *err)
{
    struct sq_db *db = at;
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
    r = open_tables(db, schema, err);
    if (r < 0)
        sq_disconnect(db);
    return r;
}
