/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"
#include "error.h"

static const struct ql_column change_columns[] = {
    {"seq", QL_COL_INT, 1},
    {"kind", QL_COL_TEXT, 1},
    {"id", QL_COL_TEXT, 1},
};

const struct ql_table ql_changes_table = {
    .size = sizeof(struct ql_table),
    .name = "changes",
    .columns = change_columns,
    .column_count = QL_ARRAY_LEN(change_columns),
    .key_count = 1,
    .since = 1,
};

static const struct ql_column counter_columns[] = {
    {"name", QL_COL_TEXT, 1},
    {"value", QL_COL_INT, 1},
};

const struct ql_table ql_counters_table = {
    .size = sizeof(struct ql_table),
    .name = "counters",
    .columns = counter_columns,
    .column_count = QL_ARRAY_LEN(counter_columns),
    .key_count = 1,
    .since = 1,
};

static int read_counter(void *arg, const struct ql_value *row, uint32_t column_count)
{
    int64_t *value = arg;

    if (column_count < 2 || row[1].type != QL_COL_INT || row[1].i < 0 || row[1].i == INT64_MAX)
        return QL_EPARSE;
    *value = row[1].i;
    return 0;
}

int ql_counter_last(struct ql_txn *t, const char *name, int64_t *ret, struct ql_err *err)
{
    struct ql_value key = ql_text(name);
    int64_t value = 0;
    int r = ql_txn_get(t, &ql_counters_table, &key, read_counter, &value, err);

    if (r == QL_EPARSE)
        return ql_fail(err, r, "counter %s cannot be read", name);
    if (r < 0 && r != QL_ENOTFOUND)
        return r;
    *ret = value;
    return QL_OK;
}

int ql_counter_next(struct ql_txn *t, const char *name, int64_t *ret, struct ql_err *err)
{
    struct ql_value row[] = {ql_text(name), ql_null()};
    struct ql_cond only_if = {.column = 1};
    int64_t value = 0;
    int r;

    r = ql_txn_get(t, &ql_counters_table, row, read_counter, &value, err);
    if (r == QL_EPARSE)
        return ql_fail(err, r, "counter %s cannot be read", name);
    if (r < 0 && r != QL_ENOTFOUND)
        return r;
    row[1] = ql_int(value + 1);
    only_if.value = ql_int(value);
    if (r == QL_ENOTFOUND)
        r = ql_txn_put(t, &ql_counters_table, QL_PUT_INSERT, row, 0, NULL, 0, err);
    else
        r = ql_txn_put(t, &ql_counters_table, QL_PUT_UPDATE, row, 2, &only_if, 1, err);
    if (r == QL_ECONFLICT)
        return ql_fail(err, QL_EAGAIN, "counter %s was moved by another process", name);
    if (r < 0)
        return r;
    *ret = value + 1;
    return QL_OK;
}

int ql_changes_add(struct ql_txn *t, const char *kind, const char *id, struct ql_err *err)
{
    struct ql_value row[3] = {ql_null(), ql_text(kind), ql_text(id)}, old;
    int64_t seq = 0;
    int r;

    r = ql_counter_next(t, "changes", &seq, err);
    if (r < 0)
        return r;
    row[0] = ql_int(seq);
    r = ql_txn_put(t, &ql_changes_table, QL_PUT_INSERT, row, 0, NULL, 0, err);
    if (r < 0 || seq <= QL_CHANGES_KEEP)
        return r;
    old = ql_int(seq - QL_CHANGES_KEEP);
    r = ql_txn_del(t, &ql_changes_table, &old, NULL, 0, err);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

struct visit {
    ql_change_fn fn;
    void *arg;
};

static int visit_change(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct visit *v = arg;

    if (column_count < 3 || row[0].type != QL_COL_INT || row[1].type != QL_COL_TEXT ||
        row[2].type != QL_COL_TEXT)
        return 0; /* not ours to read: whoever follows the table compares generations as well */
    return v->fn(v->arg, row[0].i, row[1].data, row[2].data);
}

int ql_changes_each(struct ql_txn *t, int64_t after, uint64_t limit, ql_change_fn fn, void *arg,
                    struct ql_err *err)
{
    struct visit v = {.fn = fn, .arg = arg};
    struct ql_value from;

    if (after == INT64_MAX)
        return QL_OK;
    from = ql_int(after + 1);
    return ql_txn_scan(t, &ql_changes_table, NULL, &from, 1, limit, visit_change, &v, err);
}
