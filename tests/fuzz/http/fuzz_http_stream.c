/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole server on a loopback socket. What evhttp serves must be what the gate framed: the same number of requests,
 * each with the body length that the gate read. A difference would be a smuggled request.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate.h"
#include "loopback.h"
#include "server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    SEEN_MAX = 64,
    HEAD_MAX = 4096,
    BODY_MAX = 4096,
    INPUT_MAX = 32768,
    TURNS_MAX = 100000
};

static struct event_base *base;
static struct ql_http_server *server;
static size_t seen[SEEN_MAX];
static unsigned seen_count;

static void serve(struct ql_http_req *req, void *arg)
{
    size_t len;

    (void)arg;
    (void)ql_req_body(req, &len);
    (void)ql_req_query(req, "a");
    (void)ql_req_header(req, "Host");
    if (seen_count < SEEN_MAX)
        seen[seen_count++] = len;
    ql_req_reply(req, 200, ql_req_path(req), NULL);
}

static void missed(struct ql_http_req *req, enum ql_miss miss, void *arg)
{
    (void)miss;
    serve(req, arg);
}

static const struct ql_route routes[] = {
    {QL_POST, "/a/{id}", 0, 0, QL_WHO_PUBLIC, "a", 0, serve, ""},
    {0},
};

static void start(void)
{
    struct ql_http_server_config config = {.address = "127.0.0.1",
                                           .routes = routes,
                                           .on_miss = missed,
                                           .limits = {.header_max = HEAD_MAX, .body_max = BODY_MAX}};

    base = event_base_new();
    config.base = base;
    if (!base || ql_http_server_new(&config, &server, NULL) < 0)
        abort();
}

static void send_all(const uint8_t *data, size_t len)
{
    int fd = loopback_connect(ql_http_server_port(server));
    size_t at = 0;
    char sink[4096];
    ssize_t n;

    for (int turn = 0; turn < TURNS_MAX; turn++) {
        if (at < len) {
            n = send(fd, data + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            at = n > 0 ? at + (size_t)n : n < 0 && errno != EAGAIN ? len : at;
            if (at == len)
                shutdown(fd, SHUT_WR);
        } else if (len == 0 && turn == 0) {
            shutdown(fd, SHUT_WR);
        }
        event_base_loop(base, EVLOOP_NONBLOCK);
        n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            close(fd);
            event_base_loop(base, EVLOOP_NONBLOCK);
            return;
        }
    }
    abort(); /* the server neither answers nor closes */
}

/* What a strict reader finds in the stream. Returns false when it holds a chunked body, whose end is not followed. */
static bool frame(const uint8_t *data, size_t len, size_t *want, unsigned *count)
{
    size_t at = 0;

    for (*count = 0; at < len && *count < SEEN_MAX; ++*count) {
        struct ql_gate g;
        size_t start_at = at;

        ql_gate_begin(&g);
        while (!g.done) {
            const uint8_t *end = memchr(data + at, '\n', len - at);

            if (!end || end == data + at || end[-1] != '\r' ||
                (size_t)(end - data) + 1 - start_at > HEAD_MAX ||
                ql_gate_line(&g, (const char *)data + at, (size_t)(end - data) - at - 1) != 0)
                return true;
            at = (size_t)(end - data) + 1;
        }
        if (ql_gate_verdict(&g) != 0 || g.body_len > BODY_MAX)
            return true;
        if (g.chunked)
            return false;
        if (g.body_len > len - at)
            return true;
        want[*count] = g.body_len;
        at += g.body_len;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t want[SEEN_MAX];
    unsigned count;
    bool whole;

    if (len > INPUT_MAX)
        return 0;
    if (!base)
        start();
    seen_count = 0;
    send_all(data, len);
    whole = frame(data, len, want, &count);
    /* Fewer is right where the client asked to close; more, or others, never. */
    if (whole && seen_count > count)
        abort();
    for (unsigned i = 0; i < count && i < seen_count; i++)
        if (seen[i] != want[i])
            abort();
    if (ql_http_server_pending(server) != 0)
        abort();
    return 0;
}
