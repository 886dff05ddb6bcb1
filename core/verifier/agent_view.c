/* SPDX-License-Identifier: Apache-2.0 */
/* GET /agents/{agent_id} and GET /agents: what the store has, of all verifiers. */
#include <string.h>

#include "error.h"
#include "log.h"
#include "status.h"
#include "verifier.h"

/** A status or a list being made; attached to the request. */
struct viewing {
    struct ql_verifier *verifier;
    struct ql_http_req *req;
    const char *agent_id;    /* one agent */
    const char *verifier_id; /* list: NULL for all */
    double interval_s;
    bool is_bulk;
    json_t *results;
    char *text; /* the whole answer of a bulk list, written on the store thread */
    size_t skipped;
};

static void viewing_free(void *object)
{
    struct viewing *g = object;

    json_decref(g->results);
    free(g->text);
    free(g);
}

static struct viewing *viewing_new(struct ql_http_req *req, struct ql_verifier *v)
{
    struct viewing *g = calloc(1, sizeof *g);

    if (!g) {
        ql_api_busy(req);
        return NULL;
    }
    g->verifier = v;
    g->req = req;
    g->interval_s = ql_config_float(v->config, "verifier", "quote_interval");
    ql_req_attach(req, g, viewing_free);
    return g;
}

static void submit(struct viewing *g, ql_txn_fn fn, ql_txn_done done)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_submit(g->verifier->store, fn, done, g, &err);

    if (r < 0)
        ql_api_store_failed(g->req, r, &err);
}

static json_t *status(const struct viewing *g, const struct ql_agent_row *row)
{
    json_t *j = ql_status_object(row, g->interval_s);

    if (j && g->verifier->leases &&
        json_object_set_new(j, "polled_by", row->lease_owner ? json_string(row->lease_owner) : json_null()) !=
            0) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* ---- one ---- */

static int read_one(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct viewing *g = arg;
    struct ql_agent_row row = {0};
    int r = ql_agents_get(t, g->agent_id, &row, err);

    json_decref(g->results);
    g->results = NULL;
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    g->results = status(g, &row);
    ql_agent_row_done(&row);
    return g->results ? QL_OK : ql_fail_nomem(err);
}

static void one_read(int result, const struct ql_err *err, void *arg)
{
    struct viewing *g = arg;
    const struct ql_agent *live = ql_agents_find(&g->verifier->agents, g->agent_id);

    if (result < 0) {
        ql_api_store_failed(g->req, result, err);
        return;
    }
    if (!g->results) {
        ql_req_reply(g->req, 404, "agent id not found", NULL);
        return;
    }
    /* What validators publish is not stored: it is said anew with each pass. */
    if (live && live->facts && json_object_set(g->results, "facts", live->facts) != 0)
        ql_log(QL_WARN, "api", "agent=%s: facts are left out: out of memory", g->agent_id);
    ql_req_reply(g->req, 200, "Success", json_incref(g->results));
}

void ql_api_agent_show(struct ql_http_req *req, void *arg)
{
    const char *id = ql_api_agent_id(req);
    struct viewing *g = id ? viewing_new(req, arg) : NULL;

    if (!g)
        return;
    g->agent_id = id;
    submit(g, read_one, one_read);
}

/* ---- all ---- */

static int add_agent(void *arg, struct ql_agent_row *row)
{
    struct viewing *g = arg;
    int r;

    if (g->verifier_id && (!row->verifier_id || strcmp(row->verifier_id, g->verifier_id) != 0))
        return 0;
    if (g->is_bulk)
        r = json_object_set_new(g->results, row->agent_id, status(g, row));
    else
        r = json_array_append_new(g->results, json_pack("[s]", row->agent_id));
    return r == 0 ? 0 : QL_ENOMEM;
}

static int read_all(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct viewing *g = arg;
    ql_auto_json json_t *answer = NULL;
    int r;

    json_decref(g->results);
    free(g->text);
    g->text = NULL;
    g->results = g->is_bulk ? json_object() : json_array();
    if (!g->results)
        return ql_fail_nomem(err);
    r = ql_agents_each(t, add_agent, g, &g->skipped, err);
    if (r < 0)
        return r;
    answer = g->is_bulk
                 ? json_pack("{s:i, s:s, s:O}", "code", 200, "status", "Success", "results", g->results)
                 : json_pack("{s:i, s:s, s:{s:O}}", "code", 200, "status", "Success", "results", "uuids",
                             g->results);
    g->text = answer ? ql_json_text_spaced(answer) : NULL;
    return g->text ? QL_OK : ql_fail_nomem(err);
}

static void all_read(int result, const struct ql_err *err, void *arg)
{
    struct viewing *g = arg;

    if (result < 0) {
        ql_api_store_failed(g->req, result, err);
        return;
    }
    if (g->skipped > 0)
        ql_log(QL_WARN, "store", "%zu agents cannot be read and are left out", g->skipped);
    ql_req_reply_raw(g->req, 200, "application/json", g->text, strlen(g->text));
}

void ql_api_agents_list(struct ql_http_req *req, void *arg)
{
    struct viewing *g = viewing_new(req, arg);
    const char *bulk = ql_req_query(req, "bulk"), *verifier = ql_req_query(req, "verifier");

    if (!g)
        return;
    g->is_bulk = bulk && *bulk;
    g->verifier_id = verifier && *verifier ? verifier : NULL;
    submit(g, read_all, all_read);
}
