/* SPDX-License-Identifier: Apache-2.0 */
/* DELETE /agents/{agent_id}, PUT …/stop and PUT …/reactivate. */
#include <string.h>

#include "error.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "policies.h"
#include "verifier.h"

#define NO_ROW "Exception error: No row was found when one was required"

/** One order on its way; attached to the request. */
struct ordering {
    struct ql_verifier *verifier;
    struct ql_http_req *req;
    const char *agent_id;
    struct ql_live *live; /* what memory had of it; NULL: it was not polled */
    struct ql_loaded loaded;
    enum {
        ORDER_DONE,
        ORDER_UNKNOWN,
        ORDER_FOREIGN
    } outcome;
    int64_t generation;
};

static void ordering_free(void *object)
{
    struct ordering *g = object;

    ql_live_free(g->live);
    ql_loaded_done(&g->loaded);
    free(g);
}

/* Nothing that is under way may change the agent from here on: its write comes first. */
static struct ordering *ordering_new(struct ql_http_req *req, struct ql_verifier *v)
{
    const char *id = ql_api_agent_id(req);
    struct ordering *g = id ? calloc(1, sizeof *g) : NULL;

    if (!g) {
        if (id)
            ql_api_busy(req);
        return NULL;
    }
    *g = (struct ordering){.verifier = v, .req = req, .agent_id = id};
    ql_req_attach(req, g, ordering_free);
    return g;
}

static bool hold(struct ordering *g)
{
    struct ql_agent *a = ql_agents_find(&g->verifier->agents, g->agent_id);

    if (!a)
        return true;
    if (!g->live)
        g->live = ql_live_take(a);
    if (!g->live) {
        ql_api_busy(g->req);
        return false;
    }
    ql_agent_halt(a);
    a->is_deleting = true;
    ql_agents_progress_drop(g->verifier->store, a->id);
    return true;
}

/* The order was not carried out: poll as before. */
static void resume(struct ordering *g)
{
    struct ql_agent *a = ql_agents_find(&g->verifier->agents, g->agent_id);

    if (!a || !a->is_deleting)
        return;
    a->is_deleting = false;
    ql_schedule_after(a, 0);
}

static void submit(struct ordering *g, ql_txn_fn fn, ql_txn_done done)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_submit(g->verifier->store, fn, done, g, &err);

    if (r == QL_OK)
        return;
    resume(g);
    ql_api_store_failed(g->req, r, &err);
}

static void forget(struct ordering *g)
{
    struct ql_agent *a = ql_agents_find(&g->verifier->agents, g->agent_id);

    if (a)
        ql_agent_remove(a);
}

/* The row, when it is this verifier's, and which policies it names. */
static int get_own(struct ql_txn *t, struct ordering *g, struct ql_err *err)
{
    int r;

    ql_loaded_done(&g->loaded);
    r = ql_agents_get(t, g->agent_id, &g->loaded.row, err);
    if (r == QL_OK)
        r = ql_loaded_refs(&g->loaded, err);
    g->outcome = r == QL_ENOTFOUND ? ORDER_UNKNOWN : ORDER_DONE;
    if (r == QL_OK &&
        (!g->loaded.row.verifier_id || strcmp(g->loaded.row.verifier_id, g->verifier->uuid) != 0))
        g->outcome = ORDER_FOREIGN;
    return r == QL_ENOTFOUND ? QL_OK : r;
}

/* ---- delete ---- */

static int delete_agent(struct ql_txn *t, void *arg, struct ql_err *err)
{
    static const char *const kinds[] = {"runtime", "mb"};
    struct ordering *g = arg;
    int r = get_own(t, g, err);

    if (r < 0 || g->outcome != ORDER_DONE)
        return r;
    r = ql_agents_delete(t, g->agent_id, err);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(kinds); i++) {
        r = ql_policies_delete(t, kinds[i], g->agent_id, err);
        if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    for (size_t i = 0; r == QL_OK && i < g->loaded.policy_count; i++) {
        r = ql_policies_delete(t, g->loaded.policies[i].validator, g->agent_id, err);
        if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    if (r == QL_OK)
        r = ql_lifecycle_insert(t, g->verifier, &g->loaded.row, "state_change", "agent.deleted", err);
    return r;
}

static void deleted(int result, const struct ql_err *err, void *arg)
{
    struct ordering *g = arg;

    if (result < 0) {
        resume(g);
        ql_api_store_failed(g->req, result, err);
        return;
    }
    switch (g->outcome) {
    case ORDER_UNKNOWN:
        forget(g);
        ql_req_reply(g->req, 404, "agent id not found", NULL);
        return;
    case ORDER_FOREIGN:
        ql_req_reply(g->req, 404, "agent id associated to this verifier", NULL);
        return;
    case ORDER_DONE:
        forget(g);
        ql_log(QL_INFO, "api", "agent=%s by=%s: deleted", g->agent_id, ql_req_client_name(g->req));
        ql_outbox_runner_wake(g->verifier->outbox);
        ql_req_reply(g->req, 200, "Success", NULL);
        return;
    }
}

void ql_api_agent_delete(struct ql_http_req *req, void *arg)
{
    struct ordering *g = ordering_new(req, arg);

    if (g && hold(g))
        submit(g, delete_agent, deleted);
}

/* ---- stop and reactivate ---- */

/* A body is not needed; one that says JSON has to be (spec/server.md 1). @return false: answered */
static bool body_ok(struct ql_http_req *req)
{
    ql_auto_json json_t *body = NULL;
    size_t len;
    const uint8_t *bytes = ql_req_body(req, &len);

    if (!ql_req_is_json(req) ||
        ql_json_parse((const char *)bytes, len, QL_API_BODY_SMALL, &body, NULL) == QL_OK)
        return true;
    ql_req_reply_empty(req, 400);
    return false;
}

static int change_state(struct ql_txn *t, struct ordering *g, int64_t state, struct ql_err *err)
{
    struct ql_agent_row *row = &g->loaded.row;
    int64_t before;
    int r = get_own(t, g, err);

    if (r < 0 || g->outcome != ORDER_DONE)
        return r;
    /* Polled by another verifier: it goes on as it is. */
    if (state == QL_STATE_START && !ql_leases_own(g->verifier, row) &&
        ql_state_is_live(row->operational_state))
        return QL_OK;
    before = row->generation;
    r = ql_live_apply(g->live, row, err);
    if (r == QL_OK && state == QL_STATE_START)
        r = ql_leases_assign(g->verifier, t, row, err);
    row->operational_state = state;
    row->generation = before + 1;
    if (r == QL_OK)
        r = ql_agents_update(t, row, before, err);
    if (r == QL_OK)
        r = state == QL_STATE_START
                ? ql_lifecycle_insert(t, g->verifier, row, "recovery", "agent.reactivated", err)
                : ql_lifecycle_insert(t, g->verifier, row, "state_change", "agent.stopped", err);
    return r;
}

static int stop_agent(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return change_state(t, arg, QL_STATE_TENANT_FAILED, err);
}

static int start_agent(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ordering *g = arg;
    int r = change_state(t, g, QL_STATE_START, err);

    if (g->outcome == ORDER_DONE)
        for (size_t i = 0; r == QL_OK && i < g->loaded.policy_count; i++)
            r = ql_loaded_content(t, &g->loaded, i, err);
    return r;
}

static bool order_failed(struct ordering *g, int result, const struct ql_err *err)
{
    if (result < 0) {
        resume(g);
        ql_api_store_failed(g->req, result, err);
        return true;
    }
    if (g->outcome == ORDER_DONE)
        return false;
    if (g->outcome == ORDER_UNKNOWN)
        forget(g);
    ql_req_reply(g->req, 400, NO_ROW, NULL);
    return true;
}

static void stopped(int result, const struct ql_err *err, void *arg)
{
    struct ordering *g = arg;

    if (order_failed(g, result, err))
        return;
    forget(g);
    ql_log(QL_INFO, "api", "agent=%s by=%s: stopped", g->agent_id, ql_req_client_name(g->req));
    ql_outbox_runner_wake(g->verifier->outbox);
    ql_req_reply(g->req, 200, "Success", NULL);
}

static void started(int result, const struct ql_err *err, void *arg)
{
    struct ordering *g = arg;
    struct ql_agent *a = NULL;
    struct ql_err why = QL_ERR_INIT;

    if (order_failed(g, result, err))
        return;
    if (!ql_leases_own(g->verifier, &g->loaded.row)) {
        forget(g);
    } else if (ql_agent_add(g->verifier, &g->loaded, &a, &why) == QL_OK) {
        ql_schedule_after(a, 0);
    } else {
        ql_log(QL_ERROR, "api", "agent=%s: cannot be polled: %s", g->agent_id, why.text);
        ql_row_fail(g->verifier, &g->loaded.row, why.text);
        ql_req_replyf(g->req, 400, "Exception error: %s", why.text);
        return;
    }
    ql_log(QL_INFO, "api", "agent=%s by=%s: reactivated", g->agent_id, ql_req_client_name(g->req));
    ql_outbox_runner_wake(g->verifier->outbox);
    ql_req_reply(g->req, 200, "Success", NULL);
}

void ql_api_agent_stop(struct ql_http_req *req, void *arg)
{
    struct ordering *g = body_ok(req) ? ordering_new(req, arg) : NULL;

    if (g && hold(g))
        submit(g, stop_agent, stopped);
}

void ql_api_agent_reactivate(struct ql_http_req *req, void *arg)
{
    struct ordering *g = body_ok(req) ? ordering_new(req, arg) : NULL;
    struct ql_agent *a = g ? ql_agents_find(&g->verifier->agents, g->agent_id) : NULL;

    if (!g)
        return;
    /* One that is being polled goes on as it is; one whose failure is being stored is taken after that. */
    if (a && !a->is_deleting && ql_state_is_live(a->state))
        ql_req_reply(req, 200, "Success", NULL);
    else if (hold(g))
        submit(g, start_agent, started);
}
