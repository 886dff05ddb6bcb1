/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "error.h"

enum {
    UNAVAILABLE = 503,
    HEADER_TOO_LARGE = 431,
    PAYLOAD_TOO_LARGE = 413,
    BAD_REQUEST = 400,
    NOT_FOUND = 404,
    NOT_ALLOWED = 405
};

void ql_conn_timer(struct ql_conn *c, const struct timeval *tv)
{
    event_add(&c->timer, tv);
    c->timer_set = true;
}

static void release_body(struct ql_conn *c)
{
    c->server->body_bytes -= c->body_held;
    c->body_held = 0;
}

void ql_conn_free(struct ql_conn *c)
{
    ql_req_end(c);
    free(c->req.text);
    if (c->req.decoded)
        ql_query_done(c->req.decoded);
    free(c->req.decoded);
    free(c->identity);
    free(c);
}

/* Leaves everything but the memory and a handler's claim on it. */
void ql_conn_forget(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;

    event_del(&c->timer);
    if (c->input_cb)
        evbuffer_remove_cb_entry(bufferevent_get_input(c->bev), c->input_cb);
    c->input_cb = NULL;
    if (c->ssl)
        (void)ql_tls_set_watch(c->ssl, NULL); /* setting a slot that exists cannot fail */
    if (c->fd >= 0 && (size_t)c->fd < s->by_fd_room && s->by_fd[c->fd] == c)
        s->by_fd[c->fd] = NULL;
    if (c->counted)
        ql_addrs_leave(s->addrs, c->addr_key);
    c->counted = false;
    if (c->state == QL_CONN_QUEUED)
        TAILQ_REMOVE(&s->queue, c, queue_link);
    ql_conn_release_slot(c);
    release_body(c);
    s->connections--;
    TAILQ_REMOVE(c->state == QL_CONN_FRESH ? &s->fresh : &s->conns, c, link);
    c->bev = NULL;
    c->evcon = NULL;
    c->ssl = NULL;
    c->req.ev = NULL;
    c->state = QL_CONN_DEAD;
}

/* evhttp is about to free its connection. */
void ql_conn_on_closed(struct evhttp_connection *evcon, void *arg)
{
    struct ql_conn *c = arg;

    (void)evcon;
    ql_conn_forget(c);
    if (!c->pending)
        ql_conn_free(c);
}

void ql_conn_kill(struct ql_conn *c)
{
    evhttp_connection_free(c->evcon); /* comes back in ql_conn_on_closed() */
}

/* The gate has seen enough: whatever else arrives is dropped, and evhttp sees none of it. */
static void refuse(struct ql_conn *c, int status)
{
    struct evbuffer *input = bufferevent_get_input(c->bev);

    c->state = QL_CONN_REFUSED;
    c->refusal = status;
    release_body(c);
    evbuffer_drain(input, evbuffer_get_length(input));
    event_active(&c->timer, EV_TIMEOUT, 0);
}

/* Tells a client of TLS that nothing was cut off. Best effort: an error changes nothing. */
static void say_goodbye(struct ql_conn *c)
{
    if (!c->ssl)
        return;
    SSL_shutdown(c->ssl);
    ERR_clear_error();
}

static void finish_flush(struct ql_conn *c)
{
    if (c->pending) {
        shutdown(c->fd, SHUT_RDWR);
        bufferevent_disable(c->bev, EV_READ | EV_WRITE);
        event_del(&c->timer);
        c->state = QL_CONN_DEAD;
        return;
    }
    ql_conn_kill(c);
}

static void on_flushed(struct bufferevent *bev, void *arg)
{
    struct ql_conn *c = arg;

    if (c->state != QL_CONN_FLUSH || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        return;
    if (c->pending) {
        finish_flush(c);
        return;
    }
    /* Closing with unread bytes would send a reset that overtakes the refusal: read the rest for a while. */
    say_goodbye(c);
    shutdown(c->fd, SHUT_WR);
    c->state = QL_CONN_LINGER;
    c->left = 0;
    bufferevent_enable(bev, EV_READ);
    ql_conn_timer(c, c->server->linger);
}

static void on_flush_event(struct bufferevent *bev, short what, void *arg)
{
    struct ql_conn *c = arg;

    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        finish_flush(c);
}

/* Take the connection out of evhttp's hands: from here on it only frees it. */
static void send_refusal(struct ql_conn *c, int status)
{
    bufferevent_setcb(c->bev, NULL, on_flushed, on_flush_event, c);
    bufferevent_disable(c->bev, EV_READ);
    c->state = QL_CONN_FLUSH;
    ql_reply_raw_bytes(c, status, bufferevent_get_output(c->bev));
    bufferevent_enable(c->bev, EV_WRITE);
    ql_conn_timer(c, c->server->write);
}

void ql_conn_abandon(struct ql_conn *c)
{
    send_refusal(c, UNAVAILABLE);
}

void ql_conn_answered(struct ql_conn *c)
{
    if (!c->evcon)
        ql_conn_free(c);
    else if (c->state == QL_CONN_DEAD)
        ql_conn_kill(c);
}

static void on_write_timeout(struct ql_conn *c)
{
    size_t left = evbuffer_get_length(bufferevent_get_output(c->bev));

    if (left < c->left && c->left - left >= QL_WRITE_FLOOR) {
        c->left = left;
        ql_conn_timer(c, c->server->write);
        return;
    }
    ql_conn_kill(c);
}

void ql_conn_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct ql_conn *c = arg;

    (void)fd;
    (void)what;
    c->timer_set = false;
    switch (c->state) {
    case QL_CONN_HANDSHAKE:
        if (c->has_slot) {
            ql_conn_release_slot(c);
            ql_conn_timer(c, c->server->handshake);
        } else {
            ql_conn_kill(c);
        }
        return;
    case QL_CONN_HEAD:
        say_goodbye(c);
        ql_conn_kill(c);
        return;
    case QL_CONN_BODY:
    case QL_CONN_LINGER:
        ql_conn_kill(c);
        return;
    case QL_CONN_HANDLER:
        ql_conn_abandon(c);
        return;
    case QL_CONN_WRITE:
        on_write_timeout(c);
        return;
    case QL_CONN_REFUSED:
        send_refusal(c, c->refusal);
        return;
    case QL_CONN_FLUSH:
        finish_flush(c);
        return;
    case QL_CONN_FRESH:
    case QL_CONN_SILENT:
    case QL_CONN_QUEUED:
    case QL_CONN_DEAD:
        return;
    }
}

/* The request line is in: find its route while the text is at hand (evhttp drains line by line). */
static void match_route(struct ql_conn *c, const char *line)
{
    const char *path = strchr(line, ' ') + 1; /* the gate has seen two blanks */
    const char *query = memchr(path, '?', c->gate.target_len);
    struct ql_match match;

    ql_routes_match(c->server->routes, c->gate.method, path,
                    query ? (size_t)(query - path) : c->gate.target_len, &match);
    c->route = match.route;
    c->miss = match.miss;
    c->version = match.version;
    c->allowed = match.allowed;
    c->param_count = match.param_count;
    for (unsigned i = 0; i < match.param_count; i++) {
        c->param[i].at = (size_t)(match.param[i].at - path);
        c->param[i].len = match.param[i].len;
    }
}

/* Refuse before the body is read what would be refused after it, unless it is too small to matter. */
static void end_of_head(struct ql_conn *c, size_t arrived)
{
    const struct ql_http_limits *limits = &c->server->limits;
    int status = ql_gate_verdict(&c->gate);
    size_t room = limits->body_max;

    if (status == 0 && !c->route)
        status = c->miss == QL_MISS_METHOD ? NOT_ALLOWED : NOT_FOUND;
    else if (status == 0)
        status = ql_server_access(c);
    if (status == 0 && c->route->body_max)
        room = c->route->body_max;
    if (status != 0 && room > QL_DENIED_BODY_MAX)
        room = QL_DENIED_BODY_MAX;
    if (c->gate.method == 0 || c->gate.unmet_expect || c->gate.body_len > room) {
        refuse(c, status ? status : PAYLOAD_TOO_LARGE);
        return;
    }
    evhttp_connection_set_max_body_size(c->evcon, (ev_ssize_t)room);
    /* evhttp bounds what chunks hold, but keeps a chunk's size line or a trailer of any length until it ends. */
    c->body_room = !c->gate.chunked || room > SIZE_MAX / 4 ? SIZE_MAX : 2 * room + QL_CHUNK_FRAMING;
    c->state = QL_CONN_BODY;
    if (c->gate.body_len > 0 || c->gate.chunked) {
        c->body_held = arrived;
        c->server->body_bytes += arrived;
        ql_conn_timer(c, c->server->body);
    }
}

/* Check what arrived of the head. evhttp reads it right after this, line by line too. */
static void check_head(struct ql_conn *c)
{
    struct evbuffer *input = bufferevent_get_input(c->bev);
    size_t len = evbuffer_get_length(input);
    const char *data = (const char *)evbuffer_pullup(input, -1);

    if (!data)
        return;
    while (c->state == QL_CONN_HEAD && c->checked < len) {
        const char *line = data + c->checked;
        const char *end = memchr(line, '\n', len - c->checked);
        size_t line_len = end ? (size_t)(end - line) + 1 : len - c->checked;
        bool first = !c->gate.has_line;
        int status;

        if (line_len > c->server->limits.header_max - c->lines_len) {
            refuse(c, HEADER_TOO_LARGE);
            return;
        }
        if (!end)
            break;
        status = line_len < 2 || end[-1] != '\r' ? BAD_REQUEST : ql_gate_line(&c->gate, line, line_len - 2);
        if (status != 0) {
            refuse(c, status);
            return;
        }
        c->checked += line_len;
        c->lines_len += line_len;
        if (first && c->gate.method)
            match_route(c, line);
        if (c->gate.done)
            end_of_head(c, len - c->checked);
    }
    if (c->state == QL_CONN_HEAD && !c->begun) {
        c->begun = true;
        ql_conn_timer(c, c->server->header);
    }
}

static void count_body(struct ql_conn *c, size_t added)
{
    struct ql_http_server *s = c->server;

    c->body_held += added;
    s->body_bytes += added;
    if (c->body_held > c->body_room)
        refuse(c, PAYLOAD_TOO_LARGE);
    else if (s->body_bytes > s->limits.bodies_max)
        refuse(c, UNAVAILABLE);
}

void ql_conn_on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct ql_conn *c = arg;

    if (c->state == QL_CONN_HEAD && info->n_deleted)
        c->checked -= info->n_deleted < c->checked ? info->n_deleted : c->checked;
    if (!info->n_added)
        return;
    ql_conn_rank(c);
    switch (c->state) {
    case QL_CONN_HEAD:
        check_head(c);
        return;
    case QL_CONN_BODY:
        count_body(c, info->n_added);
        return;
    case QL_CONN_LINGER:
        c->left += info->n_added;
        evbuffer_drain(buffer, evbuffer_get_length(buffer));
        if (c->left > QL_LINGER_MAX)
            event_active(&c->timer, EV_TIMEOUT, 0);
        return;
    case QL_CONN_REFUSED:
    case QL_CONN_FLUSH:
        evbuffer_drain(buffer, evbuffer_get_length(buffer));
        return;
    case QL_CONN_FRESH:
    case QL_CONN_SILENT:
    case QL_CONN_QUEUED:
    case QL_CONN_HANDSHAKE:
    case QL_CONN_HANDLER:
    case QL_CONN_WRITE:
    case QL_CONN_DEAD:
        return;
    }
}

void ql_conn_next(struct ql_conn *c)
{
    release_body(c);
    ql_gate_begin(&c->gate);
    c->state = QL_CONN_HEAD;
    c->checked = c->lines_len = 0;
    c->begun = false;
    c->route = NULL;
    ql_conn_timer(c, c->server->idle);
    check_head(c); /* a pipelined request may be here already */
    if (c->server->draining && c->state == QL_CONN_HEAD && !c->begun)
        event_active(&c->timer, EV_TIMEOUT, 0);
}
