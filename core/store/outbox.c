/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "changes.h"
#include "error.h"
#include "fields.h"
#include "outbox.h"

#define OUTBOX_FIELDS(F)                                                                                     \
    F(INT, seq, "seq", 1)                                                                                    \
    F(NAME, agent_id, "agent_id", 1)                                                                         \
    F(TEXT, event_id, "event_id", 1)                                                                         \
    F(TEXT, severity, "severity", 1)                                                                         \
    F(TEXT, agent_address, "agent_address", 1)                                                               \
    F(JSON, metadata, "metadata", 1)                                                                         \
    F(NAME, message, "message", 1)                                                                           \
    F(TEXT, signature, "signature", 1)                                                                       \
    F(INT, created_ns, "created_ns", 1)                                                                      \
    F(INT, expires_ns, "expires_ns", 1)                                                                      \
    F(JSON, pending, "pending", 1)                                                                           \
    F(INT0, attempts, "attempts", 1)                                                                         \
    F(TEXT, verifier_id, "verifier_id", 2)

#define OUTBOX_FIELD(kind, member, column, since) QL_FIELD(struct ql_outbox_row, kind, member)

static const struct ql_field fields[] = {OUTBOX_FIELDS(OUTBOX_FIELD)};
static const struct ql_column columns[] = {OUTBOX_FIELDS(QL_FIELD_COLUMN)};

const struct ql_table ql_outbox_table = {
    .size = sizeof(struct ql_table),
    .name = "outbox",
    .columns = columns,
    .column_count = QL_ARRAY_LEN(columns),
    .key_count = 1,
    .since = 1,
};

void ql_outbox_row_done(struct ql_outbox_row *row)
{
    ql_fields_done(fields, QL_ARRAY_LEN(fields), row);
}

int ql_outbox_insert(struct ql_txn *t, struct ql_outbox_row *row, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)];
    int64_t seq = 0;
    int r;

    r = ql_counter_next(t, "outbox", &seq, err);
    if (r < 0)
        return r;
    row->seq = seq;
    ql_fields_values(fields, QL_ARRAY_LEN(fields), row, values);
    return ql_txn_put(t, &ql_outbox_table, QL_PUT_INSERT, values, 0, NULL, 0, err);
}

int ql_outbox_update(struct ql_txn *t, const struct ql_outbox_row *row, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)];
    int r;

    ql_fields_values(fields, QL_ARRAY_LEN(fields), row, values);
    r = ql_txn_put(t, &ql_outbox_table, QL_PUT_UPDATE, values, UINT64_MAX, NULL, 0, err);
    if (r == QL_ECONFLICT)
        return ql_fail(err, QL_ENOTFOUND, "outbox row %lld does not exist", (long long)row->seq);
    return r;
}

int ql_outbox_delete(struct ql_txn *t, int64_t seq, struct ql_err *err)
{
    struct ql_value key = ql_int(seq);

    return ql_txn_del(t, &ql_outbox_table, &key, NULL, 0, err);
}

struct visit {
    ql_outbox_fn fn;
    void *arg;
    struct ql_err *err;
};

static int visit_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct visit *v = arg;
    struct ql_outbox_row event = {0};
    int r;

    r = ql_fields_read(fields, QL_ARRAY_LEN(fields), &ql_outbox_table, row, column_count, sizeof event,
                       &event, v->err);
    if (r == QL_EPARSE)
        return 0; /* an event that cannot be read must not hold up those behind it; it leaves when it expires */
    if (r < 0)
        return r;
    r = v->fn(v->arg, &event);
    ql_outbox_row_done(&event);
    return r;
}

int ql_outbox_each(struct ql_txn *t, int64_t after, uint64_t limit, ql_outbox_fn fn, void *arg,
                   struct ql_err *err)
{
    struct visit v = {.fn = fn, .arg = arg, .err = err};
    struct ql_value from;

    if (after == INT64_MAX)
        return QL_OK;
    from = ql_int(after + 1);
    return ql_txn_scan(t, &ql_outbox_table, NULL, &from, 1, limit, visit_row, &v, err);
}
