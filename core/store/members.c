/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "fields.h"
#include "members.h"

#define MEMBER_FIELDS(F)                                                                                     \
    F(NAME, name, "name", 2)                                                                                 \
    F(NAME, uuid, "uuid", 2)                                                                                 \
    F(TEXT, address, "address", 2)                                                                           \
    F(BYTES, proof, "proof", 2)                                                                              \
    F(TEXT, lease_owner, "lease_owner", 2)                                                                   \
    F(INT0, lease_until, "lease_until", 2)                                                                   \
    F(INT0, claim_no, "claim_no", 2)

#define MEMBER_FIELD(kind, member, column, since) QL_FIELD(struct ql_member_row, kind, member)

static const struct ql_field fields[] = {MEMBER_FIELDS(MEMBER_FIELD)};
static const struct ql_column columns[] = {MEMBER_FIELDS(QL_FIELD_COLUMN)};

const struct ql_table ql_members_table = {
    .size = sizeof(struct ql_table),
    .name = "members",
    .columns = columns,
    .column_count = QL_ARRAY_LEN(columns),
    .key_count = 1,
    .since = 2,
    .lease = 1,
};

void ql_member_row_done(struct ql_member_row *row)
{
    ql_fields_done(fields, QL_ARRAY_LEN(fields), row);
}

/* ---- who polls what ---- */

void ql_member_list_done(struct ql_member_list *list)
{
    free(list->members);
    *list = (struct ql_member_list){0};
}

const struct ql_member *ql_member_find(const struct ql_member_list *list, const char *name)
{
    for (size_t i = 0; name && i < list->count; i++)
        if (strcmp(list->members[i].name, name) == 0)
            return &list->members[i];
    return NULL;
}

static uint64_t add(uint64_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211); /* FNV-1a */
    return h;
}

/* The last bits of FNV differ too little between names that differ in one place (MurmurHash3's finish). */
static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

const struct ql_member *ql_member_for(const struct ql_member_list *list, const char *agent_id)
{
    const uint64_t start = add(UINT64_C(14695981039346656037), agent_id);
    const struct ql_member *best = NULL;
    uint64_t most = 0;

    for (size_t i = 0; i < list->count; i++) {
        uint64_t weight = mix(add(start, list->members[i].name));

        if (!best || weight > most || (weight == most && strcmp(list->members[i].name, best->name) < 0)) {
            best = &list->members[i];
            most = weight;
        }
    }
    return best;
}

int ql_member_own(const struct ql_member *member, struct ql_agent_row *row, struct ql_err *err)
{
    char *name = strdup(member->name);

    if (!name)
        return ql_fail_nomem(err);
    free(row->lease_owner);
    row->lease_owner = name;
    row->lease_until = 0;
    row->claim_no = member->claim_no;
    return QL_OK;
}

int ql_members_assign(struct ql_txn *t, const char *uuid, struct ql_agent_row *row, struct ql_err *err)
{
    struct ql_member_list list = {0};
    const struct ql_member *best;
    int r = ql_members_list(t, uuid, &list, err);

    if (r < 0)
        return r;
    best = ql_member_find(&list, row->lease_owner) ? NULL : ql_member_for(&list, row->agent_id);
    if (best)
        r = ql_member_own(best, row, err);
    ql_member_list_done(&list);
    return r;
}

/* ---- rows ---- */

int ql_members_insert(struct ql_txn *t, const struct ql_member_row *row, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)];
    int r;

    ql_fields_values(fields, QL_ARRAY_LEN(fields), row, values);
    r = ql_txn_put(t, &ql_members_table, QL_PUT_INSERT, values, 0, NULL, 0, err);
    return r == QL_ECONFLICT ? ql_fail(err, QL_EEXIST, "member %s exists already", row->name) : r;
}

int ql_members_delete(struct ql_txn *t, const char *name, struct ql_err *err)
{
    struct ql_value key = ql_text(name);

    return ql_txn_del(t, &ql_members_table, &key, NULL, 0, err);
}

struct visit {
    ql_member_fn fn;
    void *arg;
    struct ql_err *err;
};

static int visit_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct visit *v = arg;
    struct ql_member_row member = {0};
    int r = ql_fields_read(fields, QL_ARRAY_LEN(fields), &ql_members_table, row, column_count, sizeof member,
                           &member, v->err);

    if (r == QL_EPARSE)
        return 0; /* nobody's: what it is said to poll is taken over */
    if (r < 0)
        return r;
    r = v->fn(v->arg, &member);
    ql_member_row_done(&member);
    return r;
}

int ql_members_each(struct ql_txn *t, ql_member_fn fn, void *arg, struct ql_err *err)
{
    struct visit v = {.fn = fn, .arg = arg, .err = err};

    return ql_txn_scan(t, &ql_members_table, NULL, NULL, 0, 0, visit_row, &v, err);
}

struct listing {
    const char *uuid; /* NULL: all */
    struct ql_member_list list;
    struct ql_member_list others; /* of other uuids */
};

static int append(struct ql_member_list *list, const struct ql_member_row *row)
{
    struct ql_member *wide = reallocarray(list->members, list->count + 1, sizeof *wide);

    if (!wide)
        return QL_ENOMEM;
    list->members = wide;
    wide[list->count] = (struct ql_member){.claim_no = row->claim_no};
    memcpy(wide[list->count].name, row->name, strlen(row->name) + 1);
    list->count++;
    return 0;
}

static int take(void *arg, const struct ql_member_row *row)
{
    struct listing *g = arg;

    if (strlen(row->name) > QL_MEMBER_NAME_MAX)
        return 0; /* not ours */
    return append(strcmp(row->uuid, g->uuid) == 0 ? &g->list : &g->others, row);
}

int ql_members_list(struct ql_txn *t, const char *uuid, struct ql_member_list *ret, struct ql_err *err)
{
    struct listing g = {.uuid = uuid};
    int r = ql_members_each(t, take, &g, err);

    ql_member_list_done(&g.others);
    if (r < 0) {
        ql_member_list_done(&g.list);
        return r == QL_ENOMEM ? ql_fail_nomem(err) : r;
    }
    *ret = g.list;
    return QL_OK;
}

static int yield(struct ql_txn *t, const char *name, const char *owner, struct ql_err *err)
{
    struct ql_value key = ql_text(name);

    return ql_txn_yield(t, &ql_members_table, &key, owner, err);
}

/* Rows whose leases were got: those of @p uuid but @p name are of processes that have gone; others are left as they were. */
static int clear_up(struct ql_txn *t, const char *name, const struct listing *g, bool spares, bool *held,
                    struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < g->list.count; i++) {
        if (strcmp(g->list.members[i].name, name) == 0)
            *held = true;
        else
            r = spares ? yield(t, g->list.members[i].name, name, err)
                       : ql_members_delete(t, g->list.members[i].name, err);
    }
    for (size_t i = 0; r == QL_OK && i < g->others.count; i++)
        r = yield(t, g->others.members[i].name, name, err);
    return r;
}

int ql_members_renew(struct ql_txn *t, const char *name, int64_t ttl_ms, bool *held, struct ql_err *err)
{
    uint64_t renewed = 0;
    int r = ql_txn_renew(t, &ql_members_table, name, ttl_ms, &renewed, err);

    if (r == QL_OK)
        *held = renewed > 0;
    return r;
}

int ql_members_claim(struct ql_txn *t, const char *name, const char *uuid, int64_t ttl_ms, bool spares,
                     bool *held, struct ql_err *err)
{
    struct listing g = {.uuid = uuid};
    struct visit v = {.fn = take, .arg = &g, .err = err};
    int r = ql_txn_claim(t, &ql_members_table, name, ttl_ms, UINT32_MAX, visit_row, &v, err);

    if (r == QL_OK)
        r = clear_up(t, name, &g, spares, held, err);
    ql_member_list_done(&g.list);
    ql_member_list_done(&g.others);
    return r == QL_ENOMEM ? ql_fail_nomem(err) : r;
}
