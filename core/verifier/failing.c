/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "failing.h"
#include "journal.h"
#include "message.h"
#include "outbox.h"
#include "verifier.h"

void ql_failing_free(struct ql_failing *f)
{
    if (!f)
        return;
    free(f->label);
    free(f->event_id);
    free(f->context);
    free(f->message_type);
    ql_live_free(f->live);
    free(f);
}
QL_DEFINE_CLEANUP(struct ql_failing, ql_failing_free)

static int set_text(char **at, const char *text, struct ql_err *err)
{
    char *copy = strdup(text);

    if (!copy)
        return ql_fail_nomem(err);
    free(*at);
    *at = copy;
    return QL_OK;
}

static int update_row(const struct ql_failing *f, struct ql_agent_row *row, struct ql_err *err)
{
    int r = ql_live_apply(f->live, row, err);

    row->operational_state = f->state;
    row->severity_level = f->severity;
    row->last_received_quote = f->last_received_quote;
    row->attestation_count = f->attestation_count;
    row->last_successful_attestation = f->last_successful_attestation;
    row->generation = f->generation + 1;
    if (r == QL_OK)
        r = set_text(&row->last_event_id, f->event_id, err);
    return r == QL_OK ? set_text(&row->last_event_context, f->context, err) : r;
}

static int add_notification(struct ql_txn *t, struct ql_failing *f, const struct ql_agent_row *row,
                            struct ql_err *err)
{
    const struct ql_message m = {
        .type = f->message_type,
        .time_ns = f->time_ns,
        .event_id = f->event_id,
        .severity = f->label,
        .context = f->context,
    };
    ql_auto_free char *text = ql_message_text(&m, row), *signature = NULL, *address = NULL;
    struct ql_outbox_row event = {
        .agent_id = row->agent_id,
        .event_id = f->event_id,
        .severity = f->label,
        .metadata = row->meta_data,
        .message = text,
        .created_ns = f->time_ns,
        .verifier_id = row->verifier_id,
        .expires_ns = f->expires_ns,
    };

    if (!text || asprintf(&address, "%s:%lld", row->ip ? row->ip : "", (long long)row->port) < 0)
        return ql_fail_nomem(err);
    f->is_unsigned = ql_message_sign(f->seal, row, text, &signature, &f->sign_err) < 0;
    event.signature = signature ? signature : (char *)(uintptr_t) "";
    event.agent_address = address;
    return ql_outbox_insert(t, &event, err);
}

int ql_failing_write(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_failing *f = arg;
    struct ql_agent_row row = {0};
    int r = ql_agents_get(t, f->id, &row, err);

    f->stored_generation = -1;
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    if (row.generation == f->generation && row.claim_no == f->claim_no) {
        r = update_row(f, &row, err);
        if (r == QL_OK)
            r = ql_agents_update(t, &row, f->generation, err);
        if (r == QL_OK && f->message_type)
            r = add_notification(t, f, &row, err);
        if (r == QL_OK)
            f->stored_generation = row.generation;
    }
    ql_agent_row_done(&row);
    return r;
}

char *ql_failing_line(const struct ql_failing *f)
{
    ql_auto_json json_t *j =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:I}", "agent_id",
                  f->id, "generation", (json_int_t)f->generation, "claim_no", (json_int_t)f->claim_no,
                  "state", (json_int_t)f->state, "severity", (json_int_t)f->severity, "label", f->label,
                  "event_id", f->event_id, "context", f->context, "message_type", f->message_type, "time_ns",
                  (json_int_t)f->time_ns, "expires_ns", (json_int_t)f->expires_ns, "last_received_quote",
                  (json_int_t)f->last_received_quote, "attestation_count", (json_int_t)f->attestation_count,
                  "last_successful_attestation", (json_int_t)f->last_successful_attestation);

    return j ? ql_json_text(j) : NULL;
}

static int take_text(const json_t *j, const char *key, char **ret, struct ql_err *err)
{
    const char *text;
    size_t len;
    int r = ql_json_get_text(j, key, &text, &len, err);

    return r == QL_OK ? set_text(ret, text, err) : r;
}

int ql_failing_read(const char *line, size_t len, const struct ql_seal *seal, struct ql_failing **ret,
                    struct ql_err *err)
{
    ql_auto(ql_failing_freep) struct ql_failing *f = calloc(1, sizeof *f);
    ql_auto_json json_t *j = NULL;
    const char *id = NULL;
    size_t id_len = 0;
    int r;

    if (!f)
        return ql_fail_nomem(err);
    struct {
        const char *key;
        int64_t *at;
    } numbers[] = {
        {"generation", &f->generation},
        {"state", &f->state},
        {"severity", &f->severity},
        {"time_ns", &f->time_ns},
        {"expires_ns", &f->expires_ns},
        {"last_received_quote", &f->last_received_quote},
        {"attestation_count", &f->attestation_count},
        {"last_successful_attestation", &f->last_successful_attestation},
    };
    f->seal = seal;
    f->sign_err = (struct ql_err)QL_ERR_INIT;
    r = ql_json_parse_object(line, len, QL_JOURNAL_LINE_MAX, &j, err);
    if (r == QL_OK)
        r = ql_json_get_text(j, "agent_id", &id, &id_len, err);
    if (r == QL_OK && id_len >= sizeof f->id)
        r = ql_fail(err, QL_EPARSE, "agent id of %zu characters", id_len);
    if (r == QL_OK)
        memcpy(f->id, id, id_len + 1);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(numbers); i++)
        r = ql_json_get_int(j, numbers[i].key, INT64_MIN, INT64_MAX, numbers[i].at, err);
    if (r == QL_OK && json_object_get(j, "claim_no"))
        r = ql_json_get_int(j, "claim_no", 0, INT64_MAX, &f->claim_no, err);
    if (r == QL_OK)
        r = take_text(j, "label", &f->label, err);
    if (r == QL_OK)
        r = take_text(j, "event_id", &f->event_id, err);
    if (r == QL_OK)
        r = take_text(j, "context", &f->context, err);
    if (r == QL_OK) {
        r = take_text(j, "message_type", &f->message_type, err);
        r = r == QL_ENOTFOUND ? QL_OK : r;
    }
    if (r == QL_OK && (f->state != QL_STATE_FAILED && f->state != QL_STATE_INVALID_QUOTE))
        r = ql_fail(err, QL_EPARSE, "state %lld is no failure", (long long)f->state);
    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "record lacks a member") : r;
    f->ends = true;
    *ret = ql_steal(f);
    return QL_OK;
}
