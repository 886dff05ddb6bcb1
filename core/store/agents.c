/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "changes.h"
#include "error.h"
#include "fields.h"
#include "internal.h"

/* Columns that Keylime has bear its names. */
#define AGENT_FIELDS(F)                                                                                      \
    F(NAME, agent_id, "agent_id", 1)                                                                         \
    F(INT, generation, "generation", 1)                                                                      \
    F(BYTES, v, "v", 1)                                                                                      \
    F(TEXT, ip, "ip", 1)                                                                                     \
    F(INT0, port, "port", 1)                                                                                 \
    F(INT, operational_state, "operational_state", 1)                                                        \
    F(TEXT, public_key, "public_key", 1)                                                                     \
    F(JSON, tpm_policy, "tpm_policy", 1)                                                                     \
    F(JSON, meta_data, "meta_data", 1)                                                                       \
    F(INT0, mask, "mask", 1)                                                                                 \
    F(JSON, needs, "needs", 1)                                                                               \
    F(JSON, policies, "policies", 1)                                                                         \
    F(BYTES, revocation_key, "revocation_key", 1)                                                            \
    F(JSON, accept_hash, "accept_tpm_hash_algs", 1)                                                          \
    F(JSON, accept_enc, "accept_tpm_encryption_algs", 1)                                                     \
    F(JSON, accept_sign, "accept_tpm_signing_algs", 1)                                                       \
    F(TEXT, hash_alg, "hash_alg", 1)                                                                         \
    F(TEXT, enc_alg, "enc_alg", 1)                                                                           \
    F(TEXT, sign_alg, "sign_alg", 1)                                                                         \
    F(JSON, ima_sign_verification_keys, "ima_sign_verification_keys", 1)                                     \
    F(TEXT, runtime_policy_name, "runtime_policy_name", 1)                                                   \
    F(TEXT, mb_policy_name, "mb_policy_name", 1)                                                             \
    F(TEXT, verifier_id, "verifier_id", 1)                                                                   \
    F(TEXT, verifier_ip, "verifier_ip", 1)                                                                   \
    F(INT0, verifier_port, "verifier_port", 1)                                                               \
    F(INTM, severity_level, "severity_level", 1)                                                             \
    F(TEXT, last_event_id, "last_event_id", 1)                                                               \
    F(JSON, last_event_context, "last_event_context", 1)                                                     \
    F(TEXT, supported_version, "supported_version", 1)                                                       \
    F(BYTES, ak_tpm, "ak_tpm", 1)                                                                            \
    F(TEXT, mtls_cert, "mtls_cert", 1)                                                                       \
    F(INT0, attestation_count, "attestation_count", 1)                                                       \
    F(INT0, last_received_quote, "last_received_quote", 1)                                                   \
    F(INT0, last_successful_attestation, "last_successful_attestation", 1)                                   \
    F(JSON, clock, "tpm_clockinfo", 1)                                                                       \
    F(BYTES, state, "state", 1)                                                                              \
    F(INT0, state_number, "state_number", 1)                                                                 \
    F(JSON, options, "options", 1)                                                                           \
    F(TEXT, lease_owner, "lease_owner", 1)                                                                   \
    F(INT0, lease_until, "lease_until", 1)                                                                   \
    F(INT0, claim_no, "claim_no", 1)

#define AGENT_FIELD(kind, member, column, since)  QL_FIELD(struct ql_agent_row, kind, member)
#define AGENT_NUMBER(kind, member, column, since) AGENT_##member,

static const struct ql_field fields[] = {AGENT_FIELDS(AGENT_FIELD)};

static const struct ql_column columns[] = {AGENT_FIELDS(QL_FIELD_COLUMN)};

/* Number of each member's column. */
enum {
    AGENT_FIELDS(AGENT_NUMBER) AGENT_FIELD_COUNT
};

const struct ql_table ql_agents_table = {
    .size = sizeof(struct ql_table),
    .name = "agents",
    .columns = columns,
    .column_count = QL_ARRAY_LEN(columns),
    .key_count = 1,
    .since = 1,
    .lease = 1,
};

#define BIT(n) (UINT64_C(1) << (n))

void ql_agent_row_done(struct ql_agent_row *row)
{
    ql_fields_done(fields, QL_ARRAY_LEN(fields), row);
}

int ql_agent_row_copy(const struct ql_agent_row *from, struct ql_agent_row *ret, struct ql_err *err)
{
    return ql_fields_copy(fields, QL_ARRAY_LEN(fields), from, sizeof *from, ret, err);
}

/** Where a row callback leaves what it made, and why it could not. */
struct reading {
    struct ql_agent_row *ret;
    ql_agent_fn fn;
    void *arg;
    size_t skipped;
    struct ql_err *err;
};

static int read_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct reading *g = arg;

    return ql_fields_read(fields, QL_ARRAY_LEN(fields), &ql_agents_table, row, column_count, sizeof *g->ret,
                          g->ret, g->err);
}

int ql_agents_get(struct ql_txn *t, const char *agent_id, struct ql_agent_row *ret, struct ql_err *err)
{
    struct ql_agent_row row = {0};
    struct reading g = {.ret = &row, .err = err};
    struct ql_value key = ql_text(agent_id);
    int r;

    r = ql_txn_get(t, &ql_agents_table, &key, read_row, &g, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "agent %.80s is not known", agent_id);
    if (r < 0)
        return r;
    *ret = row;
    return QL_OK;
}

int ql_agents_insert(struct ql_txn *t, const struct ql_agent_row *row, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)] = {0};
    int r;

    ql_fields_values(fields, QL_ARRAY_LEN(fields), row, values);
    r = ql_txn_put(t, &ql_agents_table, QL_PUT_INSERT, values, 0, NULL, 0, err);
    if (r == QL_ECONFLICT)
        return ql_fail(err, QL_EEXIST, "agent %.80s exists already", row->agent_id);
    if (r < 0)
        return r;
    return ql_changes_add(t, "agent", row->agent_id, err);
}

int ql_agents_update(struct ql_txn *t, const struct ql_agent_row *row, int64_t generation, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(columns)] = {0};
    struct ql_cond only_if = {.column = AGENT_generation, .value = ql_int(generation)};
    int r;

    ql_fields_values(fields, QL_ARRAY_LEN(fields), row, values);
    r = ql_txn_put(t, &ql_agents_table, QL_PUT_UPDATE, values, BIT(AGENT_FIELD_COUNT) - 1, &only_if, 1, err);
    if (r == QL_ECONFLICT)
        return ql_fail(err, r, "agent %.80s is gone or was changed by somebody else (generation %lld)",
                       row->agent_id, (long long)generation);
    if (r < 0)
        return r;
    return ql_changes_add(t, "agent", row->agent_id, err);
}

int ql_agents_delete(struct ql_txn *t, const char *agent_id, struct ql_err *err)
{
    struct ql_value key = ql_text(agent_id);
    int r;

    r = ql_txn_del(t, &ql_agents_table, &key, NULL, 0, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "agent %.80s is not known", agent_id);
    if (r < 0)
        return r;
    return ql_changes_add(t, "agent", agent_id, err);
}

static int visit_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct reading *g = arg;
    struct ql_agent_row agent = {0};
    int r;

    g->ret = &agent;
    r = read_row(g, row, column_count);
    if (r == QL_EPARSE) {
        g->skipped++;
        return 0;
    }
    if (r < 0)
        return r;
    r = g->fn ? g->fn(g->arg, &agent) : 0;
    ql_agent_row_done(&agent);
    return r;
}

int ql_agents_each(struct ql_txn *t, ql_agent_fn fn, void *arg, size_t *skipped, struct ql_err *err)
{
    struct reading g = {.fn = fn, .arg = arg, .err = err};
    int r;

    r = ql_txn_scan(t, &ql_agents_table, NULL, NULL, 0, 0, visit_row, &g, err);
    if (r == QL_OK && skipped)
        *skipped = g.skipped;
    return r;
}

/** Values and conditions of one record. */
struct progress_values {
    struct ql_value row[QL_ARRAY_LEN(columns)];
    struct ql_cond only_if[2];
};

static struct ql_put progress_put(const struct ql_agent_progress *p, struct progress_values *v)
{
    struct ql_put put = {.mode = QL_PUT_UPDATE,
                         .row = v->row,
                         .only_if = v->only_if,
                         .cond_count = p->claim_no ? 2 : 1,
                         .mask = BIT(AGENT_operational_state) | BIT(AGENT_attestation_count) |
                                 BIT(AGENT_last_received_quote) | BIT(AGENT_last_successful_attestation) |
                                 BIT(AGENT_hash_alg) | BIT(AGENT_enc_alg) | BIT(AGENT_sign_alg)};

    v->only_if[0] = (struct ql_cond){.column = AGENT_generation, .value = ql_int(p->generation)};
    v->only_if[1] = (struct ql_cond){.column = AGENT_claim_no, .value = ql_int(p->claim_no)};
    v->row[AGENT_agent_id] = ql_text(p->agent_id);
    v->row[AGENT_operational_state] = ql_int(p->operational_state);
    v->row[AGENT_attestation_count] = ql_int(p->attestation_count);
    v->row[AGENT_last_received_quote] = ql_int(p->last_received_quote);
    v->row[AGENT_last_successful_attestation] = ql_int(p->last_successful_attestation);
    v->row[AGENT_hash_alg] = ql_text(p->hash_alg);
    v->row[AGENT_enc_alg] = ql_text(p->enc_alg);
    v->row[AGENT_sign_alg] = ql_text(p->sign_alg);
    if (p->clock) {
        v->row[AGENT_clock] = ql_json_value(p->clock);
        put.mask |= BIT(AGENT_clock);
    }
    if (p->public_key) {
        v->row[AGENT_public_key] = ql_text(p->public_key);
        put.mask |= BIT(AGENT_public_key);
    }
    if (p->state) {
        v->row[AGENT_state] = ql_bytes(p->state, p->state_len);
        v->row[AGENT_state_number] = ql_int(p->state_number);
        put.mask |= BIT(AGENT_state) | BIT(AGENT_state_number);
    }
    return put;
}

int ql_agents_progress_put(struct ql_txn *t, const struct ql_agent_progress *const *records, uint32_t count,
                           int32_t *results, struct ql_err *err)
{
    ql_auto_free struct progress_values *values = calloc(count, sizeof *values);
    ql_auto_free struct ql_put *puts = calloc(count, sizeof *puts);
    int r;

    if (!values || !puts)
        return ql_fail_nomem(err);
    for (uint32_t i = 0; i < count; i++)
        puts[i] = progress_put(records[i], &values[i]);
    r = ql_txn_put_many(t, &ql_agents_table, puts, count, err);
    for (uint32_t i = 0; i < count; i++)
        results[i] = puts[i].result;
    return r;
}

/* ---- marks ---- */

struct marking {
    ql_mark_fn fn;
    void *arg;
};

static const char *text_of(const struct ql_value *v)
{
    return v->type == QL_COL_TEXT ? v->data : NULL;
}

static int64_t int_of(const struct ql_value *v, int64_t absent)
{
    return v->type == QL_COL_INT ? v->i : absent;
}

static int visit_mark(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct marking *g = arg;
    struct ql_agent_mark m;

    if (column_count < QL_ARRAY_LEN(columns) || !text_of(&row[AGENT_agent_id]))
        return 0; /* cannot be read: ql_agents_each() counts it */
    m = (struct ql_agent_mark){
        .agent_id = text_of(&row[AGENT_agent_id]),
        .verifier_id = text_of(&row[AGENT_verifier_id]),
        .lease_owner = text_of(&row[AGENT_lease_owner]),
        .generation = int_of(&row[AGENT_generation], 0),
        .operational_state = int_of(&row[AGENT_operational_state], 0),
        .severity_level = int_of(&row[AGENT_severity_level], -1),
    };
    return g->fn(g->arg, &m);
}

int ql_agents_mark(struct ql_txn *t, const char *agent_id, ql_mark_fn fn, void *arg, struct ql_err *err)
{
    struct marking g = {.fn = fn, .arg = arg};
    struct ql_value key = ql_text(agent_id);

    return ql_txn_get(t, &ql_agents_table, &key, visit_mark, &g, err);
}

int ql_agents_marks(struct ql_txn *t, ql_mark_fn fn, void *arg, struct ql_err *err)
{
    struct marking g = {.fn = fn, .arg = arg};

    return ql_txn_scan(t, &ql_agents_table, NULL, NULL, 0, 0, visit_mark, &g, err);
}
