/* SPDX-License-Identifier: Apache-2.0 */
/* What actions of plugins hear of besides failures: agents that are added, change their state, or pass again. */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "message.h"
#include "notifier.h"
#include "verifier.h"

/** An agent that passes again. */
struct recovered {
    struct ql_verifier *verifier;
    char id[81];
};

/* {"ACTION": true, …} for the actions of plugins; *ret NULL: there are none. */
static int pending_of(const struct ql_verifier *v, char **ret, struct ql_err *err)
{
    const size_t count = ql_config_count(v->config, "revocations", "actions");
    ql_auto_json json_t *j = json_object();
    int bad = j ? 0 : -1;

    *ret = NULL;
    if (count == 0)
        return QL_OK;
    for (size_t i = 0; i < count && bad == 0; i++)
        bad = json_object_set_new(j, ql_config_item(v->config, "revocations", "actions", i), json_true());
    *ret = bad == 0 ? ql_json_text(j) : NULL;
    return *ret ? QL_OK : ql_fail_nomem(err);
}

int ql_lifecycle_insert(struct ql_txn *t, const struct ql_verifier *v, const struct ql_agent_row *row,
                        const char *type, const char *event_id, struct ql_err *err)
{
    const struct ql_message m = {
        .type = type, .time_ns = ql_now_ns(), .event_id = event_id, .severity = "info", .context = "{}"};
    ql_auto_free char *pending = NULL, *text = NULL, *address = NULL;
    struct ql_outbox_row event = {
        .agent_id = row->agent_id,
        .event_id = (char *)(uintptr_t)event_id,
        .severity = (char *)(uintptr_t) "info",
        .metadata = row->meta_data,
        .signature = (char *)(uintptr_t) "",
        .created_ns = m.time_ns,
        .verifier_id = row->verifier_id,
        .expires_ns = m.time_ns + ql_config_int(v->config, "revocations", "outbox_expiry") * QL_NS_PER_S,
    };
    int r = pending_of(v, &pending, err);

    if (r < 0 || !pending)
        return r;
    text = ql_message_text(&m, row);
    if (!text || asprintf(&address, "%s:%lld", row->ip ? row->ip : "", (long long)row->port) < 0)
        return ql_fail_nomem(err);
    event.message = text;
    event.agent_address = address;
    event.pending = pending;
    return ql_outbox_insert(t, &event, err);
}

static int write_recovered(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct recovered *g = arg;
    struct ql_agent_row row = {0};
    int r = ql_agents_get(t, g->id, &row, err);

    if (r == QL_OK)
        r = ql_lifecycle_insert(t, g->verifier, &row, "recovery", "agent.passes_again", err);
    ql_agent_row_done(&row);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static void recovered_written(int result, const struct ql_err *err, void *arg)
{
    struct recovered *g = arg;

    if (result < 0)
        ql_log(QL_WARN, "revocation", "agent=%s: actions do not hear of its recovery: %s", g->id, err->text);
    else if (!g->verifier->is_closing)
        ql_outbox_runner_wake(g->verifier->outbox);
    free(g);
}

void ql_lifecycle_recovered(const struct ql_agent *a)
{
    struct recovered *g;
    struct ql_err err = QL_ERR_INIT;

    if (ql_config_count(a->verifier->config, "revocations", "actions") == 0)
        return;
    g = calloc(1, sizeof *g);
    if (g) {
        g->verifier = a->verifier;
        memcpy(g->id, a->id, sizeof g->id);
        if (ql_store_submit(a->verifier->store, write_recovered, recovered_written, g, &err) == QL_OK)
            return;
    }
    ql_log(QL_WARN, "revocation", "agent=%s: actions do not hear of its recovery: %s", a->id,
           g ? err.text : "out of memory");
    free(g);
}
