/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server.h"

static int check(struct sv_db *db, const struct ql_table *t, const char *owner, int64_t ttl_ms,
                 struct ql_err *err)
{
    if (!t->lease)
        return db->host->fail(err, QL_ERANGE, "%s has no leases", t->name);
    if (!owner || !*owner)
        return db->host->fail(err, QL_ERANGE, "a lease needs an owner");
    if (ttl_ms < 0 || ttl_ms > INT64_C(1000) * 86400 * 365)
        return db->host->fail(err, QL_ERANGE, "a lease of %lld ms, at most a year", (long long)ttl_ms);
    return db->in_txn ? QL_OK : db->host->fail(err, QL_EINTERNAL, "a lease without a transaction");
}

static int read_number(void *arg, const struct ql_value *row, uint32_t column_count)
{
    if (column_count)
        *(int64_t *)arg = row[0].i;
    return 0;
}

/**
 * The table's next claim number. It is kept apart from the rows: a row that is made anew gets no old number again. Claims
 * of one table wait for each other here.
 */
static int next_claim(struct sv_db *db, const struct ql_table *t, int64_t *ret, struct ql_err *err)
{
    const struct sv_shape count = {.op = SV_COUNT_CLAIM}, read = {.op = SV_READ_CLAIM};
    struct sv_input in = {.extra = {sv_string(t->name)}};
    struct sv_rows rows = {.fn = read_number, .arg = ret};
    int r = sv_run(db, &count, &in, NULL, NULL, err);

    if (r == QL_OK)
        r = sv_run(db, &read, &in, &rows, NULL, err);
    if (r == QL_OK && !rows.count)
        return db->host->fail(err, QL_ECORRUPT, "%s: claims of %s cannot be numbered", db->name, t->name);
    return r;
}

int sv_claim(void *plugin, void *at, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint32_t max, ql_row_fn fn, void *arg, struct ql_err *err)
{
    const struct sv_shape claim = {.op = SV_CLAIM, .table = t}, claimed = {.op = SV_CLAIMED, .table = t};
    struct sv_rows rows = {.fn = fn, .arg = arg, .keep_on = true};
    struct sv_input in = {0};
    struct sv_db *db = at;
    uint64_t changes = 0;
    int64_t number = 0;
    int r;

    (void)plugin;
    r = check(db, t, owner, ttl_ms, err);
    if (r == QL_OK)
        r = next_claim(db, t, &number, err);
    if (r < 0)
        return r;
    in.extra[0] = sv_string(owner);
    in.extra[1] = sv_int(ttl_ms);
    in.extra[2] = sv_int((int64_t)max);
    in.extra[3] = sv_int(number);
    if (sv_dialect.returning)
        return sv_run(db, &claim, &in, &rows, NULL, err);
    r = sv_run(db, &claim, &in, NULL, &changes, err);
    return r < 0 || !changes ? r : sv_run(db, &claimed, &in, &rows, NULL, err);
}

int sv_renew(void *plugin, void *at, const struct ql_table *t, const char *owner, int64_t ttl_ms,
             uint64_t *ret_count, struct ql_err *err)
{
    const struct sv_shape shape = {.op = SV_RENEW, .table = t};
    struct sv_input in = {0};
    struct sv_db *db = at;
    int r;

    (void)plugin;
    r = check(db, t, owner, ttl_ms, err);
    if (r < 0)
        return r;
    in.extra[0] = sv_string(owner);
    in.extra[1] = sv_int(ttl_ms);
    return sv_run(db, &shape, &in, NULL, ret_count, err);
}

int sv_yield(void *plugin, void *at, const struct ql_table *t, const struct ql_value *key, const char *owner,
             struct ql_err *err)
{
    const struct sv_shape shape = {.op = SV_YIELD, .table = t};
    struct sv_input in = {.row = key};
    struct sv_db *db = at;
    uint64_t changes = 0;
    int r;

    (void)plugin;
    r = check(db, t, owner, 0, err);
    if (r < 0)
        return r;
    in.extra[0] = sv_string(owner);
    r = sv_run(db, &shape, &in, NULL, &changes, err);
    if (r == QL_OK && !changes)
        return db->host->fail(err, QL_ECONFLICT, "%s: the lease is not held by this owner", t->name);
    return r;
}
