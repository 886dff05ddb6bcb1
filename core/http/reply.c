/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "error.h"
#include "log.h"

#define TYPE_ENVELOPE "application/json"
#define TYPE_DENIED   "application/json; charset=UTF-8"
#define TYPE_EMPTY    "text/html; charset=UTF-8"

enum {
    STATUS_TEXT_MAX = 4096, /* bytes of a formatted status text; longer ones are cut */
    DETAIL_MAX = 512,
    RETRY_AFTER_S = 1
};

static const struct {
    int status;
    const char *phrase;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *ql_http_reason(int status)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].phrase;
    return "Unknown";
}

static void on_written(struct evhttp_request *ev, void *arg)
{
    struct ql_conn *c = arg;

    (void)ev;
    ql_req_end(c);
    ql_conn_next(c);
}

static const char *method_name(unsigned method)
{
    switch (method) {
    case QL_GET:
        return "GET";
    case QL_POST:
        return "POST";
    case QL_PUT:
        return "PUT";
    case QL_DELETE:
        return "DELETE";
    case QL_PATCH:
        return "PATCH";
    case QL_HEAD:
        return "HEAD";
    case QL_OPTIONS:
        return "OPTIONS";
    default:
        return "-";
    }
}

/* What the gate refuses has no path that could be quoted. */
static void log_access(const struct ql_conn *c, int code)
{
    if (ql_log_on(QL_DEBUG))
        ql_log(QL_DEBUG, "http", "%s %s %s: %d (reqid=%s)", c->addr, method_name(c->gate.method),
               c->pending ? c->req.path : "-", code, c->gate.request_id);
}

/* The buffer that answers are written into; NULL when nobody is there to read them. */
static struct evbuffer *body_of(struct ql_http_req *req)
{
    bool silent = req->conn->state != QL_CONN_HANDLER || req->conn->gate.method == QL_HEAD;

    return req->ev && !silent ? evhttp_request_get_output_buffer(req->ev) : NULL;
}

static void send_now(struct ql_http_req *req, int code, const char *type)
{
    struct ql_conn *c = req->conn;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req->ev);

    if (type && c->gate.method != QL_HEAD)
        evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "X-Request-ID", c->gate.request_id);
    if (c->server->draining || ql_conn_is_stranger(c))
        evhttp_add_header(headers, "Connection", "close");
    evhttp_request_set_on_complete_cb(req->ev, on_written, c);
    evhttp_send_reply(req->ev, code, ql_http_reason(code), NULL);
    /*
     * evhttp reads while it writes, to notice a client that leaves. We do not let it: a client that has closed its
     * sending side would lose its answer, and one that pipelines without reading would fill our memory.
     */
    bufferevent_disable(c->bev, EV_READ);
    c->state = QL_CONN_WRITE;
    c->left = evbuffer_get_length(bufferevent_get_output(c->bev));
    ql_conn_timer(c, c->server->write);
}

static void finish(struct ql_http_req *req, int code, const char *type)
{
    struct ql_conn *c = req->conn;
    struct ql_http_server *s = c->server;

    log_access(c, code);
    c->pending = false;
    s->pending--;
    if (c->state == QL_CONN_HANDLER)
        send_now(req, code, type);
    else
        ql_conn_answered(c); /* too late, or the server is closing */
    ql_server_unref(s);
}

/* A JSON string. Plain ASCII needs no library. */
static void add_string(struct evbuffer *out, bool compact, const char *text)
{
    size_t len = strlen(text), plain = 0;

    while (plain < len && text[plain] >= ' ' && text[plain] < 0x7f && text[plain] != '"' &&
           text[plain] != '\\')
        plain++;
    if (plain == len) {
        evbuffer_add(out, "\"", 1);
        evbuffer_add(out, text, len);
        evbuffer_add(out, "\"", 1);
    } else {
        ql_auto_json json_t *value = json_string(text);
        ql_auto_free char *escaped = !value    ? NULL
                                     : compact ? ql_json_text(value)
                                               : ql_json_text_spaced(value);

        evbuffer_add_printf(out, "%s", escaped ? escaped : "\"?\""); /* invalid UTF-8 has no JSON form */
    }
}

static void free_text(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    free(arg);
}

static bool add_envelope(struct evbuffer *out, bool compact, int code, const char *status,
                         const json_t *results)
{
    char *text = NULL;

    if (results) {
        text = compact ? ql_json_text(results) : ql_json_text_spaced(results);
        if (!text)
            text = ql_json_text_bytes(results); /* logs of a node may hold names that are no text */
        if (!text)
            return false;
    }
    evbuffer_add_printf(out, compact ? "{\"code\":%d,\"status\":" : "{\"code\": %d, \"status\": ", code);
    add_string(out, compact, status);
    if (compact)
        evbuffer_add(out, ",\"results\":", 11);
    else
        evbuffer_add(out, ", \"results\": ", 13);
    if (!text)
        evbuffer_add(out, "{}", 2);
    else if (evbuffer_add_reference(out, text, strlen(text), free_text, text) != 0)
        free(text);
    evbuffer_add(out, "}", 1);
    return true;
}

/* As Keylime's registrar writes it. */
static bool add_indented(struct evbuffer *out, int code, const char *status, json_t *results)
{
    json_t *line = json_string(status); /* NULL: invalid UTF-8 */
    ql_auto_json json_t *all =
        json_pack("{s:i, s:o, s:o}", "code", code, "status", line ? line : json_string("?"), "results",
                  results ? json_incref(results) : json_object());
    ql_auto_free char *text = all ? json_dumps(all, JSON_INDENT(4) | JSON_ENSURE_ASCII) : NULL;

    return text && evbuffer_add(out, text, strlen(text)) == 0;
}

void ql_req_reply(struct ql_http_req *req, int code, const char *status, json_t *results)
{
    struct evbuffer *out = body_of(req);
    const char *text = status ? status : code == 200 ? "Success" : ql_http_reason(code);
    const struct ql_http_server *s = req->conn->server;
    bool ok = !out || (s->json_indent ? add_indented(out, code, text, results)
                                      : add_envelope(out, s->json_compact, code, text, results));

    json_decref(results);
    if (ok)
        finish(req, code, TYPE_ENVELOPE);
    else
        ql_req_reply_empty(req, 500);
}

void ql_req_replyf(struct ql_http_req *req, int code, const char *fmt, ...)
{
    char text[STATUS_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ql_req_reply(req, code, text, NULL);
}

void ql_req_reply_empty(struct ql_http_req *req, int code)
{
    finish(req, code, TYPE_EMPTY);
}

static void add_denied(struct evbuffer *out, bool compact, int code, const char *detail)
{
    evbuffer_add_printf(out,
                        compact ? "{\"errors\":[{\"status\":\"%d\",\"title\":\"%s\",\"detail\":"
                                : "{\"errors\": [{\"status\": \"%d\", \"title\": \"%s\", \"detail\": ",
                        code, ql_http_reason(code));
    add_string(out, compact, detail);
    evbuffer_add(out, "}]}", 3);
}

void ql_req_reply_denied(struct ql_http_req *req, int code, const char *detail)
{
    struct evbuffer *out = body_of(req);

    if (out)
        add_denied(out, req->conn->server->json_compact, code, detail);
    finish(req, code, TYPE_DENIED);
}

void ql_req_reply_raw(struct ql_http_req *req, int code, const char *type, const void *data, size_t len)
{
    struct evbuffer *out = body_of(req);

    if (out && len > 0 && evbuffer_add(out, data, len) != 0) {
        ql_req_reply_empty(req, 500);
        return;
    }
    finish(req, code, type);
}

static bool is_clean(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

int ql_req_add_header(struct ql_http_req *req, const char *name, const char *value)
{
    if (*name == '\0' || !is_clean(name) || strpbrk(name, ": ") || !is_clean(value))
        return QL_ERANGE;
    if (req->ev && evhttp_add_header(evhttp_request_get_output_headers(req->ev), name, value) != 0)
        return QL_ENOMEM;
    return QL_OK;
}

void ql_reply_raw_bytes(struct ql_conn *c, int status, struct evbuffer *out)
{
    struct evbuffer *body = evbuffer_new();
    bool head = c->gate.method == QL_HEAD;

    if (!body)
        return; /* the connection closes without a word */
    log_access(c, status);
    if (status == 403 && c->route) {
        char detail[DETAIL_MAX];

        ql_server_denial(c, detail, sizeof detail);
        add_denied(body, c->server->json_compact, status, detail);
    }
    evbuffer_add_printf(out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-ID: %s\r\n"
                        "Connection: close\r\n",
                        status, ql_http_reason(status), status == 403 ? TYPE_DENIED : TYPE_EMPTY,
                        evbuffer_get_length(body), c->gate.request_id);
    if (status == 503)
        evbuffer_add_printf(out, "Retry-After: %d\r\n", RETRY_AFTER_S);
    evbuffer_add(out, "\r\n", 2);
    if (!head)
        evbuffer_add_buffer(out, body);
    evbuffer_free(body);
}
