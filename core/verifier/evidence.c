/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot checks: /verify/identity and /verify/evidence. They have a worker of their own, so that nobody who asks can hold
 * up the agents' checks (decision 9).
 */
#include <string.h>

#include "error.h"
#include "log.h"
#include "parse.h"
#include "verifier.h"

#define CANNOT "Internal Server Error: Failed to process attestation data"

enum {
    PARAMETER_MAX = 32 * 1024 /* bytes of one query parameter */
};

/** A check on its way; attached to the request. */
struct judging {
    struct ql_verifier *verifier;
    struct ql_http_req *req;
    const char *agent_id;
    struct ql_agent_row row;
    bool is_found;
};

static void judging_free(void *object)
{
    struct judging *g = object;

    ql_agent_row_done(&g->row);
    free(g);
}

static struct judging *judging_new(struct ql_http_req *req, struct ql_verifier *v)
{
    struct judging *g = calloc(1, sizeof *g);

    if (!g) {
        ql_api_busy(req);
        return NULL;
    }
    g->verifier = v;
    g->req = req;
    ql_req_attach(req, g, judging_free);
    return g;
}

/* A body that says JSON and is none is a framework error, without words (spec/server.md 1). */
static bool is_broken_json(const struct ql_http_req *req)
{
    ql_auto_json json_t *parsed = NULL;
    size_t len;
    const uint8_t *body = ql_req_body(req, &len);

    return ql_req_is_json(req) && len <= QL_API_BODY_SMALL &&
           ql_json_parse((const char *)body, len, QL_API_BODY_SMALL, &parsed, NULL) < 0;
}

static void reply_judged(struct judging *g, const struct ql_frame *frame)
{
    struct ql_judge_result j = {0};
    struct ql_err err = QL_ERR_INIT;

    if (ql_judge_result_read(frame, &j, &err) < 0) {
        ql_log(QL_ERROR, "evidence", "worker's answer refused: %s", err.text);
        ql_req_reply(g->req, 500, CANNOT, NULL);
    } else if (j.result) {
        ql_req_reply(g->req, j.http, j.http == 200 ? "Success" : NULL, ql_steal(j.result));
    } else if (is_broken_json(g->req)) {
        ql_req_reply_empty(g->req, 400);
    } else {
        ql_req_reply(g->req, j.http, j.reason, NULL);
    }
    ql_judge_result_done(&j);
}

static void on_judged(const struct ql_pool_result *result, void *arg)
{
    struct judging *g = arg;

    g->verifier->public_jobs--;
    switch (result->status) {
    case QL_POOL_DONE:
        reply_judged(g, result->result);
        return;
    case QL_POOL_KILLER:
        ql_log(QL_WARN, "evidence", "peer=%s validator=%s limit=%s: evidence overran the limits of its check",
               ql_req_peer(g->req), result->validator, result->limit);
        ql_req_reply(g->req, 500, CANNOT, NULL);
        return;
    case QL_POOL_CANCELLED:
    case QL_POOL_INTERNAL:
        break;
    }
    if (result->text)
        ql_log(QL_ERROR, "evidence", "not checked: %s", result->text);
    ql_api_busy(g->req);
}

static void judge(struct judging *g, struct ql_frame *frame, const struct ql_err *why)
{
    struct ql_err err = QL_ERR_INIT;

    if (!frame) {
        ql_log(QL_WARN, "evidence", "not checked: %s", why->text);
        ql_req_reply(g->req, 500, CANNOT, NULL);
        return;
    }
    /* One runs, QL_EVIDENCE_WAITING wait. */
    if (g->verifier->public_jobs > QL_EVIDENCE_WAITING ||
        ql_pool_submit(g->verifier->public_pool, frame, NULL, false, on_judged, g, &err) < 0) {
        ql_frame_free(frame);
        ql_api_busy(g->req);
        return;
    }
    g->verifier->public_jobs++;
}

/* ---- identity ---- */

static int read_agent(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct judging *g = arg;
    int r;

    ql_agent_row_done(&g->row);
    r = ql_agents_get(t, g->agent_id, &g->row, err);
    g->is_found = r == QL_OK;
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static void agent_read(int result, const struct ql_err *err, void *arg)
{
    struct judging *g = arg;
    ql_auto_free char *accept = NULL;
    struct ql_err why = QL_ERR_INIT;
    struct ql_frame *frame = NULL;

    if (result < 0) {
        ql_api_store_failed(g->req, result, err);
        return;
    }
    if (!g->is_found || !g->row.ak_tpm) {
        ql_req_reply(g->req, 404, "agent id not found", NULL);
        return;
    }
    if (asprintf(&accept, "{\"hash\": %s, \"enc\": %s, \"sign\": %s}",
                 g->row.accept_hash ? g->row.accept_hash : "[]", g->row.accept_enc ? g->row.accept_enc : "[]",
                 g->row.accept_sign ? g->row.accept_sign : "[]") < 0)
        accept = NULL;
    if (accept)
        frame = ql_identity_job_frame(g->row.ak_tpm, g->row.ak_tpm_len, ql_req_query(g->req, "quote"),
                                      ql_req_query(g->req, "nonce"), ql_req_query(g->req, "hash_alg"), accept,
                                      &why);
    judge(g, frame, &why);
}

void ql_api_identity(struct ql_http_req *req, void *arg)
{
    static const char *const names[] = {"agent_uuid", "quote", "nonce", "hash_alg"};
    struct judging *g;
    struct ql_err err = QL_ERR_INIT;
    int r;

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        const char *value = ql_req_query(req, names[i]);

        if (!value || !*value) {
            ql_req_replyf(req, 400, "missing query parameter '%s'", names[i]);
            return;
        }
        if (strlen(value) > PARAMETER_MAX || !ql_utf8_ok(value, strlen(value))) {
            ql_req_replyf(req, 400, "query parameter '%s' is not text of at most %d bytes", names[i],
                          PARAMETER_MAX);
            return;
        }
    }
    g = judging_new(req, arg);
    if (!g)
        return;
    g->agent_id = ql_req_query(req, "agent_uuid");
    if (!ql_agent_id_ok(g->agent_id, strlen(g->agent_id))) {
        ql_req_reply(req, 404, "agent id not found", NULL);
        return;
    }
    r = ql_store_submit(g->verifier->store, read_agent, agent_read, g, &err);
    if (r < 0)
        ql_api_store_failed(req, r, &err);
}

/* ---- evidence ---- */

void ql_api_evidence(struct ql_http_req *req, void *arg)
{
    struct judging *g;
    struct ql_err err = QL_ERR_INIT;
    size_t len;
    const uint8_t *body = ql_req_body(req, &len);

    if (len == 0) {
        if (ql_req_is_json(req))
            ql_req_reply_empty(req, 400);
        else
            ql_req_reply(req, 400, "Expected non zero content length", NULL);
        return;
    }
    g = judging_new(req, arg);
    if (g)
        judge(g, ql_oneshot_job_frame(body, len, ql_req_is_admin(req), &err), &err);
}
