/* SPDX-License-Identifier: Apache-2.0 */
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "error.h"
#include "peer.h"

void ql_peer_leave_queue(struct ql_peer *p)
{
    if (p->waiting)
        TAILQ_REMOVE(p->waiting, p, wait_link);
    p->waiting = NULL;
}

void ql_peer_release_slot(struct ql_peer *p)
{
    struct ql_http_client *c = p->client;
    struct ql_peer *next;

    if (!p->has_slot)
        return;
    p->has_slot = false;
    c->connecting--;
    next = TAILQ_FIRST(&c->urgent);
    if (!next)
        next = TAILQ_FIRST(&c->patient);
    if (!next)
        return;
    /* Its turn comes from the loop: this may run inside another connection's handshake. */
    ql_peer_leave_queue(next);
    next->has_slot = true;
    c->connecting++;
    event_active(&next->event, EV_TIMEOUT, 0);
}

static bool is_pinned(const struct ql_peer *p, X509 *cert)
{
    uint8_t *der = NULL;
    int len;
    bool same;

    if (!p->pin)
        return false;
    len = i2d_X509(cert, &der);
    same = len > 0 && (size_t)len == p->pin_len && memcmp(der, p->pin, p->pin_len) == 0;
    OPENSSL_free(der);
    return same;
}

static bool on_accept(struct ql_tls_watch *w, X509 *leaf)
{
    struct ql_peer *p = (struct ql_peer *)w;

    p->by_ca = !is_pinned(p, leaf);
    return !p->by_ca;
}

static void on_verified(struct ql_tls_watch *w, int result)
{
    ((struct ql_peer *)w)->verify_error = result;
}

static void set_nodelay(int fd)
{
    int on = 1;

    /* Header and body leave in two writes; with Nagle the second waits for a delayed ACK, 40 ms a request. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* slower without, never wrong */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* idle connections notice a lost peer */
}

static void on_started(struct ql_tls_watch *w, SSL *ssl)
{
    struct ql_peer *p = (struct ql_peer *)w;

    if (!p->greeted && SSL_get_fd(ssl) >= 0)
        set_nodelay(SSL_get_fd(ssl));
    p->greeted = true;
}

/* No byte of a request has left yet. A resumed session brings its certificate along: compare it all the same. */
static void on_finished(struct ql_tls_watch *w, SSL *ssl)
{
    struct ql_peer *p = (struct ql_peer *)w;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    bool ok = cert && (is_pinned(p, cert) || (p->by_ca && SSL_get_verify_result(ssl) == X509_V_OK));

    if (!ok) {
        p->mismatch = true;
        shutdown(SSL_get_fd(ssl), SHUT_RDWR);
        return;
    }
    p->resumed = SSL_session_reused(ssl);
    ql_peer_connected(p);
}

static bool on_session(struct ql_tls_watch *w, SSL_SESSION *session)
{
    struct ql_peer *p = (struct ql_peer *)w;

    if (p->mismatch || p->closed || ql_mono_ns() < p->no_resume_before_ns)
        return false;
    SSL_SESSION_free(p->session);
    p->session = session;
    p->session_by_ca = p->by_ca;
    return true;
}

/* evhttp reports a plain connection's success to nobody; bytes that leave do. */
static void on_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct ql_peer *p = arg;

    (void)buffer;
    if (info->n_deleted && !p->connected)
        ql_peer_connected(p);
}

/* The connection was reset by evhttp; it may be on the stack. */
static void on_closed(struct evhttp_connection *evcon, void *arg)
{
    struct ql_peer *p = arg;

    (void)evcon;
    p->closed = true;
    if (!p->req && !p->active)
        ql_peer_retire(p);
}

void ql_peer_retire(struct ql_peer *p)
{
    struct evhttp_connection *evcon = p->evcon;
    struct evhttp_request *req = p->req;

    event_del(&p->event);
    if (evcon) {
        p->evcon = NULL;
        p->req = NULL;
        evhttp_connection_set_closecb(evcon, NULL, NULL);
        if (p->input_cb)
            evbuffer_remove_cb_entry(bufferevent_get_input(p->bev), p->input_cb);
        if (p->output_cb)
            evbuffer_remove_cb_entry(bufferevent_get_output(p->bev), p->output_cb);
        if (p->ssl) {
            if (p->connected)
                SSL_shutdown(p->ssl);             /* best effort: tells the other side that this is no cut */
            (void)ql_tls_set_watch(p->ssl, NULL); /* setting a slot that exists cannot fail */
        }
        ERR_clear_error();
        if (req)
            evhttp_cancel_request(req);
        ql_client_bury(p->client, evcon);
    }
    p->bev = NULL;
    p->ssl = NULL;
    p->input_cb = p->output_cb = NULL;
    p->connected = p->reused = p->closed = p->is_last = false;
    ql_peer_release_slot(p);
}

static int make_ssl(struct ql_peer *p)
{
    X509_VERIFY_PARAM *param;

    p->ssl = SSL_new(ql_tls_native(p->tls));
    if (!p->ssl || ql_tls_set_watch(p->ssl, &p->watch) < 0)
        return QL_ENOMEM;
    p->watch.accept = on_accept;
    p->watch.verified = on_verified;
    p->watch.started = on_started;
    p->watch.finished = on_finished;
    p->watch.session = on_session;
    if (p->unframed_ok)
        SSL_set_options(p->ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    param = SSL_get0_param(p->ssl);
    if (p->numeric) {
        if (p->check_host && X509_VERIFY_PARAM_set1_ip_asc(param, p->host) != 1)
            return QL_ENOMEM;
    } else {
        if (p->check_host && X509_VERIFY_PARAM_set1_host(param, p->host, 0) != 1)
            return QL_ENOMEM;
        if (SSL_set_tlsext_host_name(p->ssl, p->host) != 1)
            return QL_ENOMEM;
    }
    p->offered =
        p->session && ql_mono_ns() >= p->no_resume_before_ns && SSL_set_session(p->ssl, p->session) == 1;
    p->by_ca = p->offered && p->session_by_ca; /* a full handshake decides anew */
    return QL_OK;
}

static int make_connection(struct ql_peer *p)
{
    struct ql_http_client *c = p->client;
    const char *address = p->numeric ? p->host : p->resolved->address[p->address];

    p->offered = p->resumed = p->greeted = p->mismatch = false;
    p->verify_error = X509_V_OK;
    if (p->tls) {
        if (make_ssl(p) < 0) {
            SSL_free(p->ssl);
            p->ssl = NULL;
            return QL_ENOMEM;
        }
        p->bev = bufferevent_openssl_socket_new(c->base, -1, p->ssl, BUFFEREVENT_SSL_CONNECTING,
                                                BEV_OPT_CLOSE_ON_FREE);
    } else {
        p->bev = bufferevent_socket_new(c->base, -1, BEV_OPT_CLOSE_ON_FREE);
    }
    if (!p->bev) {
        p->ssl = NULL; /* freed with the failure */
        return QL_ENOMEM;
    }
    p->evcon = evhttp_connection_base_bufferevent_new(c->base, NULL, p->bev, address, p->port);
    if (!p->evcon) {
        bufferevent_free(p->bev);
        p->bev = NULL;
        p->ssl = NULL;
        return QL_ENOMEM;
    }
    evhttp_connection_set_closecb(p->evcon, on_closed, p);
    evhttp_connection_set_timeout_tv(p->evcon, c->idle);
    evhttp_connection_set_max_headers_size(p->evcon, QL_CLIENT_HEADER_MAX);
    p->input_cb = evbuffer_add_cb(bufferevent_get_input(p->bev), ql_peer_on_input, p);
    if (!p->tls)
        p->output_cb = evbuffer_add_cb(bufferevent_get_output(p->bev), on_output, p);
    return p->input_cb && (p->tls || p->output_cb) ? QL_OK : QL_ENOMEM;
}

static void connect_now(struct ql_peer *p)
{
    struct ql_http_client *c = p->client;
    const struct timeval tv = ql_timeval(c->config.connect_ms * QL_NS_PER_MS);
    int fd;

    if (!p->has_slot) {
        p->has_slot = true;
        c->connecting++;
    }
    if (!p->active)
        p->active = ql_peer_pick(p);
    if (!p->active) {
        ql_peer_release_slot(p); /* the calls that wanted the connection have timed out */
        return;
    }
    event_add(&p->event, &tv);
    if (make_connection(p) < 0 || !ql_peer_send(p)) {
        ql_peer_note(p, QL_ENOMEM, "out of memory");
        return;
    }
    fd = p->bev ? bufferevent_getfd(p->bev) : -1;
    if (fd >= 0)
        set_nodelay(fd);
}

static void want_slot(struct ql_peer *p)
{
    struct ql_http_client *c = p->client;

    if (p->has_slot || c->connecting < c->config.connecting_max) {
        connect_now(p);
        return;
    }
    p->waiting =
        (p->active && !p->active->what.background) || !TAILQ_EMPTY(&p->queue) ? &c->urgent : &c->patient;
    TAILQ_INSERT_TAIL(p->waiting, p, wait_link);
}

static void on_resolved(const struct ql_resolved *list, const char *reason, void *arg)
{
    struct ql_peer *p = arg;

    p->resolving = NULL;
    if (!list) {
        if (!p->active)
            p->active = ql_peer_pick(p);
        if (p->active)
            ql_peer_note(p, QL_EIO, "%s: %s", p->host, reason);
        return;
    }
    *p->resolved = *list;
    p->address = 0;
    want_slot(p);
}

void ql_peer_begin_connect(struct ql_peer *p)
{
    if (p->evcon || p->resolving)
        return;
    if (p->has_slot) {
        connect_now(p);
        return;
    }
    if (p->waiting) {
        /* What waits has become urgent. */
        if (p->waiting == &p->client->patient && !TAILQ_EMPTY(&p->queue)) {
            ql_peer_leave_queue(p);
            want_slot(p);
        }
        return;
    }
    if (p->numeric || (p->resolved && p->address > 0)) {
        want_slot(p);
        return;
    }
    if (!p->resolved)
        p->resolved = calloc(1, sizeof *p->resolved);
    if (p->resolved)
        p->resolving = ql_resolve(p->client->resolver, p->host, on_resolved, p);
    if (!p->resolving) {
        if (!p->active)
            p->active = ql_peer_pick(p);
        ql_peer_note(p, QL_ENOMEM, "no memory or thread to resolve %s", p->host);
    }
}
