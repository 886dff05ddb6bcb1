/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "fields.h"
#include "registrations.h"

#define REGISTRATION_FIELDS(F)                                                                               \
    F(NAME, agent_id, "agent_id", 1)                                                                         \
    F(BOOL, active, "active", 1)                                                                             \
    F(BYTES, ek_tpm, "ek_tpm", 1)                                                                            \
    F(BYTES, aik_tpm, "aik_tpm", 1)                                                                          \
    F(BYTES, iak_tpm, "iak_tpm", 1)                                                                          \
    F(BYTES, idevid_tpm, "idevid_tpm", 1)                                                                    \
    F(BYTES, ekcert, "ekcert", 1)                                                                            \
    F(BYTES, iak_cert, "iak_cert", 1)                                                                        \
    F(BYTES, idevid_cert, "idevid_cert", 1)                                                                  \
    F(TEXT, mtls_cert, "mtls_cert", 1)                                                                       \
    F(TEXT, ip, "ip", 1)                                                                                     \
    F(INT0, port, "port", 1)                                                                                 \
    F(INT0, regcount, "regcount", 1)                                                                         \
    F(TEXT, key, "challenge_key", 1)                                                                         \
    F(INT, created_ns, "created_ns", 1)                                                                      \
    F(INT0, wrong_tags, "wrong_tags", 1)

#define REGISTRATION_NUMBER(kind, member, column, since) REGISTRATION_##member,
#define REGISTRATION_FIELD(kind, member, column, since)  QL_FIELD(struct ql_registration, kind, member)

static const struct ql_field fields[] = {REGISTRATION_FIELDS(REGISTRATION_FIELD)};
static const struct ql_column columns[] = {REGISTRATION_FIELDS(QL_FIELD_COLUMN)};

/* Number of each member's column. */
enum {
    REGISTRATION_FIELDS(REGISTRATION_NUMBER) REGISTRATION_FIELD_COUNT
};

static const struct ql_index indexes[] = {
    {.name = "by_age", .columns = (const char *const[]){"active", "created_ns", NULL}},
};

const struct ql_table ql_registrations_table = {
    .size = sizeof(struct ql_table),
    .name = "registrations",
    .columns = columns,
    .column_count = QL_ARRAY_LEN(columns),
    .key_count = 2,
    .indexes = indexes,
    .index_count = QL_ARRAY_LEN(indexes),
    .since = 1,
};

void ql_registration_done(struct ql_registration *r)
{
    ql_fields_done(fields, QL_ARRAY_LEN(fields), r);
}

struct reading {
    struct ql_registration *ret;
    ql_registration_fn fn;
    void *arg;
    size_t skipped;
    struct ql_err *err;
};

static int read_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct reading *g = arg;

    return ql_fields_read(fields, QL_ARRAY_LEN(fields), &ql_registrations_table, row, column_count,
                          sizeof *g->ret, g->ret, g->err);
}

int ql_registrations_get(struct ql_txn *t, const char *agent_id, bool active, struct ql_registration *ret,
                         struct ql_err *err)
{
    struct ql_registration row = {0};
    struct reading g = {.ret = &row, .err = err};
    struct ql_value key[] = {ql_text(agent_id), ql_int(active)};
    int r;

    r = ql_txn_get(t, &ql_registrations_table, key, read_row, &g, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "agent %.80s has no %s registration", agent_id, active ? "active" : "pending");
    if (r < 0)
        return r;
    *ret = row;
    return QL_OK;
}

int ql_registrations_put(struct ql_txn *t, const struct ql_registration *r, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)];

    ql_fields_values(fields, QL_ARRAY_LEN(fields), r, values);
    return ql_txn_put(t, &ql_registrations_table, QL_PUT_UPSERT, values, 0, NULL, 0, err);
}

int ql_registrations_delete(struct ql_txn *t, const char *agent_id, bool active, struct ql_err *err)
{
    struct ql_value key[] = {ql_text(agent_id), ql_int(active)};
    int r;

    r = ql_txn_del(t, &ql_registrations_table, key, NULL, 0, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "agent %.80s has no %s registration", agent_id, active ? "active" : "pending");
    return r;
}

static int visit_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct reading *g = arg;
    struct ql_registration one = {0};
    int r;

    g->ret = &one;
    r = read_row(g, row, column_count);
    if (r == QL_EPARSE) {
        g->skipped++;
        return 0;
    }
    if (r < 0)
        return r;
    r = g->fn ? g->fn(g->arg, &one) : 0;
    ql_registration_done(&one);
    return r;
}

int ql_registrations_each(struct ql_txn *t, ql_registration_fn fn, void *arg, size_t *skipped,
                          struct ql_err *err)
{
    struct reading g = {.fn = fn, .arg = arg, .err = err};
    int r;

    r = ql_txn_scan(t, &ql_registrations_table, NULL, NULL, 0, 0, visit_row, &g, err);
    if (r == QL_OK && skipped)
        *skipped = g.skipped;
    return r;
}

/** Keys of pending rows, oldest first. */
struct pending {
    char **ids;
    size_t count, room;
    int64_t before_ns;
    size_t old; /* how many of them are older than before_ns */
    struct ql_err *err;
};

static void pending_done(struct pending *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->ids[i]);
    free(p->ids);
}

static int collect(void *arg, const struct ql_value *row, uint32_t column_count)
{
    enum {
        AGENT_ID = 0,
        ACTIVE = 1,
        CREATED = 14
    };
    struct pending *p = arg;

    if (column_count < REGISTRATION_FIELD_COUNT || row[ACTIVE].type != QL_COL_INT || row[ACTIVE].i != 0)
        return 1; /* rows come pending first: no more of them */
    if (row[AGENT_ID].type != QL_COL_TEXT)
        return 0;
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 256;
        char **ids = reallocarray(p->ids, room, sizeof *ids);

        if (!ids)
            return ql_fail_nomem(p->err);
        p->ids = ids;
        p->room = room;
    }
    p->ids[p->count] = strndup(row[AGENT_ID].data, row[AGENT_ID].len);
    if (!p->ids[p->count])
        return ql_fail_nomem(p->err);
    p->count++;
    if (row[CREATED].type != QL_COL_INT || row[CREATED].i < p->before_ns)
        p->old = p->count;
    return 0;
}

int ql_registrations_expire(struct ql_txn *t, int64_t before_ns, uint64_t keep, uint64_t *dropped,
                            struct ql_err *err)
{
    ql_auto(pending_done) struct pending p = {.before_ns = before_ns, .err = err};
    struct ql_value from[] = {ql_int(0), ql_int(INT64_MIN)};
    size_t drop;
    int r;

    r = ql_txn_scan(t, &ql_registrations_table, "by_age", from, 2, 0, collect, &p, err);
    if (r < 0)
        return r;
    drop = p.old;
    if (p.count > keep && p.count - keep > drop)
        drop = p.count - (size_t)keep;
    for (size_t i = 0; i < drop; i++) {
        r = ql_registrations_delete(t, p.ids[i], false, err);
        if (r < 0 && r != QL_ENOTFOUND)
            return r;
    }
    *dropped = drop;
    return QL_OK;
}
