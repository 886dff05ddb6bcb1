/* SPDX-License-Identifier: Apache-2.0 */
/* One call after the other over a peer's connection, and what becomes of each. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "peer.h"

enum {
    IDEMPOTENT = QL_GET | QL_PUT | QL_DELETE | QL_HEAD | QL_OPTIONS
};

enum evhttp_cmd_type ql_peer_command(unsigned method)
{
    switch (method) {
    case QL_GET:
        return EVHTTP_REQ_GET;
    case QL_POST:
        return EVHTTP_REQ_POST;
    case QL_PUT:
        return EVHTTP_REQ_PUT;
    case QL_DELETE:
        return EVHTTP_REQ_DELETE;
    case QL_PATCH:
        return EVHTTP_REQ_PATCH;
    case QL_HEAD:
        return EVHTTP_REQ_HEAD;
    case QL_OPTIONS:
        return EVHTTP_REQ_OPTIONS;
    default:
        return 0;
    }
}

/* Deal with it from the loop: evhttp may be on the stack. The first reason stands. */
void ql_peer_note(struct ql_peer *p, int code, const char *fmt, ...)
{
    va_list args;

    if (p->failure)
        return;
    p->failure = code;
    va_start(args, fmt);
    vsnprintf(p->failure_text, sizeof p->failure_text, fmt, args);
    va_end(args);
    event_active(&p->event, EV_TIMEOUT, 0);
}

struct ql_http_call *ql_peer_pick(struct ql_peer *p)
{
    struct ql_call_list *list = TAILQ_EMPTY(&p->queue) ? &p->background : &p->queue;
    struct ql_http_call *call = TAILQ_FIRST(list);

    if (call) {
        TAILQ_REMOVE(list, call, link);
        p->queued--;
    }
    return call;
}

/* The call is out of all lists. Runs the caller's code: p may be marked dead after this, not freed (refs). */
static void finish(struct ql_peer *p, struct ql_http_call *call, struct ql_http_result *result)
{
    p->refs++;
    event_del(&call->timer);
    result->elapsed_ns = ql_mono_ns() - call->started_ns;
    call->done(result, call->arg);
    free(call);
    ql_peer_unref(p);
}

void ql_peer_finish_failed(struct ql_peer *p, struct ql_http_call *call, int code, const char *text)
{
    struct ql_http_result result = {.error = code, .error_text = text, .body_fd = -1};

    finish(p, call, &result);
}

static void rate_started(struct ql_peer *p)
{
    p->first_byte_ns = ql_mono_ns();
    if (p->active->what.min_rate > 0)
        event_add(&p->event, p->client->tick);
}

/*
 * evhttp keeps the line before a chunk whatever its length, and looks through all of it with each piece that comes. What
 * it left of earlier pieces while it waits for such a line is a part of the line.
 */
static bool is_endless_line(const struct ql_peer *p, const struct evbuffer *buffer, size_t added)
{
    return p->req && p->req->chunked && p->req->ntoread < 0 &&
           evbuffer_get_length(buffer) - added > QL_CHUNK_LINE_MAX;
}

void ql_peer_on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct ql_peer *p = arg;
    struct ql_http_client *c = p->client;

    if (!info->n_added || !p->active)
        return;
    if (p->received == 0)
        rate_started(p);
    p->received += info->n_added;
    p->held += info->n_added;
    c->body_bytes += info->n_added;
    if (p->received > QL_LARGE_ANSWER && !p->is_last)
        p->is_last = ql_loop_set_bev_priority(p->bev, QL_PRIORITY_STRANGERS);
    if (is_endless_line(p, buffer, info->n_added))
        ql_peer_note(p, QL_ELIMIT, "%s port %u: answer with more than %d bytes between chunks", p->host,
                     p->port, QL_CHUNK_LINE_MAX);
    else if (c->body_bytes > c->config.total_body_max)
        ql_peer_note(p, QL_ELIMIT, "answers under way exceed %zu bytes", c->config.total_body_max);
}

static void rate_check(struct ql_peer *p)
{
    int64_t passed = ql_mono_ns() - p->first_byte_ns;
    uint64_t floor = (uint64_t)p->active->what.min_rate * (uint64_t)(passed / QL_NS_PER_MS) / 1000;

    if (passed >= QL_RATE_GRACE_S * QL_NS_PER_S && p->received < floor)
        ql_peer_note(p, QL_ETIMEOUT, "answer comes at less than %u bytes a second", p->active->what.min_rate);
    else
        event_add(&p->event, p->client->tick);
}

/* TLS reason from the bufferevent, if there is one that is not just a lost connection. */
static const char *tls_reason(struct ql_peer *p)
{
    unsigned long code;

    while (p->ssl && (code = bufferevent_get_openssl_error(p->bev))) {
        if (ERR_GET_LIB(code) != ERR_LIB_SSL || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            continue;
        return ERR_reason_error_string(code) ? ERR_reason_error_string(code) : "TLS failure";
    }
    return NULL;
}

static void note_lost(struct ql_peer *p, int reason)
{
    const char *tls;

    if (p->mismatch || p->verify_error != X509_V_OK) {
        ql_peer_note(p, QL_ECRYPTO, "%s port %u: certificate refused: %s", p->host, p->port,
                     p->mismatch ? "not the one of this peer"
                                 : X509_verify_cert_error_string(p->verify_error));
        return;
    }
    if (p->has_evhttp_error && p->evhttp_error == EVREQ_HTTP_DATA_TOO_LONG) {
        ql_peer_note(p, QL_ELIMIT, "%s port %u: answer is badly framed or larger than %zu bytes", p->host,
                     p->port, p->active ? p->active->what.response_max : 0);
        return;
    }
    if (p->has_evhttp_error && p->evhttp_error == EVREQ_HTTP_INVALID_HEADER) {
        ql_peer_note(p, QL_EIO, "%s port %u: not an HTTP answer", p->host, p->port);
        return;
    }
    tls = tls_reason(p);
    if (tls)
        ql_peer_note(p, QL_ECRYPTO, "%s port %u: TLS: %s", p->host, p->port, tls);
    else if (!p->connected)
        /* evhttp shuts the socket down before it tells, and that leaves its own errno behind. */
        ql_peer_note(p, QL_EIO, "%s port %u: cannot connect: %s", p->host, p->port,
                     reason == ENOTCONN ? "refused or unreachable"
                     : reason           ? strerror(reason)
                                        : "connection lost");
    else
        ql_peer_note(p, QL_EIO, "%s port %u: connection closed before the answer was complete", p->host,
                     p->port);
}

static void on_evhttp_error(enum evhttp_request_error error, void *arg)
{
    struct ql_peer *p = arg;

    p->evhttp_error = error;
    p->has_evhttp_error = true;
}

static void on_piece(struct evhttp_request *req, void *arg)
{
    struct ql_peer *p = arg;

    if (!p->active || p->failure)
        return;
    if (ql_answer_take(p, evhttp_request_get_input_buffer(req)) < 0)
        ql_peer_note(p, QL_EIO, "no memory for the answer");
}

/* evhttp keeps a connection that the server has announced to close by leaving the length out, or by HTTP/1.0. */
static bool keeps_alive(struct evhttp_request *req, unsigned method)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    const char *connection = evhttp_find_header(headers, "Connection");
    int status = evhttp_request_get_response_code(req);

    if (connection && strcasecmp(connection, "close") == 0)
        return false;
    if (req->minor == 0 && (!connection || strcasecmp(connection, "keep-alive") != 0))
        return false;
    return evhttp_find_header(headers, "Content-Length") ||
           evhttp_find_header(headers, "Transfer-Encoding") || status == 204 || status == 304 ||
           method == QL_HEAD;
}

static void deliver(struct ql_peer *p, struct evhttp_request *req)
{
    struct ql_http_call *call = p->active;
    struct ql_http_result result = {.error_text = "", .body_fd = -1};
    struct evbuffer *body;
    int r;

    result.status = evhttp_request_get_response_code(req);
    result.headers = evhttp_request_get_input_headers(req);
    r = ql_answer_finish(p, evhttp_request_get_input_buffer(req), &result);
    if (r < 0) {
        ql_peer_note(p, r, "no memory for the answer");
        return;
    }
    event_del(&p->event); /* the rate tick */
    p->active = NULL;
    p->reused = true;
    p->closed = p->closed || !keeps_alive(req, call->what.method);
    /* The callback may start the next call or free the peer: what it reads must not belong to the peer. */
    body = ql_steal(p->body);
    p->body_fd = -1;
    ql_answer_reset(p);
    p->refs++;
    finish(p, call, &result);
    ql_closep(&result.body_fd);
    if (body)
        evbuffer_free(body);
    if (!p->dead)
        ql_peer_next(p);
    ql_peer_unref(p);
}

/* evhttp is done with the request: an answer, or none (NULL, or a status of 0). */
static void on_done(struct evhttp_request *req, void *arg)
{
    struct ql_peer *p = arg;
    int reason = errno;

    p->req = NULL;
    if (!p->active)
        return;
    if (!req || evhttp_request_get_response_code(req) == 0)
        note_lost(p, reason);
    else if (evhttp_request_get_response_code(req) < 200 || evhttp_request_get_response_code(req) > 599)
        ql_peer_note(p, QL_EIO, "%s port %u: status %d is no answer", p->host, p->port,
                     evhttp_request_get_response_code(req));
    else if (!p->failure)
        deliver(p, req);
}

static bool add_headers(struct ql_peer *p, struct evhttp_request *req, const struct ql_call *what)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    char len[24];

    if (evhttp_add_header(headers, "Host", p->host_header) != 0)
        return false;
    if (what->content_type && evhttp_add_header(headers, "Content-Type", what->content_type) != 0)
        return false;
    if (what->body && what->method != QL_POST && what->method != QL_PUT) {
        snprintf(len, sizeof len, "%zu", what->body_len);
        if (evhttp_add_header(headers, "Content-Length", len) != 0)
            return false;
    }
    return !what->body ||
           evbuffer_add(evhttp_request_get_output_buffer(req), what->body, what->body_len) == 0;
}

bool ql_peer_send(struct ql_peer *p)
{
    const struct ql_call *what = &p->active->what;
    struct evhttp_request *req = evhttp_request_new(on_done, p);

    if (!req)
        return false;
    if (!add_headers(p, req, what)) {
        evhttp_request_free(req);
        return false;
    }
    ql_answer_reset(p);
    if (p->is_last)
        p->is_last = !ql_loop_set_bev_priority(p->bev, QL_PRIORITY_KNOWN);
    evhttp_request_set_error_cb(req, on_evhttp_error);
    if (what->memfd_above > 0)
        evhttp_request_set_chunked_cb(req, on_piece);
    evhttp_connection_set_max_body_size(p->evcon, (ev_ssize_t)what->response_max);
    p->req = req;
    errno = 0;
    if (evhttp_make_request(p->evcon, req, ql_peer_command(what->method), what->path) != 0 && p->req) {
        p->req = NULL;
        ql_peer_note(p, QL_EIO, "%s port %u: cannot connect: %s", p->host, p->port,
                     errno ? strerror(errno) : "no socket");
    }
    return true;
}

void ql_peer_connected(struct ql_peer *p)
{
    if (p->connected)
        return;
    p->connected = true;
    event_del(&p->event);
    ql_peer_release_slot(p);
}

static bool redo_in_full(struct ql_peer *p, const struct ql_http_call *call)
{
    if (!p->offered || p->reused || !p->greeted || p->received > 0 || p->failure == QL_ETIMEOUT)
        return false;
    if (p->connected && !p->resumed)
        return false;
    SSL_SESSION_free(p->session);
    p->session = NULL;
    p->no_resume_before_ns = ql_mono_ns() + QL_NO_RESUME_S * QL_NS_PER_S;
    /* A server's objection may come after our side is complete, and the request gone out with it. */
    return !p->connected || (call->what.method & IDEMPOTENT);
}

static bool try_next_address(struct ql_peer *p)
{
    if (p->numeric || p->connected || p->greeted || !p->resolved || p->failure == QL_ENOMEM ||
        p->address + 1 >= p->resolved->count)
        return false;
    p->address++;
    return true;
}

static bool repeat(struct ql_peer *p, struct ql_http_call *call)
{
    if (!p->reused || p->received > 0 || call->repeated || p->failure != QL_EIO ||
        !(call->what.method & IDEMPOTENT))
        return false;
    call->repeated = true;
    return true;
}

static void handle_failure(struct ql_peer *p)
{
    struct ql_http_call *call = p->active;
    bool again = call && (redo_in_full(p, call) || try_next_address(p) || repeat(p, call));
    int code = p->failure;
    char text[sizeof p->failure_text];

    memcpy(text, p->failure_text, sizeof text);
    p->failure = 0;
    ql_peer_retire(p);
    ql_answer_reset(p);
    if (again) {
        ql_peer_begin_connect(p);
        return;
    }
    p->address = 0;
    p->active = NULL;
    p->refs++;
    if (call)
        ql_peer_finish_failed(p, call, code, text);
    if (!p->dead)
        ql_peer_next(p);
    ql_peer_unref(p);
}

void ql_peer_on_event(evutil_socket_t fd, short what, void *arg)
{
    struct ql_peer *p = arg;

    (void)fd;
    (void)what;
    if (p->evcon && !p->connected && !p->failure)
        ql_peer_note(p, QL_ETIMEOUT, "%s port %u: no connection within %u ms", p->host, p->port,
                     p->client->config.connect_ms);
    if (p->failure)
        handle_failure(p);
    else if (!p->evcon)
        ql_peer_begin_connect(p);
    else if (p->connected && p->active && p->first_byte_ns && p->active->what.min_rate > 0)
        rate_check(p);
}

/* Start the next call, if nothing is under way. */
void ql_peer_next(struct ql_peer *p)
{
    if (p->evcon && p->closed && !p->active)
        ql_peer_retire(p);
    if (p->active || p->failure || p->queued == 0)
        return;
    if (!p->evcon) {
        ql_peer_begin_connect(p);
        return;
    }
    p->active = ql_peer_pick(p);
    if (!ql_peer_send(p))
        ql_peer_note(p, QL_ENOMEM, "out of memory");
}

void ql_peer_on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct ql_http_call *call = arg;
    struct ql_peer *p = call->peer;
    bool under_way = call == p->active;
    char text[300];

    (void)fd;
    (void)what;
    snprintf(text, sizeof text, "%s port %u: no answer within %u ms%s", p->host, p->port,
             call->what.deadline_ms, under_way ? "" : ", still queued");
    p->refs++;
    if (under_way) {
        p->active = NULL;
        p->failure = 0;
        ql_peer_retire(p);
        ql_answer_reset(p);
    } else {
        TAILQ_REMOVE(call->what.background ? &p->background : &p->queue, call, link);
        p->queued--;
    }
    ql_peer_finish_failed(p, call, QL_ETIMEOUT, text);
    if (!p->dead) {
        if (p->queued == 0 && !p->active)
            ql_peer_leave_queue(p);
        ql_peer_next(p);
    }
    ql_peer_unref(p);
}
