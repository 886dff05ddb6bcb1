/* SPDX-License-Identifier: Apache-2.0 */
#include "post.h"

#include <event2/event.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "error.h"
#include "parse.h"
#include "server.h"

enum {
    HOST_MAX = 256,
    LATEST_MS = 600 * 1000
};

/** A URL, split. */
struct target {
    char host[HOST_MAX];
    uint16_t port;
    bool is_tls;
    const char *path; /* borrowed from the URL; "/" */
};

/** A call under way. */
struct posting {
    struct event_base *base;
    bool done;
    int error, status;
    char *answer;
    size_t answer_len;
    char text[256];
};

static int split(const char *url, bool plain_ok, struct target *ret, struct ql_err *err)
{
    const char *at, *end, *colon;
    uint64_t port;
    size_t len;

    ret->is_tls = strncmp(url, "https://", 8) == 0;
    if (!ret->is_tls && !(plain_ok && strncmp(url, "http://", 7) == 0))
        return ql_fail(err, QL_ERANGE, "URL %.100s: wanted https://HOST[:PORT]/...", url);
    at = url + (ret->is_tls ? 8 : 7);
    len = strcspn(at, "/?#");
    end = at + len;
    if (memchr(at, '@', len) || *end == '?' || *end == '#')
        return ql_fail(err, QL_ERANGE, "URL %.100s: wanted https://HOST[:PORT]/...", url);
    port = ret->is_tls ? 443 : 80;
    colon = *at == '[' ? memchr(at, ']', len) : at;
    colon = colon ? memchr(colon, ':', (size_t)(end - colon)) : NULL;
    if (colon && ql_parse_u64(colon + 1, (size_t)(end - colon - 1), 1, 65535, &port, err) < 0)
        return ql_fail_context(err, QL_ERANGE, "URL %.100s: port", url);
    len = (size_t)((colon ? colon : end) - at);
    if (len > 2 && *at == '[' && at[len - 1] == ']') {
        at++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof ret->host)
        return ql_fail(err, QL_ERANGE, "URL %.100s: host of 1 to %d characters wanted", url, HOST_MAX - 1);
    memcpy(ret->host, at, len);
    ret->host[len] = '\0';
    ret->port = (uint16_t)port;
    ret->path = *end ? end : "/";
    return QL_OK;
}

static int make_tls(const struct ql_post_config *config, struct ql_tls **ret, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    static const char *const none[] = {NULL};
    struct ql_tls_config tls = {.cert_file = config->cert_file,
                                .key_file = config->key_file,
                                .ca_files = config->ca_files ? config->ca_files : none};
    int r = config->key_password && *config->key_password
                ? ql_secret_new(config->key_password, strlen(config->key_password), &password, err)
                : QL_OK;

    tls.key_password = password;
    if (r == QL_OK)
        r = ql_tls_new(&tls, ret, err);
    if (r == QL_OK && config->system_cas && SSL_CTX_set_default_verify_paths(ql_tls_native(*ret)) != 1)
        r = ql_fail(err, QL_EIO, "the system's CAs cannot be read");
    return r;
}

static void on_answer(struct ql_http_result *result, void *arg)
{
    struct posting *p = arg;

    p->done = true;
    p->error = result->error;
    p->status = result->status;
    (void)snprintf(p->text, sizeof p->text, "%s", result->error_text ? result->error_text : "no answer");
    if (result->error == QL_OK && result->body) {
        p->answer = strndup((const char *)result->body, result->body_len);
        p->answer_len = p->answer ? strlen(p->answer) : 0;
    }
    (void)event_base_loopbreak(p->base); /* the loop also ends when nothing is left */
}

static int call(struct posting *p, const struct ql_post_config *config, const struct target *to,
                const struct ql_call *what, struct ql_err *err)
{
    const struct ql_http_client_config client_config = {.base = p->base};
    ql_auto(ql_tls_unrefp) struct ql_tls *tls = NULL;
    ql_auto(ql_http_client_freep) struct ql_http_client *client = NULL;
    ql_auto(ql_peer_freep) struct ql_peer *peer = NULL; /* freed before its client */
    struct ql_peer_config peer_config = {.host = to->host, .port = to->port, .check_host = true};
    int r = to->is_tls ? make_tls(config, &tls, err) : QL_OK;

    peer_config.tls = tls;
    if (r == QL_OK)
        r = ql_http_client_new(&client_config, &client, err);
    if (r == QL_OK)
        r = ql_peer_new(client, &peer_config, &peer, err);
    if (r == QL_OK)
        r = ql_peer_call(peer, what, on_answer, p, err);
    while (r == QL_OK && !p->done)
        if (event_base_loop(p->base, EVLOOP_ONCE) != 0)
            r = ql_fail(err, QL_EINTERNAL, "the event loop failed");
    return r;
}

int ql_post(const struct ql_post_config *config, const char *url, const void *body, size_t len,
            const char *type, int64_t end_ns, int *status, char **answer, size_t *answer_len,
            struct ql_err *err)
{
    const int64_t left_ms = (end_ns - ql_mono_ns()) / QL_NS_PER_MS;
    struct posting p = {0};
    struct target to;
    struct ql_call what = {.method = QL_POST,
                           .body = body,
                           .body_len = len,
                           .content_type = type,
                           .deadline_ms = left_ms < LATEST_MS ? (unsigned)left_ms : LATEST_MS,
                           .response_max = QL_POST_ANSWER_MAX};
    int r;

    if (left_ms <= 0)
        return ql_fail(err, QL_ETIMEOUT, "no time is left to post to %.100s", url);
    r = split(url, config->plain_ok, &to, err);
    if (r < 0)
        return r;
    what.path = to.path;
    p.base = event_base_new();
    if (!p.base)
        return ql_fail_nomem(err);
    r = call(&p, config, &to, &what, err);
    event_base_free(p.base);
    if (r == QL_OK && p.error != QL_OK)
        r = ql_fail(err, p.error, "%s:%u: %s", to.host, to.port, p.text);
    if (r == QL_OK) {
        *status = p.status;
        if (answer) {
            *answer = ql_steal(p.answer);
            *answer_len = p.answer_len;
        }
    }
    free(p.answer);
    return r;
}
