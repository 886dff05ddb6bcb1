/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sqlite.h"

static int check(struct sq_db *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
                 struct ql_err *err)
{
    if (!t->lease)
        return db->host->fail(err, QL_ERANGE, "%s has no leases", t->name);
    if (!owner || !*owner)
        return db->host->fail(err, QL_ERANGE, "a lease needs an owner");
    if (ttl_ms < 0 || ttl_ms > INT64_C(1000) * 86400 * 365)
        return db->host->fail(err, QL_ERANGE, "a lease of %lld ms, at most a year", (long long)ttl_ms);
    return QL_OK;
}

/** The table's next claim number. It is kept apart from the rows: a row that is made anew gets no old number again. */
static int next_claim(struct sq_db *db, const struct ql_table *t, int64_t *ret, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_COUNT_CLAIM, .table = t};
    struct sq_stmt *s = NULL;
    int r;

    r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    r = sqlite3_bind_text(s->stmt, 1, t->name, -1, SQLITE_STATIC);
    if (r == SQLITE_OK)
        r = sqlite3_step(s->stmt);
    if (r == SQLITE_ROW) {
        *ret = sqlite3_column_int64(s->stmt, 0);
        r = QL_OK;
    } else {
        r = sq_fail(db, r, "numbering a claim", err);
    }
    sq_release(db, s);
    return r;
}

int sq_claim(void *plugin, void *at, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_CLAIM, .table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    int64_t number = 0;
    int r;

    (void)plugin;
    r = check(db, t, owner, ttl_ms, err);
    if (r == QL_OK)
        r = next_claim(db, t, &number, err);
    if (r == QL_OK)
        r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    if (sqlite3_bind_text(s->stmt, 1, owner, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(s->stmt, 2, ttl_ms) != SQLITE_OK ||
        sqlite3_bind_int64(s->stmt, 3, (int64_t)max) != SQLITE_OK ||
        sqlite3_bind_int64(s->stmt, 4, number) != SQLITE_OK)
        r = sq_fail(db, SQLITE_NOMEM, "binding a value", err);
    if (r == QL_OK)
        r = sq_rows(db, s, fn, arg, true, NULL, err);
    sq_release(db, s);
    return r;
}

int sq_renew(void *plugin, void *at, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint64_t *ret_count, struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_RENEW, .table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    uint64_t changes = 0;
    int r;

    (void)plugin;
    r = check(db, t, owner, ttl_ms, err);
    if (r == QL_OK)
        r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    if (sqlite3_bind_text(s->stmt, 1, owner, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_bind_int64(s->stmt, 2, ttl_ms) != SQLITE_OK)
        r = sq_fail(db, SQLITE_NOMEM, "binding a value", err);
    if (r == QL_OK)
        r = sq_step(db, s, &changes, err);
    sq_release(db, s);
    if (r == QL_OK)
        *ret_count = changes;
    return r;
}

int sq_yield(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key, const char *owner,
             struct ql_err *err)
{
    struct sq_shape shape = {.op = SQ_YIELD, .table = t};
    struct sq_db *db = at;
    struct sq_stmt *s = NULL;
    uint64_t changes = 0;
    int r;

    (void)plugin;
    r = check(db, t, owner, 0, err);
    if (r == QL_OK)
        r = sq_prepare(db, &shape, &s, err);
    if (r < 0)
        return r;
    for (uint32_t i = 0; r == QL_OK && i < t->key_count; i++)
        r = sq_bind(db, s, (int)i + 1, i, &key[i], err);
    if (r == QL_OK &&
        sqlite3_bind_text(s->stmt, (int)t->key_count + 1, owner, -1, SQLITE_STATIC) != SQLITE_OK)
        r = sq_fail(db, SQLITE_NOMEM, "binding a value", err);
    if (r == QL_OK)
        r = sq_step(db, s, &changes, err);
    sq_release(db, s);
    if (r == QL_OK && !changes)
        return db->host->fail(err, QL_ECONFLICT, "%s: the lease is not held by this owner", t->name);
    return r;
}
