/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "peer.h"

enum {
    CONNECTING_MAX = 64,
    CONNECT_MS = 10000
};

#define TOTAL_BODY_MAX ((size_t)1 << 30)

static void on_grave(evutil_socket_t fd, short what, void *arg)
{
    struct ql_http_client *c = arg;

    (void)fd;
    (void)what;
    while (c->grave_count > 0)
        evhttp_connection_free(c->grave[--c->grave_count]);
}

void ql_client_bury(struct ql_http_client *c, struct evhttp_connection *evcon)
{
    if (c->grave_count == c->grave_room) {
        size_t room = c->grave_room ? 2 * c->grave_room : 64;
        struct evhttp_connection **bigger = realloc(c->grave, room * sizeof(struct evhttp_connection *));

        if (!bigger)
            return; /* a leak is better than freeing what may be on the stack */
        c->grave = bigger;
        c->grave_room = room;
    }
    c->grave[c->grave_count++] = evcon;
    event_active(c->grave_event, EV_TIMEOUT, 0);
}

static const struct timeval *common(struct event_base *base, unsigned ms)
{
    const struct timeval tv = ql_timeval(ms * QL_NS_PER_MS);

    return event_base_init_common_timeout(base, &tv);
}

int ql_http_client_new(const struct ql_http_client_config *config, struct ql_http_client **ret,
                       struct ql_err *err)
{
    ql_auto(ql_http_client_freep) struct ql_http_client *c = calloc(1, sizeof *c);
    int r;

    if (!c)
        return ql_fail_nomem(err);
    ql_http_prepare_process();
    c->base = config->base;
    c->config = *config;
    c->config.connecting_max = config->connecting_max ? config->connecting_max : CONNECTING_MAX;
    c->config.connect_ms = config->connect_ms ? config->connect_ms : CONNECT_MS;
    c->config.total_body_max = config->total_body_max ? config->total_body_max : TOTAL_BODY_MAX;
    TAILQ_INIT(&c->urgent);
    TAILQ_INIT(&c->patient);
    c->idle = common(c->base, QL_CLIENT_IDLE_MS);
    c->tick = common(c->base, QL_RATE_TICK_MS);
    c->grave_event = event_new(c->base, -1, 0, on_grave, c);
    if (!c->idle || !c->tick || !c->grave_event)
        return ql_fail_nomem(err);
    r = ql_resolver_new(c->base, &c->resolver, err);
    if (r < 0)
        return r;
    *ret = ql_steal(c);
    return QL_OK;
}

void ql_http_client_free(struct ql_http_client *c)
{
    if (!c)
        return;
    on_grave(-1, 0, c);
    free(c->grave);
    if (c->grave_event)
        event_free(c->grave_event);
    ql_resolver_free(c->resolver);
    free(c);
}
