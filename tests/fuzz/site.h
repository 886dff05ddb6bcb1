/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file site.h
 * A daemon's own routes on a loopback socket, for fuzz targets: one input is one request.
 *
 * First byte: the route, by its number in the table. Second byte: bit 0 says JSON, the next two choose what stands in
 * the path's variable segments. The rest is the body, or the query of a GET.
 */
#pragma once
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "loopback.h"
#include "server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    SITE_ROUTES_MAX = 64,
    SITE_INPUT_MAX = 256 * 1024,
    SITE_TURNS_MAX = 1000000
};

static struct event_base *site_base;
static struct ql_http_server *site_server;
static struct ql_route site_routes[SITE_ROUTES_MAX + 1];
static size_t site_route_count;

static void site_must(bool ok)
{
    if (!ok)
        abort();
}

/* Anyone may call anything here: what stands behind the doors is looked at, not the doors. */
static void site_open(const struct ql_route *routes, const unsigned *versions, ql_miss_handler on_miss,
                      void *arg)
{
    struct ql_http_server_config config = {.address = "127.0.0.1",
                                           .routes = site_routes,
                                           .versions = versions,
                                           .arg = arg,
                                           .on_miss = on_miss,
                                           .slash_optional = true};

    ql_log_setup("fuzz", QL_INFO, QL_LOG_LOGFMT);
    site_must(ql_log_open("/dev/null", NULL) == QL_OK);
    for (; routes->pattern; routes++) {
        site_must(site_route_count < SITE_ROUTES_MAX);
        site_routes[site_route_count] = *routes;
        site_routes[site_route_count++].who = QL_WHO_PUBLIC;
    }
    config.base = site_base;
    site_must(ql_http_server_new(&config, &site_server, NULL) == QL_OK);
}

static const char *site_method(unsigned method)
{
    return method == QL_GET ? "GET" : method == QL_POST ? "POST" : method == QL_PUT ? "PUT" : "DELETE";
}

static void site_path(const struct ql_route *route, const char *segment, struct ql_buf *out)
{
    if (route->first)
        ql_buf_addf(out, "/v%u.%u", route->last >> 8, route->last & 255);
    for (const char *p = route->pattern; *p; p++) {
        if (*p == '{') {
            ql_buf_add_text(out, segment);
            p = strchr(p, '}');
        } else {
            ql_buf_add(out, p, 1);
        }
    }
}

static void site_query(const uint8_t *data, size_t len, struct ql_buf *out)
{
    ql_buf_add_text(out, "?");
    for (size_t i = 0; i < len && i < 8192; i++)
        if (data[i] > ' ' && data[i] < 127 && data[i] != '#')
            ql_buf_add_u8(out, data[i]);
        else
            ql_buf_addf(out, "%%%02x", data[i]);
}

/* Send, turn the loop, and read until the server closes. Every request has an answer. */
static void site_talk(const struct ql_buf *request, void (*turn)(void))
{
    int fd = loopback_connect(ql_http_server_port(site_server));
    size_t at = 0, got = 0;
    char head[16] = "", sink[16384];

    for (int i = 0; i < SITE_TURNS_MAX; i++) {
        ssize_t n;

        if (at < request->len) {
            n = send(fd, request->data + at, request->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            at = n > 0 ? at + (size_t)n : n < 0 && errno != EAGAIN ? request->len : at;
        }
        event_base_loop(site_base, EVLOOP_NONBLOCK);
        if (turn)
            turn();
        n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            close(fd);
            event_base_loop(site_base, EVLOOP_NONBLOCK);
            site_must(strncmp(head, "HTTP/1.1 ", 9) == 0 && ql_http_server_pending(site_server) == 0);
            return;
        }
        for (ssize_t k = 0; k < n; k++, got++)
            if (got < sizeof head - 1)
                head[got] = sink[k];
    }
    abort(); /* neither answered nor closed */
}

static int site_input(const uint8_t *data, size_t len, void (*turn)(void))
{
    static const char *const segments[] = {"a1", "d432fbb3-d2f1-4a97-9ef7-75bd81c00000", "%2e%2e",
                                           "~!*'();:@&=+$,"};
    ql_auto_buf struct ql_buf request = ql_buf_init(4 * (size_t)SITE_INPUT_MAX);
    const struct ql_route *route;

    if (len < 2 || len > SITE_INPUT_MAX)
        return 0;
    route = &site_routes[data[0] % site_route_count];
    ql_buf_addf(&request, "%s ", site_method(route->method));
    site_path(route, segments[data[1] >> 1 & 3], &request);
    if (route->method == QL_GET)
        site_query(data + 2, len - 2, &request);
    ql_buf_addf(&request, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    if (data[1] & 1)
        ql_buf_add_text(&request, "Content-Type: application/json\r\n");
    if (route->method != QL_GET) {
        ql_buf_addf(&request, "Content-Length: %zu\r\n\r\n", len - 2);
        ql_buf_add(&request, data + 2, len - 2);
    } else {
        ql_buf_add_text(&request, "\r\n");
    }
    site_talk(&request, turn);
    return 0;
}
