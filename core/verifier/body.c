/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies: small ones are read here, large ones in a worker (decision 15). Answers that many handlers share. */
#include <string.h>

#include "error.h"
#include "log.h"
#include "parse.h"
#include "verifier.h"

/** A body on its way through a worker. */
struct reading {
    struct ql_http_req *req;
    ql_body_done done;
    void *arg;
};

void ql_api_busy(struct ql_http_req *req)
{
    (void)ql_req_add_header(req, "Retry-After", "5"); /* constant text: cannot be refused */
    ql_req_reply(req, 503, NULL, NULL);
}

void ql_api_store_failed(struct ql_http_req *req, int result, const struct ql_err *err)
{
    ql_log(QL_ERROR, "store", "path=%s: %s", ql_req_path(req), err->text);
    if (result == QL_EAGAIN || result == QL_EFULL || result == QL_EIO)
        ql_api_busy(req);
    else
        ql_req_reply(req, 500, "Internal server error", NULL);
}

void ql_api_pool_failed(struct ql_http_req *req, const struct ql_pool_result *result)
{
    if (result->status == QL_POOL_KILLER) {
        const char *who = result->validator && *result->validator ? result->validator : "core";

        ql_log(QL_WARN, "http",
               "path=%s peer=%s validator=%s limit=%s: request overran the limits of its check",
               ql_req_path(req), ql_req_peer(req), who, result->limit);
        ql_req_replyf(req, 400, "Exception error: request overran the limits of its check (%s: %s)", who,
                      result->limit);
        return;
    }
    if (result->text)
        ql_log(QL_ERROR, "http", "path=%s: not checked: %s", ql_req_path(req), result->text);
    ql_api_busy(req);
}

const char *ql_api_agent_id(struct ql_http_req *req)
{
    const char *id = ql_req_param(req, "agent_id");

    if (id && ql_agent_id_ok(id, strlen(id)))
        return id;
    ql_req_reply(req, 400, "agent_id not not valid", NULL);
    return NULL;
}

static void refuse(struct ql_http_req *req, const char *why)
{
    if (ql_req_is_json(req))
        ql_req_reply_empty(req, 400);
    else
        ql_req_replyf(req, 400, "Exception error: %s", why);
}

/* Members as the worker found them become an object again; texts are taken as they are. */
static json_t *join_members(const struct ql_parse_result *p, struct ql_err *err)
{
    ql_auto_json json_t *body = json_object();

    for (size_t i = 0; body && i < p->member_count; i++) {
        const struct ql_parse_member *m = &p->members[i];
        json_t *value = NULL;

        if (m->is_text)
            value = json_stringn((const char *)m->bytes, m->len);
        else if (ql_json_parse((const char *)m->bytes, m->len, QL_API_BODY_SMALL, &value, err) < 0)
            value = NULL;
        if (!value || json_object_set_new(body, m->key, value) != 0) {
            (void)ql_fail(err, QL_EPARSE,
                          "member %.64s cannot be read, or has more than %d bytes and is no text", m->key,
                          QL_API_BODY_SMALL); /* NULL says it */
            return NULL;
        }
    }
    return ql_steal(body);
}

static void on_parsed(const struct ql_pool_result *result, void *arg)
{
    struct reading *g = arg;
    struct ql_http_req *req = g->req;
    ql_body_done done = g->done;
    void *done_arg = g->arg;
    struct ql_parse_result p = {0};
    struct ql_err err = QL_ERR_INIT;
    json_t *body = NULL;

    free(g);
    if (result->status != QL_POOL_DONE) {
        ql_api_pool_failed(req, result);
        return;
    }
    if (ql_parse_result_read(result->result, &p, &err) == QL_OK) {
        if (p.ok)
            body = join_members(&p, &err);
        else
            (void)ql_fail(&err, QL_EPARSE, "%s", p.reason); /* body stays NULL */
    }
    ql_parse_result_done(&p);
    if (body)
        done(req, body, done_arg);
    else
        refuse(req, err.text);
}

void ql_api_body(struct ql_verifier *v, struct ql_http_req *req, ql_body_done done, void *arg)
{
    ql_auto(ql_frame_freep) struct ql_frame *frame = NULL;
    struct reading *g;
    struct ql_err err = QL_ERR_INIT;
    json_t *body = NULL;
    size_t len;
    const uint8_t *bytes = ql_req_body(req, &len);

    if (len == 0) {
        if (ql_req_is_json(req))
            ql_req_reply_empty(req, 400);
        else
            ql_req_reply(req, 400, "Expected non zero content length", NULL);
        return;
    }
    if (len <= QL_API_BODY_SMALL) {
        if (ql_json_parse_object((const char *)bytes, len, QL_API_BODY_SMALL, &body, &err) < 0)
            refuse(req, err.text);
        else
            done(req, body, arg);
        return;
    }
    g = calloc(1, sizeof *g);
    frame = g ? ql_parse_job_frame(bytes, len, &err) : NULL;
    if (frame) {
        *g = (struct reading){.req = req, .done = done, .arg = arg};
        if (ql_pool_submit(v->pool, frame, NULL, len >= QL_JOB_SMALL_MAX, on_parsed, g, &err) == QL_OK) {
            frame = NULL; /* the pool has it now */
            return;
        }
    }
    free(g);
    ql_log(QL_WARN, "http", "path=%s: body not read: %s", ql_req_path(req), err.text);
    ql_api_busy(req);
}
