/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling one agent of one event. An agent that is polled is told over its poll's connection, behind the polls; others (the
 * one that failed among them) get a connection for the time being.
 */
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "error.h"
#include "log.h"
#include "told.h"
#include "verifier.h"
#include "version.h"

enum {
    ANSWER_MAX = 64 * 1024
};

static json_t *answer_of(const struct ql_http_result *r)
{
    json_t *answer = NULL;

    if (!r->body || ql_json_parse_object((const char *)r->body, r->body_len, ANSWER_MAX, &answer, NULL) < 0)
        return NULL;
    return answer;
}

static bool says_version(const struct ql_http_result *r)
{
    ql_auto_json json_t *answer = r->status == 400 ? answer_of(r) : NULL;
    const json_t *status = json_object_get(answer, "status");

    return json_is_string(status) && strstr(json_string_value(status), "API version not supported");
}

/* The connection to use, and the version spoken there; NULL: there is none yet. */
static struct ql_peer *peer_of(const struct ql_lag *l, unsigned *api)
{
    struct ql_agent *a = ql_agents_find(&l->told->verifier->agents, l->id);
    struct ql_err err = QL_ERR_INIT;

    *api = l->api;
    if (a && ql_agent_connect(a, &err) == QL_OK) {
        if (*api == 0)
            *api = a->api;
        return a->peer;
    }
    return l->peer;
}

static void on_version(struct ql_http_result *r, void *arg)
{
    struct ql_lag *l = arg;
    ql_auto_json json_t *answer = r->error == QL_OK && r->status == 200 ? answer_of(r) : NULL;
    struct ql_err err = QL_ERR_INIT;
    unsigned api = 0;

    if (l->told->verifier->is_closing)
        return;
    if (!answer ||
        ql_api_negotiate(ql_agent_api_versions, json_object_get(answer, "results"), 2, &api, &err) < 0) {
        ql_lag_failed(l, QL_EUNSUPPORTED, "no API version in common");
        return;
    }
    if (api == l->api) {
        ql_lag_failed(l, QL_EUNSUPPORTED, "refuses the API version that it offers");
        return;
    }
    l->api = api;
    ql_lag_again(l);
}

static void ask_version(struct ql_lag *l)
{
    const struct ql_call call = {.method = QL_GET,
                                 .path = "/version",
                                 .deadline_ms = QL_TELL_MS,
                                 .response_max = ANSWER_MAX,
                                 .background = true};
    struct ql_err err = QL_ERR_INIT;
    unsigned api;
    struct ql_peer *peer = peer_of(l, &api);

    if (!peer || ql_peer_call(peer, &call, on_version, l, &err) < 0)
        ql_lag_failed(l, QL_ECLOSED, peer ? err.text : "not connected");
}

static void on_told(struct ql_http_result *r, void *arg)
{
    struct ql_lag *l = arg;
    char why[160];

    if (l->told->verifier->is_closing)
        return;
    if (r->error == QL_OK && r->status == 200) {
        ql_lag_served(l);
        return;
    }
    if (r->error == QL_OK && says_version(r)) {
        ask_version(l);
        return;
    }
    if (r->error != QL_OK)
        (void)snprintf(why, sizeof why, "%s: %s", ql_err_name(r->error), r->error_text ? r->error_text : "");
    else
        (void)snprintf(why, sizeof why, "HTTP %d", r->status); /* fits */
    if (r->error == QL_OK && r->status < 500 && r->status != 408 && r->status != 429) {
        ql_log(QL_WARN, "revocation", "peer=%s agent=%s: refused, not told again: %s", l->id,
               l->at->row.agent_id, why);
        ql_lag_served(l);
        return;
    }
    ql_lag_failed(l, r->error, why);
}

static void post(struct ql_lag *l, struct ql_peer *peer, unsigned api)
{
    char path[40], version[8];
    const struct ql_call call = {.method = QL_POST,
                                 .path = path,
                                 .body = l->at->body,
                                 .body_len = strlen(l->at->body),
                                 .content_type = "application/json",
                                 .deadline_ms = QL_TELL_MS,
                                 .response_max = ANSWER_MAX,
                                 .background = true};
    struct ql_err err = QL_ERR_INIT;

    (void)snprintf(path, sizeof path, "/v%s/notifications/revocation", ql_api_text(api, version)); /* fits */
    if (ql_peer_call(peer, &call, on_told, l, &err) < 0)
        ql_lag_failed(l, err.code, err.text);
}

/* ---- agents that are not polled ---- */

/** A look at one agent's row. */
struct looking {
    struct ql_lag *lag;
    char id[81];
    struct ql_agent_row row;
    bool is_there;
};

static int look(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct looking *g = arg;
    int r;

    ql_agent_row_done(&g->row); /* a transaction may run more than once */
    g->row = (struct ql_agent_row){0};
    r = ql_agents_get(t, g->id, &g->row, err);
    g->is_there = r == QL_OK;
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int connect_row(struct ql_lag *l, const struct ql_agent_row *row, struct ql_err *err)
{
    const bool is_plain = !row->mtls_cert || strcmp(row->mtls_cert, "disabled") == 0;
    struct ql_verifier *v = l->told->verifier;
    ql_auto_free uint8_t *pin = NULL;
    struct ql_peer_config config = {
        .host = row->ip, .port = (uint16_t)row->port, .tls = is_plain ? NULL : v->agent_tls};
    int r = QL_OK;

    if (!row->ip || row->port < 1 || row->port > 65535)
        return ql_fail(err, QL_ERANGE, "address is missing");
    if (is_plain && ql_config_bool(v->config, "verifier", "enable_agent_mtls"))
        return ql_fail(err, QL_ERANGE, "has no mTLS certificate");
    if (!is_plain)
        r = ql_pem_der(row->mtls_cert, &pin, &config.pin_len, err);
    config.pin = pin;
    if (!row->supported_version ||
        ql_api_parse(row->supported_version, strlen(row->supported_version), &l->api, NULL) < 0 ||
        l->api < QL_API(2, 0) || l->api > QL_API_NEWEST)
        l->api = QL_API_NEWEST;
    return r == QL_OK ? ql_peer_new(v->client, &config, &l->peer, err) : r;
}

static void looked(int result, const struct ql_err *err, void *arg)
{
    struct looking *g = arg;
    struct ql_lag *l = g->lag;
    struct ql_err why = QL_ERR_INIT;

    if (l->told->verifier->is_closing) {
        /* It is freed with all the others. */
    } else if (result < 0) {
        ql_lag_failed(l, result, err->text);
    } else if (!g->is_there) {
        ql_lag_gone(l); /* deleted: it is nobody's peer any more */
    } else if (connect_row(l, &g->row, &why) < 0) {
        ql_log(QL_WARN, "revocation", "peer=%s agent=%s: cannot be told: %s", l->id, l->at->row.agent_id,
               why.text);
        ql_lag_served(l);
    } else {
        post(l, l->peer, l->api);
    }
    ql_agent_row_done(&g->row);
    free(g);
}

static void look_up(struct ql_lag *l)
{
    struct looking *g = calloc(1, sizeof *g);
    struct ql_err err = QL_ERR_INIT;

    if (g) {
        g->lag = l;
        memcpy(g->id, l->id, sizeof g->id);
        if (ql_store_submit(l->told->verifier->store, look, looked, g, &err) == QL_OK)
            return;
    }
    ql_lag_failed(l, QL_EAGAIN, g ? err.text : "out of memory");
    free(g);
}

void ql_lag_tell(struct ql_lag *l)
{
    unsigned api = 0;
    struct ql_peer *peer = peer_of(l, &api);

    if (peer)
        post(l, peer, api);
    else
        look_up(l);
}
