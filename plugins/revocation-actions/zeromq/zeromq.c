/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier `zeromq`: publishes each revocation on a PUB socket, in the form that agents of Keylime subscribe to: one
 * frame, the object {"msg", "signature"} as JSON. No CURVE, as there: the signature of the message is what counts.
 */
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include <quicklime/action.h>

enum {
    LINGER_MS = 1000 /* how long what was published may still go out at the end */
};

struct publisher {
    const struct ql_host *host;
    void *context, *socket;
};

static const char *setting(const struct ql_action_ctx *ctx, const char *name, const char *preset)
{
    const char *text = json_string_value(json_object_get(ctx->settings, name));

    return text && *text ? text : preset;
}

static int open_socket(void *plugin, const struct ql_action_ctx *ctx, struct ql_err *err)
{
    struct publisher *p = plugin;
    const char *ip = setting(ctx, "ip", "127.0.0.1");
    char endpoint[300];
    int linger = LINGER_MS, n;

    n = snprintf(endpoint, sizeof endpoint, strchr(ip, ':') ? "tcp://[%s]:%s" : "tcp://%s:%s", ip,
                 setting(ctx, "port", "8992"));
    if (n < 0 || (size_t)n >= sizeof endpoint)
        return p->host->fail(err, QL_ERANGE, "zmq_ip is too long");
    p->socket = zmq_socket(p->context, ZMQ_PUB);
    if (!p->socket)
        return p->host->fail(err, QL_ENOMEM, "zeromq: %s", zmq_strerror(zmq_errno()));
    if (strchr(ip, ':'))
        (void)zmq_setsockopt(p->socket, ZMQ_IPV6, &(int){1}, sizeof(int)); /* else bind fails, and says so */
    (void)zmq_setsockopt(p->socket, ZMQ_LINGER, &linger, sizeof linger);   /* the worst is a slow end */
    if (zmq_bind(p->socket, endpoint) != 0) {
        int why = zmq_errno();

        (void)zmq_close(p->socket); /* nothing was sent */
        p->socket = NULL;
        return p->host->fail(err, QL_EAGAIN, "zeromq: %s: %s", endpoint, zmq_strerror(why));
    }
    return 0;
}

static int publish(void *plugin, const struct ql_event *event, const struct ql_action_ctx *ctx,
                   struct ql_err *err)
{
    struct publisher *p = plugin;
    json_t *j = json_pack("{s:s%, s:s}", "msg", (const char *)event->message, event->message_len, "signature",
                          event->signature);
    char *text = j ? json_dumps(j, 0) : NULL;
    int sent;

    (void)ctx;
    json_decref(j);
    if (!text)
        return p->host->fail(err, QL_ENOMEM, "out of memory");
    sent = zmq_send(p->socket, text, strlen(text), ZMQ_DONTWAIT);
    free(text);
    return sent < 0 ? p->host->fail(err, QL_EAGAIN, "zeromq: %s", zmq_strerror(zmq_errno())) : 0;
}

static int start(const struct ql_host *host, const struct ql_options *options, void **plugin,
                 struct ql_err *err)
{
    struct publisher *p = calloc(1, sizeof *p);

    (void)options;
    if (p)
        p->context = zmq_ctx_new();
    if (!p || !p->context) {
        free(p);
        return host->fail(err, QL_ENOMEM, "out of memory");
    }
    p->host = host;
    *plugin = p;
    return 0;
}

static void stop(void *plugin)
{
    struct publisher *p = plugin;

    if (p->socket)
        (void)zmq_close(p->socket); /* what lingers goes out in zmq_ctx_term() */
    (void)zmq_ctx_term(p->context); /* at the end */
    free(p);
}

static const struct ql_action zeromq = {
    .head = {.size = sizeof(struct ql_action),
             .kind = QL_KIND_ACTION,
             .name = "zeromq",
             .flags = QL_SITE_VERIFIER},
    .run = publish,
    .open = open_socket,
};
static const struct ql_component *const components[] = {&zeromq.head, NULL};

QL_PLUGIN(.name = "zeromq", .version = "0.1.0", .license = "Apache-2.0",
          .summary = "publishes revocations over ZeroMQ", .components = components, .init = start,
          .fini = stop);
