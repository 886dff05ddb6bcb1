/* SPDX-License-Identifier: Apache-2.0 */
/* From accept() to the end of the handshake. */
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "conn.h"
#include "error.h"

enum {
    RECORD_HEAD_LEN = 5, /* TLS record: type, version, length (RFC 8446 5.1) */
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16384
};

static void assign_timer(struct ql_conn *c)
{
    evtimer_assign(&c->timer, c->server->base, ql_conn_on_timer, c);
    ql_loop_set_priority(&c->timer, QL_PRIORITY_STRANGERS);
}

/*
 * Libevent assigns a bufferevent's events anew when the handshake is through, and whoever it is, they are served with
 * everybody's again. That can be mended with the first bytes that arrive, unless the writing event is active just then.
 */
void ql_conn_rank(struct ql_conn *c)
{
    if (!c->ssl || c->ranked)
        return;
    if (ql_conn_is_stranger(c)) {
        c->ranked = ql_loop_set_bev_priority(c->bev, QL_PRIORITY_STRANGERS);
    } else {
        ql_loop_set_priority(&c->timer, QL_PRIORITY_KNOWN);
        c->ranked = true;
    }
}

static void begin_handshake(struct ql_conn *c)
{
    c->server->handshakes++;
    c->has_slot = true;
    c->state = QL_CONN_HANDSHAKE;
    bufferevent_enable(c->bev, EV_READ);
    ql_conn_timer(c, c->server->slot);
}

/* What waits is looked at in the next turn of the loop, after what else is due. */
static void wake_queue(struct ql_http_server *s)
{
    static const struct timeval now = {0};

    if (!TAILQ_EMPTY(&s->queue) && s->handshakes < s->limits.handshakes_max && !s->draining)
        (void)event_add(s->turn_event, &now); /* without memory the next slot that becomes free asks again */
}

void ql_conn_take_turn(struct ql_http_server *s)
{
    struct ql_conn *c;

    for (unsigned n = 0; n < QL_HANDSHAKES_A_TURN && s->handshakes < s->limits.handshakes_max; n++) {
        c = TAILQ_FIRST(&s->queue);
        if (!c || s->draining)
            return;
        TAILQ_REMOVE(&s->queue, c, queue_link);
        begin_handshake(c);
    }
    wake_queue(s);
}

void ql_conn_release_slot(struct ql_conn *c)
{
    if (!c->has_slot)
        return;
    c->has_slot = false;
    c->server->handshakes--;
    wake_queue(c->server);
}

/* Bytes that the first record takes; 0: it is no handshake. */
static int first_record_len(int fd)
{
    uint8_t head[RECORD_HEAD_LEN];
    ssize_t n = recv(fd, head, sizeof head, MSG_PEEK | MSG_DONTWAIT);
    int len;

    if (n <= 0 || head[0] != RECORD_HANDSHAKE)
        return 0;
    if (n < RECORD_HEAD_LEN)
        return RECORD_HEAD_LEN;
    len = head[3] << 8 | head[4];
    return len > RECORD_MAX ? 0 : RECORD_HEAD_LEN + len;
}

/*
 * A handshake waits until its whole first record is here, so that a client that is silent or stalls halfway holds no
 * slot. It waits accepted but unread: left in the kernel's backlog, later ones would be dropped and come back ever more
 * slowly. A few are begun in each turn of the loop: answering a ClientHello takes a private key, and a burst of them
 * must not hold up the polls.
 */
static void on_first_bytes(evutil_socket_t fd, short what, void *arg)
{
    struct ql_conn *c = arg;
    struct ql_http_server *s = c->server;
    int there = 0, need = what & EV_TIMEOUT ? 0 : first_record_len(fd);

    if (need == 0 || ioctl(fd, FIONREAD, &there) != 0) {
        ql_conn_kill(c);
        return;
    }
    if (there < need) {
        /* The kernel calls again when so much is here, or the peer is gone; the time goes on from the beginning. */
        if (c->wanted == need || setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &need, sizeof need) != 0)
            ql_conn_kill(c);
        c->wanted = need;
        return;
    }
    need = 1;
    if (c->wanted)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &need,
                         sizeof need); /* it was set before in the same way */
    (void)event_del(&c->timer);
    assign_timer(c);
    c->state = QL_CONN_QUEUED;
    TAILQ_INSERT_TAIL(&s->queue, c, queue_link);
    wake_queue(s);
}

static void await_first_bytes(struct ql_conn *c)
{
    c->state = QL_CONN_SILENT;
    bufferevent_disable(c->bev, EV_READ | EV_WRITE);
    event_assign(&c->timer, c->server->base, c->fd, EV_READ | EV_PERSIST, on_first_bytes, c);
    ql_loop_set_priority(&c->timer, QL_PRIORITY_STRANGERS);
    ql_conn_timer(c, c->server->handshake);
}

static void on_handshake(struct ql_tls_watch *w, SSL *ssl)
{
    struct ql_conn *c = (struct ql_conn *)w;

    (void)ssl;
    if (c->state != QL_CONN_HANDSHAKE)
        return;
    ql_conn_release_slot(c);
    c->state = QL_CONN_HEAD;
    c->begun = true; /* header_ms runs from here for the first request */
    ql_conn_timer(c, c->server->header);
}

static struct bufferevent *new_bev(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;

    if (!s->tls || c->refuse)
        return bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
    c->ssl = SSL_new(ql_tls_native(s->tls));
    if (!c->ssl)
        return NULL;
    c->watch.finished = on_handshake;
    if (ql_tls_set_watch(c->ssl, &c->watch) < 0) {
        SSL_free(c->ssl);
        return NULL;
    }
    return bufferevent_openssl_socket_new(s->base, -1, c->ssl, BUFFEREVENT_SSL_ACCEPTING,
                                          BEV_OPT_CLOSE_ON_FREE);
}

/* evhttp asks for the bufferevent of a connection just accepted; it sets the socket after this returns. */
struct bufferevent *ql_conn_accept(struct event_base *base, void *server)
{
    struct ql_http_server *s = server;
    struct ql_conn *c = calloc(1, sizeof *c);

    (void)base;
    if (!c)
        return NULL; /* evhttp makes one of its own; ql_conn_find() will not know it, so it is not served */
    c->server = s;
    c->fd = -1;
    c->refuse = s->draining || s->connections >= s->limits.connections_max;
    c->bev = new_bev(c);
    if (!c->bev) {
        free(c);
        return NULL;
    }
    bufferevent_incref(c->bev); /* until ql_conn_setup_fresh(): evhttp may give up on it before */
    assign_timer(c);
    TAILQ_INSERT_TAIL(&s->fresh, c, link);
    s->connections++;
    if (++s->fresh_count == QL_ACCEPTS_A_TURN && s->listen)
        ql_listen_pause(s->listen);
    event_active(s->fresh_event, EV_TIMEOUT, 0);
    return c->bev;
}

static bool remember_fd(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;
    size_t fd = (size_t)c->fd;

    if (fd >= s->by_fd_room) {
        size_t room = fd + fd / 2 + 64;
        struct ql_conn **bigger = realloc(s->by_fd, room * sizeof(struct ql_conn *));

        if (!bigger)
            return false;
        memset(bigger + s->by_fd_room, 0, (room - s->by_fd_room) * sizeof(struct ql_conn *));
        s->by_fd = bigger;
        s->by_fd_room = room;
    }
    s->by_fd[fd] = c;
    return true;
}

static bool admit(struct ql_conn *c)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    unsigned open_now;

    memset(&ss, 0, sizeof ss);
    if (c->refuse || getpeername(c->fd, (struct sockaddr *)&ss, &len) != 0)
        return false;
    ql_addr_key((struct sockaddr *)&ss, c->addr_key, c->addr);
    open_now = ql_addrs_enter(c->server->addrs, c->addr_key);
    c->counted = open_now > 0;
    if (open_now == 0 || open_now > c->server->limits.per_address_max)
        return false;
    c->input_cb = evbuffer_add_cb(bufferevent_get_input(c->bev), ql_conn_on_input, c);
    return c->input_cb && remember_fd(c);
}

static void setup(struct ql_conn *c)
{
    struct ql_http_server *s = c->server;
    struct bufferevent *bev = c->bev;
    bufferevent_data_cb on_read;
    void *owner = NULL;

    /*
     * evhttp 2.1 does not tell of a connection before its first request, and a silent one must be bounded too. Its
     * bufferevent callbacks carry the connection as their argument; the bufferevent asked back is the proof.
     */
    bufferevent_getcb(bev, &on_read, NULL, NULL, &owner);
    if (!on_read || !owner || evhttp_connection_get_bufferevent(owner) != bev) {
        ql_conn_forget(c);
        ql_conn_free(c);
        bufferevent_decref(bev);
        return;
    }
    c->evcon = owner;
    evhttp_connection_set_closecb(c->evcon, ql_conn_on_closed, c);
    c->fd = bufferevent_getfd(bev);
    TAILQ_REMOVE(&s->fresh, c, link);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    c->state = QL_CONN_HEAD;
    bufferevent_decref(bev);
    if (!admit(c)) {
        ql_conn_kill(c);
        return;
    }
    (void)ql_loop_set_bev_priority(c->bev, QL_PRIORITY_STRANGERS); /* nothing of it is active yet */
    if (c->ssl) {
        await_first_bytes(c);
        return;
    }
    c->begun = true;
    ql_conn_timer(c, s->header);
}

void ql_conn_setup_fresh(struct ql_http_server *s)
{
    while (!TAILQ_EMPTY(&s->fresh))
        setup(TAILQ_FIRST(&s->fresh));
    if (s->fresh_count >= QL_ACCEPTS_A_TURN && s->listen)
        ql_listen_resume(s->listen);
    s->fresh_count = 0;
}

struct ql_conn *ql_conn_find(struct ql_http_server *s, struct evhttp_request *ev)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    int fd = evcon ? bufferevent_getfd(evhttp_connection_get_bufferevent(evcon)) : -1;

    if (fd < 0 || (size_t)fd >= s->by_fd_room || !s->by_fd[fd] || s->by_fd[fd]->evcon != evcon)
        return NULL;
    return s->by_fd[fd];
}
