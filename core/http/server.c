/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "conn.h"
#include "error.h"
#include "log.h"

enum {
    HEADER_MAX = 32 * 1024,
    BODY_MAX = 1024 * 1024,
    CONNECTIONS_MAX = 10500, /* 10,000 agents and their operators */
    PER_ADDRESS_MAX = 1024,
    HANDSHAKES_MAX = 64, /* about 70 ms of work: what running requests may have to wait */
    HANDSHAKE_MS = 10000,
    HEADER_MS = 10000,
    BODY_MS = 60000,
    IDLE_MS = 120000,
    WRITE_MS = 30000,
    REPLY_MS = 60000,
    DEFERRED_MAX = 4096,
    BODIES_MAX = 256 * 1024 * 1024,
    EVHTTP_SLACK_MS = 60000 /* evhttp's own time-outs come after all of ours */
};

const struct ql_identity *ql_conn_identity(struct ql_conn *c)
{
    if (!c->ssl || c->identity)
        return c->identity;
    c->identity = calloc(1, sizeof *c->identity);
    if (c->identity)
        ql_identity_read(c->ssl, c->identity);
    return c->identity;
}

bool ql_conn_is_stranger(struct ql_conn *c)
{
    const struct ql_identity *id = ql_conn_identity(c);

    return c->ssl && !(id && id->verified);
}

bool ql_conn_is_admin(struct ql_conn *c)
{
    const struct ql_identity *id = ql_conn_identity(c);

    /* An Authorization header says "judge me by this": the certificate is never a fallback for it. */
    return id && !c->gate.has_auth && id->verified && id->is_client && id->name[0];
}

int ql_server_access(struct ql_conn *c)
{
    const struct ql_identity *id;

    if (c->route->who == QL_WHO_PUBLIC)
        return 0;
    if (!c->server->tls)
        return 400;
    switch (c->route->who) {
    case QL_WHO_TLS:
        return 0;
    case QL_WHO_CLIENT:
        id = ql_conn_identity(c);
        return id && id->verified ? 0 : 403;
    case QL_WHO_ADMIN:
        return ql_conn_is_admin(c) ? 0 : 403;
    case QL_WHO_PUBLIC:
    case QL_WHO_NOBODY:
        break;
    }
    return 403;
}

void ql_server_denial(const struct ql_conn *c, char *out, size_t room)
{
    snprintf(out, room, "Action %s requires %s", c->route->action,
             c->route->who == QL_WHO_ADMIN ? "admin authentication (mTLS certificate)" : "authentication");
}

static void add_allow(struct ql_http_req *req, unsigned allowed)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = {{QL_GET, "GET"},     {QL_POST, "POST"}, {QL_PUT, "PUT"},        {QL_DELETE, "DELETE"},
                 {QL_PATCH, "PATCH"}, {QL_HEAD, "HEAD"}, {QL_OPTIONS, "OPTIONS"}};
    char text[64] = ""; /* all seven with commas take 44 bytes */
    size_t at = 0;

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        if (allowed & names[i].method)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at > 0 ? ", " : "", names[i].name);
    (void)ql_req_add_header(req, "Allow", text); /* the answer is right without it */
}

static void miss(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;

    if (s->on_miss) {
        s->on_miss(&c->req, c->miss, s->arg);
        return;
    }
    if (c->miss == QL_MISS_METHOD)
        add_allow(&c->req, c->allowed);
    ql_req_reply_empty(&c->req, c->miss == QL_MISS_METHOD ? 405 : 404);
}

static void dispatch(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;
    int status;

    if (s->pending > s->limits.deferred_max) {
        (void)ql_req_add_header(&c->req, "Retry-After", "1"); /* a hint */
        ql_req_reply_empty(&c->req, 503);
        return;
    }
    if (!c->route) {
        miss(c);
        return;
    }
    if (s->judges_tokens && (c->gate.auth_bad || c->gate.auth_bearer)) {
        ql_req_reply_denied(&c->req, 401,
                            c->gate.auth_bad ? "Invalid Authorization header format"
                                             : "Invalid authentication token");
        return;
    }
    status = ql_server_access(c);
    if (status == 403) {
        char detail[256];

        ql_server_denial(c, detail, sizeof detail);
        ql_req_reply_denied(&c->req, status, detail);
    } else if (status != 0) {
        ql_req_reply_empty(&c->req, status);
    } else {
        c->route->handler(&c->req, s->arg);
    }
}

void ql_server_request(struct evhttp_request *ev, void *server)
{
    struct ql_http_server *s = server;
    struct ql_conn *c = ql_conn_find(s, ev);

    if (!c || c->state != QL_CONN_BODY) {
        /* Only when memory ran out while the connection was set up: it has no gate and no limits. */
        evhttp_add_header(evhttp_request_get_output_headers(ev), "Connection", "close");
        evhttp_send_reply(ev, 503, NULL, NULL);
        return;
    }
    c->state = QL_CONN_HANDLER;
    c->pending = true;
    s->pending++;
    if (ql_req_begin(c, ev) < 0)
        ql_req_reply_empty(&c->req, 500);
    else
        dispatch(c);
    /* The connection is still there: answers are only queued while evhttp is on the stack. */
    if (c->state == QL_CONN_HANDLER)
        ql_conn_timer(c, s->reply);
}

static void destroy(struct ql_http_server *s)
{
    if (s->http)
        evhttp_free(s->http);
    if (s->fresh_event)
        event_free(s->fresh_event);
    if (s->turn_event)
        event_free(s->turn_event);
    ql_routes_free(s->routes);
    ql_addrs_free(s->addrs);
    ql_tls_unref(s->tls);
    free(s->by_fd);
    free(s);
}

void ql_server_unref(struct ql_http_server *s)
{
    if (s->closing && s->pending == 0)
        destroy(s);
}

static void on_fresh(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_conn_setup_fresh(arg);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_conn_take_turn(arg);
}

static const struct timeval *common(struct event_base *base, unsigned ms)
{
    const struct timeval tv = ql_timeval(ms * QL_NS_PER_MS);

    return event_base_init_common_timeout(base, &tv);
}

static void set_default(unsigned *value, unsigned preset)
{
    if (*value == 0)
        *value = preset;
}

static int set_limits(struct ql_http_server *s, struct ql_err *err)
{
    struct ql_http_limits *l = &s->limits;
    const struct timeval *backstop;
    unsigned longest, rest;

    l->header_max = l->header_max ? l->header_max : HEADER_MAX;
    l->body_max = l->body_max ? l->body_max : BODY_MAX;
    l->bodies_max = l->bodies_max ? l->bodies_max : BODIES_MAX;
    set_default(&l->connections_max, CONNECTIONS_MAX);
    set_default(&l->per_address_max, PER_ADDRESS_MAX);
    set_default(&l->handshakes_max, HANDSHAKES_MAX);
    set_default(&l->handshake_ms, HANDSHAKE_MS);
    set_default(&l->header_ms, HEADER_MS);
    set_default(&l->body_ms, BODY_MS);
    set_default(&l->idle_ms, IDLE_MS);
    set_default(&l->write_ms, WRITE_MS);
    set_default(&l->reply_ms, REPLY_MS);
    set_default(&l->deferred_max, DEFERRED_MAX);
    rest = l->handshake_ms > QL_SLOT_MS ? l->handshake_ms - QL_SLOT_MS : 1;
    s->slot = common(s->base, l->handshake_ms > QL_SLOT_MS ? QL_SLOT_MS : l->handshake_ms);
    s->handshake = common(s->base, rest);
    s->header = common(s->base, l->header_ms);
    s->body = common(s->base, l->body_ms);
    s->idle = common(s->base, l->idle_ms);
    s->write = common(s->base, l->write_ms);
    s->reply = common(s->base, l->reply_ms);
    s->linger = common(s->base, QL_LINGER_MS);
    longest = l->idle_ms > l->body_ms ? l->idle_ms : l->body_ms;
    longest = longest > l->write_ms ? longest : l->write_ms;
    longest = longest > l->handshake_ms ? longest : l->handshake_ms;
    backstop = common(s->base, longest < UINT_MAX - EVHTTP_SLACK_MS ? longest + EVHTTP_SLACK_MS : longest);
    if (!s->slot || !s->handshake || !s->header || !s->body || !s->idle || !s->write || !s->reply ||
        !s->linger)
        return ql_fail(err, QL_ELIMIT, "too many different time-outs in one event loop");
    evhttp_set_timeout_tv(s->http, backstop);
    evhttp_set_max_headers_size(s->http, (ev_ssize_t)l->header_max);
    evhttp_set_max_body_size(s->http, (ev_ssize_t)ql_routes_body_max(s->routes, l->body_max));
    return QL_OK;
}

static int start(struct ql_http_server *s, const struct ql_http_server_config *config, struct ql_err *err)
{
    int r = ql_routes_new(config->routes, config->versions, config->slash_optional, &s->routes, err);

    if (r == QL_OK)
        r = ql_addrs_new(&s->addrs, err);
    if (r < 0)
        return r;
    s->http = evhttp_new(s->base);
    s->fresh_event = event_new(s->base, -1, 0, on_fresh, s);
    s->turn_event = evtimer_new(s->base, on_turn, s);
    if (!s->http || !s->fresh_event || !s->turn_event)
        return ql_fail_nomem(err);
    ql_loop_set_priority(s->turn_event, QL_PRIORITY_STRANGERS);
    r = set_limits(s, err);
    if (r < 0)
        return r;
    /* The gate lets known methods through only; evhttp must not answer for us with a page of its own. */
    evhttp_set_allowed_methods(s->http, UINT16_MAX);
    evhttp_set_default_content_type(s->http, NULL);
    evhttp_set_bevcb(s->http, ql_conn_accept, s);
    evhttp_set_gencb(s->http, ql_server_request, s);
    return ql_listen_new(s->base, config->address, config->port, s->http, &s->listen, err);
}

int ql_http_server_new(const struct ql_http_server_config *config, struct ql_http_server **ret,
                       struct ql_err *err)
{
    struct ql_http_server *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return ql_fail_nomem(err);
    ql_http_prepare_process();
    s->base = config->base;
    s->tls = ql_tls_ref(config->tls);
    s->arg = config->arg;
    s->on_miss = config->on_miss;
    s->limits = config->limits;
    s->json_compact = config->json_compact;
    s->json_indent = config->json_indent;
    s->judges_tokens = config->judges_tokens;
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->fresh);
    TAILQ_INIT(&s->queue);
    r = start(s, config, err);
    if (r < 0) {
        destroy(s);
        return r;
    }
    *ret = s;
    return QL_OK;
}

uint16_t ql_http_server_port(const struct ql_http_server *s)
{
    return ql_listen_port(s->listen);
}

void ql_http_server_set_tls(struct ql_http_server *s, struct ql_tls *tls)
{
    struct ql_tls *old = s->tls;

    s->tls = ql_tls_ref(tls);
    ql_tls_unref(old);
}

/* Connections on which nothing is under way have nothing to finish. */
void ql_http_server_drain(struct ql_http_server *s)
{
    struct ql_conn *c, *next;

    s->draining = true;
    ql_listen_stop(s->listen);
    ql_conn_setup_fresh(s);
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->state == QL_CONN_SILENT || c->state == QL_CONN_QUEUED || c->state == QL_CONN_HANDSHAKE ||
            (c->state == QL_CONN_HEAD && evbuffer_get_length(bufferevent_get_input(c->bev)) == 0 &&
             !c->gate.has_line))
            ql_conn_kill(c);
    }
}

unsigned ql_http_server_pending(const struct ql_http_server *s)
{
    return s->pending;
}

void ql_http_server_free(struct ql_http_server *s)
{
    struct ql_conn *c, *next;

    if (!s)
        return;
    s->draining = true;
    ql_conn_setup_fresh(s);
    ql_listen_free(s->listen);
    s->listen = NULL;
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (!c->pending) {
            ql_conn_kill(c);
            continue;
        }
        event_del(&c->timer);
        bufferevent_disable(c->bev, EV_READ | EV_WRITE);
        shutdown(c->fd, SHUT_RDWR);
        c->state = QL_CONN_DEAD;
    }
    s->closing = true;
    ql_server_unref(s);
}
