/* SPDX-License-Identifier: Apache-2.0 */
/* What a start finds in the store: failures of the journal first, then deletions to finish, then agents to poll. */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "encode.h"
#include "error.h"
#include "failing.h"
#include "journal.h"
#include "log.h"
#include "policies.h"
#include "verifier.h"

/* ---- journal ---- */

static int replay_line(void *arg, const char *line, size_t len, struct ql_err *err)
{
    struct ql_verifier *v = arg;
    struct ql_failing *f = NULL;
    struct ql_err why = QL_ERR_INIT;
    int r = ql_failing_read(line, len, v->seal, &f, &why);

    if (r < 0) {
        ql_log(QL_ERROR, "store", "a record of the journal cannot be read and is left out: %s", why.text);
        return QL_OK;
    }
    r = ql_store_run(v->store, ql_failing_write, f, err);
    if (r == QL_OK && f->stored_generation >= 0)
        ql_log(QL_INFO, "store", "agent=%s event=%s: failure of the journal stored", f->id, f->event_id);
    else if (r == QL_OK)
        ql_log(QL_WARN, "store",
               "agent=%s event=%s: failure of the journal left out: the agent was changed, deleted or "
               "taken over since",
               f->id, f->event_id);
    ql_failing_free(f);
    return r;
}

static int replay(struct ql_verifier *v, struct ql_err *err)
{
    int r;

    if (ql_journal_is_empty(v->journal))
        return QL_OK;
    r = ql_journal_each(v->journal, replay_line, v, err);
    return r == QL_OK ? ql_journal_clear(v->journal, err) : r;
}

/* ---- agents ---- */

struct found {
    struct ql_verifier *verifier;
    const char *ip;
    int64_t port;
    struct ql_loaded *agents;
    size_t count, room;
    size_t skipped, deleted;
};

static void found_done(struct found *f)
{
    for (size_t i = 0; i < f->count; i++)
        ql_loaded_done(&f->agents[i]);
    free(f->agents);
    f->agents = NULL;
    f->count = f->room = 0;
}

static int take_row(void *arg, struct ql_agent_row *row)
{
    struct found *f = arg;

    if (!row->verifier_id || strcmp(row->verifier_id, f->verifier->uuid) != 0)
        return 0;
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        struct ql_loaded *wide = reallocarray(f->agents, room, sizeof *wide);

        if (!wide)
            return QL_ENOMEM;
        f->agents = wide;
        f->room = room;
    }
    f->agents[f->count] = (struct ql_loaded){.row = *row};
    f->count++;
    *row = (struct ql_agent_row){0};
    return 0;
}

/* A deletion that a crash cut short is finished. */
static int finish_deletion(struct ql_txn *t, const char *id, struct ql_err *err)
{
    static const char *const kinds[] = {"runtime", "mb"};
    int r = ql_agents_delete(t, id, err);

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(kinds); i++) {
        r = ql_policies_delete(t, kinds[i], id, err);
        if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    return r;
}

/* Agents name the verifier that polls them, which may have moved. */
static int rewrite_address(struct ql_txn *t, const struct found *f, struct ql_agent_row *row,
                           struct ql_err *err)
{
    int64_t before = row->generation;

    if (row->verifier_ip && strcmp(row->verifier_ip, f->ip) == 0 && row->verifier_port == f->port)
        return QL_OK;
    free(row->verifier_ip);
    row->verifier_ip = strdup(f->ip);
    row->verifier_port = f->port;
    row->generation++;
    return row->verifier_ip ? ql_agents_update(t, row, before, err) : ql_fail_nomem(err);
}

static int read_agents(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct found *f = arg;
    int r;

    found_done(f); /* a transaction may run more than once */
    f->deleted = 0;
    r = ql_agents_each(t, take_row, f, &f->skipped, err);
    for (size_t i = 0; r == QL_OK && i < f->count; i++) {
        struct ql_agent_row *row = &f->agents[i].row;

        if (row->operational_state == QL_STATE_TERMINATED) {
            f->deleted++;
            r = finish_deletion(t, row->agent_id, err);
        } else if (f->port != 0) {
            r = rewrite_address(t, f, row, err);
        }
    }
    return r;
}

struct content {
    char hex[65];
    char *text;
    size_t len;
};

static int read_content(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct content *c = arg;
    int r;

    free(c->text);
    c->text = NULL;
    r = ql_policies_content(t, c->hex, &c->text, &c->len, err);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

/* Contents that are not in memory yet: each is read once, however many agents share it. */
static int load_contents(struct ql_verifier *v, struct ql_loaded *loaded, struct ql_err *err)
{
    int r = ql_loaded_refs(loaded, err);

    for (size_t i = 0; r == QL_OK && i < loaded->policy_count; i++) {
        struct content c = {.text = NULL};

        if (ql_contents_has(v->contents, loaded->policies[i].digest))
            continue;
        if (strcmp(loaded->policies[i].validator, "tpm-policy") == 0) {
            c.text = loaded->row.tpm_policy ? strdup(loaded->row.tpm_policy) : NULL;
            c.len = c.text ? strlen(c.text) : 0;
        } else {
            ql_hex_encode(loaded->policies[i].digest, 32, c.hex);
            r = ql_store_run(v->store, read_content, &c, err);
        }
        loaded->policies[i].content = c.text;
        loaded->policies[i].len = c.len;
    }
    return r;
}

bool ql_agent_is_polled(const struct ql_verifier *v, int64_t state, int64_t severity)
{
    return ql_state_is_live(state) ||
           (state == QL_STATE_INVALID_QUOTE && severity >= 0 && severity < ql_severity_top(v->severity));
}

int ql_agent_resume(struct ql_verifier *v, const struct ql_loaded *loaded, bool keeps_state,
                    struct ql_err *err)
{
    struct ql_agent *a = NULL;
    int r = ql_agent_add(v, loaded, &a, err);

    if (r != QL_OK)
        return r;
    if (a->state == QL_STATE_INVALID_QUOTE) {
        a->severity = (int)loaded->row.severity_level;
    } else if (a->state != QL_STATE_START && !(keeps_state && a->state == QL_STATE_GET_QUOTE)) {
        a->state = QL_STATE_START;
        ql_agent_progress(a, false, false, false);
    }
    ql_schedule_start(a);
    return QL_OK;
}

int ql_verifier_recover(struct ql_verifier *v, struct ql_err *err)
{
    struct found f = {
        .verifier = v,
        .ip = ql_config_string(v->config, "verifier", "ip"),
        .port = ql_config_int(v->config, "verifier", "port"),
    };
    const bool is_shared = ql_config_bool(v->config, "verifier", "leases");
    int64_t began = ql_mono_ns();
    int r = replay(v, err);

    if (is_shared)
        f.port = 0; /* rows do not name one of several */

    if (r == QL_OK)
        r = ql_store_run(v->store, read_agents, &f, err);
    for (size_t i = 0; r == QL_OK && i < f.count; i++) {
        struct ql_err why = QL_ERR_INIT;

        if (is_shared ||
            !ql_agent_is_polled(v, f.agents[i].row.operational_state, f.agents[i].row.severity_level))
            continue; /* those that are shared are polled when their rows say so (leases.h) */
        r = load_contents(v, &f.agents[i], &why);
        if (r == QL_OK)
            r = ql_agent_resume(v, &f.agents[i], false, &why);
        if (r == QL_ENOMEM) {
            *err = why;
        } else if (r < 0) {
            ql_log(QL_ERROR, "store", "agent=%s: cannot be polled: %s", f.agents[i].row.agent_id, why.text);
            ql_row_fail(v, &f.agents[i].row, why.text);
            r = QL_OK;
        }
    }
    if (r == QL_OK && f.skipped > 0)
        ql_log(QL_ERROR, "store", "%zu agents cannot be read and are not polled", f.skipped);
    if (r == QL_OK && f.deleted > 0)
        ql_log(QL_INFO, "store", "%zu deletions finished", f.deleted);
    if (r == QL_OK && f.count > 0)
        ql_log(QL_INFO, "store", "%zu agents read, %zu to poll, %" PRId64 " ms", f.count, v->agents.count,
               (ql_mono_ns() - began) / QL_NS_PER_MS);
    found_done(&f);
    return r;
}
