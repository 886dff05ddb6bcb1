/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "peer.h"

enum {
    DEADLINE_MS = 60000,
    PATH_MAX_LEN = 8192
};

#define RESPONSE_MAX ((size_t)1024 * 1024)

static void free_peer(struct ql_peer *p)
{
    ql_tls_unref(p->tls);
    SSL_SESSION_free(p->session);
    free(p->resolved);
    free(p->host);
    free(p->host_header);
    free(p->pin);
    free(p);
}

void ql_peer_unref(struct ql_peer *p)
{
    if (--p->refs == 0 && p->dead)
        free_peer(p);
}

static bool is_path(const char *path)
{
    size_t len = strlen(path);

    if (len > PATH_MAX_LEN || path[0] != '/')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)path[i] <= ' ' || (unsigned char)path[i] >= 0x7f)
            return false;
    return true;
}

static bool is_header_value(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

/* The call and copies of what it points to, in one piece of memory. */
static struct ql_http_call *copy_call(const struct ql_call *from)
{
    size_t path = strlen(from->path) + 1, type = from->content_type ? strlen(from->content_type) + 1 : 0;
    size_t body = from->body ? from->body_len : 0, need;
    struct ql_http_call *call;

    if (__builtin_add_overflow(body, sizeof *call + path + type, &need))
        return NULL;
    call = malloc(need);
    if (!call)
        return NULL;
    memset(call, 0, sizeof *call);
    call->what = *from;
    call->what.path = memcpy(call->data, from->path, path);
    if (type)
        call->what.content_type = memcpy(call->data + path, from->content_type, type);
    if (from->body)
        call->what.body = body ? memcpy(call->data + path + type, from->body, body) : "";
    call->what.body_len = body;
    if (call->what.deadline_ms == 0)
        call->what.deadline_ms = DEADLINE_MS;
    if (call->what.response_max == 0)
        call->what.response_max = RESPONSE_MAX;
    return call;
}

int ql_peer_call(struct ql_peer *p, const struct ql_call *what, ql_call_done done, void *arg,
                 struct ql_err *err)
{
    struct ql_http_call *call;
    struct timeval tv;

    if (p->dead)
        return ql_fail(err, QL_ECLOSED, "%s: peer is closed", p->host);
    if (!ql_peer_command(what->method) || !is_path(what->path) ||
        (what->content_type && !is_header_value(what->content_type)) || what->response_max > SSIZE_MAX)
        return ql_fail(err, QL_ERANGE, "%s: a request that cannot be sent", p->host);
    if (p->queued >= QL_PEER_QUEUE_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: %d calls wait already", p->host, QL_PEER_QUEUE_MAX);
    call = copy_call(what);
    if (!call)
        return ql_fail_nomem(err);
    call->peer = p;
    call->done = done;
    call->arg = arg;
    call->started_ns = ql_mono_ns();
    tv = ql_timeval(call->what.deadline_ms * QL_NS_PER_MS);
    evtimer_assign(&call->timer, p->client->base, ql_peer_on_deadline, call);
    event_add(&call->timer, &tv);
    TAILQ_INSERT_TAIL(call->what.background ? &p->background : &p->queue, call, link);
    p->queued++;
    ql_peer_next(p);
    return QL_OK;
}

int ql_peer_new(struct ql_http_client *c, const struct ql_peer_config *config, struct ql_peer **ret,
                struct ql_err *err)
{
    struct ql_peer *p = calloc(1, sizeof *p);
    const char *host = config->host;
    int r;

    if (!p)
        return ql_fail_nomem(err);
    p->client = c;
    p->port = config->port;
    p->check_host = config->check_host;
    p->unframed_ok = config->unframed_ok;
    p->body_fd = -1;
    p->tls = ql_tls_ref(config->tls);
    p->numeric = ql_is_numeric(host);
    TAILQ_INIT(&p->queue);
    TAILQ_INIT(&p->background);
    evtimer_assign(&p->event, c->base, ql_peer_on_event, p);
    p->host = strdup(host);
    r = asprintf(&p->host_header, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, config->port);
    if (r < 0)
        p->host_header = NULL;
    if (config->pin) {
        p->pin = malloc(config->pin_len ? config->pin_len : 1);
        if (p->pin)
            memcpy(p->pin, config->pin, config->pin_len);
        p->pin_len = config->pin_len;
    }
    if (!p->host || !p->host_header || (config->pin && !p->pin)) {
        free_peer(p);
        return ql_fail_nomem(err);
    }
    if (*host == '\0' || strlen(host) > 255 || !is_header_value(host) || strpbrk(host, " /@?#")) {
        free_peer(p);
        return ql_fail(err, QL_ERANGE, "not a host name");
    }
    *ret = p;
    return QL_OK;
}

void ql_peer_free(struct ql_peer *p)
{
    struct ql_http_call *call;

    if (!p || p->dead)
        return;
    p->dead = true;
    p->refs++;
    call = p->active;
    p->active = NULL;
    ql_peer_retire(p);
    ql_peer_leave_queue(p);
    ql_answer_reset(p);
    if (p->resolving)
        ql_resolve_cancel(p->resolving);
    p->resolving = NULL;
    for (; call || (call = ql_peer_pick(p)); call = NULL)
        ql_peer_finish_failed(p, call, QL_ECLOSED, "peer was closed");
    ql_peer_unref(p);
}

void ql_peer_reset(struct ql_peer *p, struct ql_tls *tls)
{
    struct ql_tls *old = p->tls;

    p->tls = ql_tls_ref(tls);
    ql_tls_unref(old);
    SSL_SESSION_free(p->session);
    p->session = NULL;
    p->no_resume_before_ns = 0;
    /* A call under way ends on the connection that it has; the next one finds this marked. */
    if (p->evcon && p->active)
        p->closed = true;
    else if (p->evcon)
        ql_peer_retire(p);
}
