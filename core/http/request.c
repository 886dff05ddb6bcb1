/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conn.h"
#include "error.h"

/* Path, query and parameters as C strings, in one buffer that the connection keeps. */
static int copy_target(struct ql_conn *c, const char *uri)
{
    struct ql_http_req *req = &c->req;
    size_t len = strlen(uri), path_len = strcspn(uri, "?");
    char *out;

    if (req->text_room < 2 * len + 2 + QL_ROUTE_PARAMS_MAX) {
        char *bigger = realloc(req->text, 2 * len + 2 + QL_ROUTE_PARAMS_MAX);

        if (!bigger)
            return QL_ENOMEM;
        req->text = bigger;
        req->text_room = 2 * len + 2 + QL_ROUTE_PARAMS_MAX;
    }
    memcpy(req->text, uri, len + 1);
    req->text[path_len] = '\0';
    req->path = req->text;
    req->query = uri[path_len] == '?' ? req->text + path_len + 1 : "";
    out = req->text + len + 1;
    for (unsigned i = 0; i < c->param_count; i++) {
        /* Offsets were taken from the same line by the gate; parts of a path do not overlap, so all fit. */
        if (c->param[i].at > path_len || c->param[i].len > path_len - c->param[i].at)
            return QL_EINTERNAL;
        memcpy(out, uri + c->param[i].at, c->param[i].len);
        out[c->param[i].len] = '\0';
        req->param[i] = out;
        out += c->param[i].len + 1;
    }
    return QL_OK;
}

int ql_req_begin(struct ql_conn *c, struct evhttp_request *ev)
{
    struct ql_http_req *req = &c->req;

    req->conn = c;
    req->ev = ev;
    req->route = c->route;
    req->query_ready = false;
    return copy_target(c, evhttp_request_get_uri(ev));
}

void ql_req_end(struct ql_conn *c)
{
    struct ql_http_req *req = &c->req;

    if (req->attached && req->attached_free)
        req->attached_free(req->attached);
    req->attached = NULL;
    req->attached_free = NULL;
    req->ev = NULL;
}

unsigned ql_req_method(const struct ql_http_req *req)
{
    return req->conn->gate.method;
}

const char *ql_req_path(const struct ql_http_req *req)
{
    return req->path;
}

unsigned ql_req_version(const struct ql_http_req *req)
{
    return req->conn->version;
}

const char *ql_req_param(const struct ql_http_req *req, const char *name)
{
    int at = req->route ? ql_route_param_index(req->route, name) : -1;

    return at < 0 ? NULL : req->param[at];
}

static const struct ql_query *query_of(const struct ql_http_req *borrowed)
{
    struct ql_http_req *req = &borrowed->conn->req; /* decoding is late, not a change that callers see */

    if (req->query_ready)
        return req->decoded;
    if (*req->query == '\0')
        return NULL;
    if (!req->decoded)
        req->decoded = calloc(1, sizeof *req->decoded);
    if (!req->decoded)
        return NULL;
    /* On failure the list is empty: parameters are then missing, which callers refuse. */
    (void)ql_query_parse(req->decoded, req->query, strlen(req->query), NULL);
    req->query_ready = true;
    return req->decoded;
}

const char *ql_req_query(const struct ql_http_req *req, const char *name)
{
    const struct ql_query *q = query_of(req);

    return q ? ql_query_get(q, name) : NULL;
}

size_t ql_req_query_count(const struct ql_http_req *req, const char *name)
{
    const struct ql_query *q = query_of(req);

    return q ? ql_query_count(q, name) : 0;
}

/* Trailers of a chunked body are appended to evhttp's list; only what the gate has seen counts. */
const char *ql_req_header(const struct ql_http_req *req, const char *name)
{
    const struct evkeyvalq *headers = req->ev ? evhttp_request_get_input_headers(req->ev) : NULL;
    const struct evkeyval *h = headers ? headers->tqh_first : NULL;

    for (unsigned i = 0; h && i < req->conn->gate.headers; i++, h = h->next.tqe_next)
        if (strcasecmp(h->key, name) == 0)
            return h->value;
    return NULL;
}

const uint8_t *ql_req_body(const struct ql_http_req *req, size_t *len)
{
    struct evbuffer *body = req->ev ? evhttp_request_get_input_buffer(req->ev) : NULL;
    const uint8_t *data;

    *len = body ? evbuffer_get_length(body) : 0;
    if (*len == 0)
        return (const uint8_t *)"";
    data = evbuffer_pullup(body, -1);
    if (!data)
        *len = 0;
    return data ? data : (const uint8_t *)"";
}

bool ql_req_is_json(const struct ql_http_req *req)
{
    return req->conn->gate.is_json;
}

bool ql_req_is_tls(const struct ql_http_req *req)
{
    return req->conn->server->tls != NULL;
}

bool ql_req_is_admin(const struct ql_http_req *req)
{
    return ql_conn_is_admin(req->conn);
}

const char *ql_req_client_name(const struct ql_http_req *req)
{
    const struct ql_identity *id = ql_conn_identity(req->conn);

    return id && id->verified && id->name[0] ? id->name : NULL;
}

const char *ql_req_peer(const struct ql_http_req *req)
{
    return req->conn->addr;
}

const char *ql_req_id(const struct ql_http_req *req)
{
    return req->conn->gate.request_id;
}

void ql_req_attach(struct ql_http_req *req, void *object, void (*free_fn)(void *))
{
    if (req->attached && req->attached_free && req->attached != object)
        req->attached_free(req->attached);
    req->attached = object;
    req->attached_free = free_fn;
}

void *ql_req_attached(const struct ql_http_req *req)
{
    return req->attached;
}
