/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "server.h"
#include "tenant.h"
#include "tlsdir.h"
#include "version.h"

static const unsigned our_versions[] = {
    QL_API(2, 0), QL_API(2, 1), QL_API(2, 2), QL_API(2, 3), QL_API(2, 4), QL_API(2, 5), QL_API(2, 6), 0,
};

int ql_tenant_open(struct ql_tenant *t, struct ql_err *err)
{
    struct ql_tls_paths paths = {0};
    struct ql_http_client_config config = {0};
    int r;

    r = ql_tls_paths_resolve(t->config, "tenant", t->state_dir, NULL, QL_TLS_CLIENT, &paths, err);
    if (r == QL_OK)
        r = ql_tls_from_paths(&paths, QL_TLS_CLIENT, QL_CLIENT_CERT_NONE, &t->tls, err);
    ql_tls_paths_done(&paths);
    if (r < 0)
        return r;
    t->base = event_base_new();
    if (!t->base)
        return ql_fail_nomem(err);
    config.base = t->base;
    return ql_http_client_new(&config, &t->client, err);
}

void ql_tenant_close(struct ql_tenant *t)
{
    ql_peer_free(t->registrar.peer);
    ql_peer_free(t->verifier.peer);
    ql_peer_free(t->agent.peer);
    ql_http_client_free(t->client);
    ql_tls_unref(t->tls);
    if (t->base)
        event_base_free(t->base);
}

void ql_reply_done(struct ql_reply *r)
{
    json_decref(r->body);
    free(r->text);
    *r = (struct ql_reply){0};
}

/** A call that is waited for. */
struct waiting {
    struct event_base *base;
    struct ql_reply reply;
    struct ql_err err;
    int result;
};

static void on_done(struct ql_http_result *result, void *arg)
{
    struct waiting *w = arg;

    w->result = result->error;
    if (result->error != QL_OK) {
        ql_fail(&w->err, result->error, "%s", result->error_text ? result->error_text : "no answer");
    } else {
        w->reply.status = result->status;
        w->reply.text = strndup(result->body ? (const char *)result->body : "", result->body_len);
        /* Not JSON is no error here: the status alone may say enough. */
        if (ql_json_parse_object((const char *)result->body, result->body_len, QL_TENANT_RESPONSE_MAX,
                                 &w->reply.body, NULL) < 0)
            w->reply.body = NULL;
    }
    event_base_loopbreak(w->base);
}

static int open_peer(struct ql_tenant *t, struct ql_link *l, struct ql_err *err)
{
    struct ql_peer_config config = {.host = l->host, .port = l->port, .tls = t->tls};

    return l->peer ? QL_OK : ql_peer_new(t->client, &config, &l->peer, err);
}

int ql_link_call(struct ql_tenant *t, struct ql_link *l, unsigned method, const char *path,
                 const json_t *body, struct ql_reply *ret, struct ql_err *err)
{
    ql_auto_free char *text = body ? ql_json_text_spaced(body) : NULL;
    struct waiting w = {.base = t->base, .err = QL_ERR_INIT, .result = QL_EINTERNAL};
    struct ql_call call = {
        .method = method,
        .path = path,
        .body = text,
        .body_len = text ? strlen(text) : 0,
        .content_type = text ? "application/json" : NULL,
        .deadline_ms = (unsigned)(ql_config_float(t->config, "tenant", "request_timeout") * 1000),
        .response_max = QL_TENANT_RESPONSE_MAX,
    };
    int r;

    if (body && !text)
        return ql_fail_nomem(err);
    r = open_peer(t, l, err);
    if (r == QL_OK)
        r = ql_peer_call(l->peer, &call, on_done, &w, err);
    if (r < 0)
        return r;
    event_base_dispatch(t->base);
    if (w.result < 0) {
        ql_reply_done(&w.reply);
        return ql_fail(err, w.result, "%s %s:%u: %s", l->what, l->host, l->port, w.err.text);
    }
    *ret = w.reply;
    return QL_OK;
}

int ql_link_negotiate(struct ql_tenant *t, struct ql_link *l, struct ql_err *err)
{
    struct ql_reply reply = {0};
    char text[8];
    int r;

    if (l->version != 0)
        return QL_OK;
    r = ql_link_call(t, l, QL_GET, "/version", NULL, &reply, err);
    if (r < 0)
        return r;
    if (reply.status == 200 && reply.body)
        r = ql_api_negotiate(our_versions, json_object_get(reply.body, "results"), 2, &l->version, err);
    else
        l->version = QL_API_NEWEST;
    if (r == QL_OK)
        ql_say_info("Using API version %s for %s communication", ql_api_text(l->version, text), l->what);
    else if (l == &t->agent)
        ql_say_error("Agent %s has no compatible API version", t->agent_id);
    ql_reply_done(&reply);
    return r;
}

int ql_link_callf(struct ql_tenant *t, struct ql_link *l, unsigned method, const json_t *body,
                  struct ql_reply *ret, struct ql_err *err, const char *fmt, ...)
{
    char path[8192], version[8];
    va_list ap;
    int wrote, r = ql_link_negotiate(t, l, err);
    size_t at;

    if (r < 0)
        return r;
    at = (size_t)snprintf(path, sizeof path, "/v%s", ql_api_text(l->version, version));
    va_start(ap, fmt);
    wrote = vsnprintf(path + at, sizeof path - at, fmt, ap);
    va_end(ap);
    if (wrote < 0 || (size_t)wrote >= sizeof path - at)
        return ql_fail(err, QL_ELIMIT, "path of a request is longer than %zu characters", sizeof path - 1);
    return ql_link_call(t, l, method, path, body, ret, err);
}

int ql_link_agent(struct ql_tenant *t, const char *mtls_cert, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    struct ql_peer_config config = {.host = t->agent.host, .port = t->agent.port, .tls = t->tls};
    bool plain = mtls_cert && strcmp(mtls_cert, "disabled") == 0;
    int r;

    if (plain && ql_config_bool(t->config, "tenant", "enable_agent_mtls"))
        return ql_fail(err, QL_EACCES, "agent %s has mTLS disabled, but enable_agent_mtls asks for it",
                       t->agent_id);
    if (plain) {
        ql_say_warning("Warning: mTLS for %s is disabled: the agent's answers can be forged", t->agent_name);
        config.tls = NULL;
    } else if (mtls_cert) {
        r = ql_cert_from_any(mtls_cert, strlen(mtls_cert), &cert, err);
        if (r < 0)
            return ql_fail_context(err, r, "mtls_cert of agent %s", t->agent_id);
        config.pin = ql_cert_der(cert, &config.pin_len);
    }
    return ql_peer_new(t->client, &config, &t->agent.peer, err);
}

/* Seconds before the next try: constant, or growing by powers (spec/server.md 3.3); never more than an hour. */
static double retry_wait(struct ql_tenant *t, unsigned tries)
{
    double interval = ql_config_float(t->config, "tenant", "retry_interval"), wait = interval;

    if (ql_config_bool(t->config, "tenant", "exponential_backoff") && interval > 1)
        for (unsigned i = 1; i < tries && wait < 3600; i++)
            wait *= interval;
    return wait < 3600 ? wait : 3600;
}

bool ql_tenant_wait(struct ql_tenant *t, unsigned tries)
{
    double wait = retry_wait(t, tries);
    struct timespec pause = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (double)(time_t)wait) * 1e9)};

    if (tries >= (unsigned)ql_config_int(t->config, "tenant", "max_retries"))
        return false;
    while (nanosleep(&pause, &pause) != 0)
        ; /* a signal shortens it: sleep what is left */
    return true;
}
