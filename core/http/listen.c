/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/http.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "error.h"
#include "listen.h"
#include "log.h"

enum {
    BACKLOG = 4096, /* the kernel cuts it to net.core.somaxconn */
    REST_MS = 100,  /* pause after accept() failed: descriptors come back slower than the loop turns */
    QUIET_S = 60    /* between two log lines about it */
};

struct ql_listen {
    struct ql_listen *next;
    struct evhttp *http;
    struct evhttp_bound_socket *bound; /* NULL: stopped */
    struct evconnlistener *listener;   /* belongs to evhttp */
    struct event *rest;
    int reserve; /* given up for a moment to shake off one connection when descriptors run out */
    uint16_t port;
    bool paused, resting;
    int64_t quiet_until_ns;
};

/*
 * evhttp takes over a listener's user data, and with it that of the error callback, so the callback finds its
 * object by the listener's address.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ql_listen *all;

static void enlist(struct ql_listen *l)
{
    pthread_mutex_lock(&lock);
    l->next = all;
    all = l;
    pthread_mutex_unlock(&lock);
}

static void delist(struct ql_listen *l)
{
    pthread_mutex_lock(&lock);
    for (struct ql_listen **at = &all; *at; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

static struct ql_listen *find(const struct evconnlistener *listener)
{
    struct ql_listen *l;

    pthread_mutex_lock(&lock);
    for (l = all; l && l->listener != listener; l = l->next)
        continue;
    pthread_mutex_unlock(&lock);
    return l;
}

static void update(struct ql_listen *l)
{
    if (!l->bound)
        return;
    if (l->paused || l->resting)
        evconnlistener_disable(l->listener);
    else
        evconnlistener_enable(l->listener);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_error(struct evconnlistener *listener, void *arg)
{
    struct ql_listen *l = find(listener);
    const struct timeval rest = ql_timeval(REST_MS * QL_NS_PER_MS);
    int reason = errno, fd;

    (void)arg;
    if (!l)
        return;
    if (ql_mono_ns() >= l->quiet_until_ns) {
        ql_log(QL_WARN, "http", "port %u: accept failed: %s; connections wait", l->port, strerror(reason));
        l->quiet_until_ns = ql_mono_ns() + QUIET_S * QL_NS_PER_S;
    }
    if (l->reserve >= 0) {
        close(l->reserve);
        fd = accept(evconnlistener_get_fd(listener), NULL, NULL);
        if (fd >= 0)
            close(fd);
        l->reserve = open_reserve();
    }
    l->resting = true;
    update(l);
    evtimer_add(l->rest, &rest);
}

static void on_rest(evutil_socket_t fd, short what, void *arg)
{
    struct ql_listen *l = arg;

    (void)fd;
    (void)what;
    if (l->reserve < 0)
        l->reserve = open_reserve();
    l->resting = false;
    update(l);
}

static int try_bind(const struct addrinfo *ai)
{
    ql_auto_close int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    int on = 1, off = 0;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -1;
    if (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0)
        return -1;
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    return ql_steal_fd(fd);
}

static int open_socket(const char *address, uint16_t port, int *ret, struct ql_err *err)
{
    const char *host = !address || *address == '\0' || strcmp(address, "*") == 0 ? NULL : address;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
    char text[8];
    int r, fd = -1, reason = 0;

    snprintf(text, sizeof text, "%u", port);
    r = getaddrinfo(host, text, &hints, &list);
    if (r != 0)
        return ql_fail(err, QL_EIO, "%s: %s", host ? host : "*", gai_strerror(r));
    /* All addresses: one IPv6 socket serves both families; IPv4 alone only where there is no IPv6. */
    for (int pass = 0; pass < 2 && fd < 0; pass++) {
        for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
            if (!host && (ai->ai_family == AF_INET6) != (pass == 0))
                continue;
            fd = try_bind(ai);
            if (fd < 0)
                reason = errno;
        }
    }
    freeaddrinfo(list);
    if (fd < 0)
        return ql_fail(err, QL_EIO, "cannot listen on %s port %u: %s", host ? host : "*", port,
                       strerror(reason));
    *ret = fd;
    return QL_OK;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof ss;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    memcpy(&v4, &ss, sizeof v4);
    memcpy(&v6, &ss, sizeof v6);
    return ntohs(ss.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

/* evhttp sets the real callback; until then a listener without one stays disabled. */
int ql_listen_new(struct event_base *base, const char *address, uint16_t port, struct evhttp *http,
                  struct ql_listen **ret, struct ql_err *err)
{
    ql_auto(ql_listen_freep) struct ql_listen *l = calloc(1, sizeof *l);
    ql_auto_close int fd = -1;
    int r;

    if (!l)
        return ql_fail_nomem(err);
    l->http = http;
    l->reserve = -1;
    r = open_socket(address, port, &fd, err);
    if (r < 0)
        return r;
    l->port = bound_port(fd);
    l->reserve = open_reserve();
    l->rest = evtimer_new(base, on_rest, l);
    l->listener = evconnlistener_new(base, NULL, NULL,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_DISABLED, 0, fd);
    if (!l->rest || !l->listener)
        return ql_fail_nomem(err);
    (void)ql_steal_fd(fd); /* the listener's now */
    l->bound = evhttp_bind_listener(http, l->listener);
    if (!l->bound) {
        evconnlistener_free(l->listener);
        return ql_fail_nomem(err);
    }
    evconnlistener_set_error_cb(l->listener, on_error);
    enlist(l);
    update(l);
    *ret = ql_steal(l);
    return QL_OK;
}

uint16_t ql_listen_port(const struct ql_listen *l)
{
    return l->port;
}

void ql_listen_pause(struct ql_listen *l)
{
    l->paused = true;
    update(l);
}

void ql_listen_resume(struct ql_listen *l)
{
    l->paused = false;
    update(l);
}

void ql_listen_stop(struct ql_listen *l)
{
    if (l->bound)
        evhttp_del_accept_socket(l->http, l->bound);
    l->bound = NULL;
}

void ql_listen_free(struct ql_listen *l)
{
    if (!l)
        return;
    delist(l);
    ql_listen_stop(l);
    if (l->rest)
        event_free(l->rest);
    if (l->reserve >= 0)
        close(l->reserve);
    free(l);
}
