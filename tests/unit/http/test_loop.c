/* SPDX-License-Identifier: Apache-2.0 */
/* Strangers wait for everybody else: the loop of loop.h by itself, and a server in it. */
#include "harness.h"
#include "loop.h"
#include "peer.h"

enum {
    STRANGERS = 40,
    WORK_MS = 1 /* of each */
};

struct order {
    unsigned calls, known_at, known_calls;
    int pipe[2];
};

static void on_known(evutil_socket_t fd, short what, void *arg)
{
    struct order *o = arg;

    (void)fd;
    (void)what;
    o->known_calls++;
    o->known_at = o->calls;
}

static void on_stranger(evutil_socket_t fd, short what, void *arg)
{
    struct order *o = arg;

    (void)fd;
    (void)what;
    if (o->calls++ == 0)
        assert_int_equal(write(o->pipe[1], "x", 1), 1);
    for (int64_t end = ql_mono_ns() + WORK_MS * QL_NS_PER_MS; ql_mono_ns() < end;)
        continue;
}

static void what_is_due_does_not_wait_for_strangers(void **state)
{
    struct event_base *base = ql_loop_new(0);
    struct event *strangers[STRANGERS], *known;
    struct order o = {0};

    (void)state;
    assert_non_null(base);
    assert_int_equal(pipe(o.pipe), 0);
    known = event_new(base, o.pipe[0], EV_READ, on_known, &o);
    event_add(known, NULL);
    for (unsigned i = 0; i < STRANGERS; i++) {
        strangers[i] = event_new(base, -1, 0, on_stranger, &o);
        ql_loop_set_priority(strangers[i], QL_PRIORITY_STRANGERS);
        event_active(strangers[i], EV_TIMEOUT, 0);
    }
    while (o.calls < STRANGERS)
        event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(o.known_calls, 1);
    assert_in_range(o.known_at, 1, 4);
    for (unsigned i = 0; i < STRANGERS; i++)
        event_free(strangers[i]);
    event_free(known);
    close(o.pipe[0]);
    close(o.pipe[1]);
    event_base_free(base);
}

static void elsewhere_nobody_is_put_last(void **state)
{
    struct event_base *base = event_base_new();
    struct event *ev = event_new(base, -1, 0, on_known, NULL);
    int before = event_get_priority(ev);

    (void)state;
    ql_loop_set_priority(ev, QL_PRIORITY_STRANGERS);
    assert_int_equal(event_get_priority(ev), before);
    event_free(ev);
    event_base_free(base);
}

struct world {
    struct pki pki;
    struct event_base *base;
    struct ql_http_server *server;
    struct ql_tls *server_tls;
    int priority; /* of the event that brought the last request */
};

static void serve(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;
    const struct event *running = event_base_get_running_event(w->base);

    assert_non_null(running);
    w->priority = event_get_priority(running);
    ql_req_reply_raw(req, 200, "text/plain", "fine", 4);
}

static void serve_large(struct ql_http_req *req, void *arg)
{
    static const char data[4 * QL_LARGE_ANSWER];

    (void)arg;
    ql_req_reply_raw(req, 200, "application/octet-stream", data, sizeof data);
}

static const struct ql_route routes[] = {
    {QL_POST, "/ok", 0, 0, QL_WHO_PUBLIC, "ok", 0, serve, ""},
    {QL_GET, "/large", 0, 0, QL_WHO_PUBLIC, "large", 0, serve_large, ""},
    {0},
};

static void ask(struct world *w, const char *name)
{
    struct ql_http_client_config config = {.base = w->base};
    struct ql_tls *tls = pki_tls(&w->pki, false, name, "ca", QL_CLIENT_CERT_NONE);
    struct ql_http_client *client;
    static char body[50000]; /* does not come in one record */
    struct outcome o = {0};
    struct ql_peer *p;

    memset(body, 'x', sizeof body - 1);
    assert_int_equal(ql_http_client_new(&config, &client, NULL), QL_OK);
    p = peer_new(client, ql_http_server_port(w->server), tls);
    call(p, QL_POST, "/ok", body, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_int_equal(o.status, 200);
    ql_peer_free(p);
    ql_http_client_free(client);
    ql_tls_unref(tls);
}

static void a_certificate_that_verifies_ends_the_waiting(void **state)
{
    struct world w = {.priority = -1};
    struct ql_http_server_config config = {.address = "127.0.0.1", .routes = routes, .arg = &w};

    (void)state;
    pki_open(&w.pki);
    config.base = w.base = ql_loop_new(0);
    config.tls = w.server_tls = pki_tls(&w.pki, true, "server", "ca", QL_CLIENT_CERT_OPTIONAL);
    assert_int_equal(ql_http_server_new(&config, &w.server, NULL), QL_OK);
    ask(&w, NULL);
    assert_int_equal(w.priority, QL_PRIORITY_STRANGERS);
    ask(&w, "client");
    assert_int_equal(w.priority, QL_PRIORITY_KNOWN);
    ql_http_server_free(w.server);
    ql_tls_unref(w.server_tls);
    event_base_free(w.base);
    pki_close(&w.pki);
}

static void the_rest_of_a_large_answer_waits_for_what_is_due(void **state)
{
    struct world w = {.priority = -1};
    struct ql_http_server_config config = {.address = "127.0.0.1", .routes = routes, .arg = &w};
    struct ql_http_client_config client_config = {0};
    struct ql_http_client *client;
    struct ql_peer *p;

    (void)state;
    client_config.base = config.base = w.base = ql_loop_new(0);
    assert_int_equal(ql_http_server_new(&config, &w.server, NULL), QL_OK);
    assert_int_equal(ql_http_client_new(&client_config, &client, NULL), QL_OK);
    p = peer_new(client, ql_http_server_port(w.server), NULL);
    for (unsigned round = 0; round < 2; round++) {
        struct outcome large = {0}, small = {0};

        call(p, QL_GET, "/large", NULL, &large);
        assert_true(run_until(w.base, &large.done, 1, 5000));
        assert_int_equal(large.status, 200);
        assert_int_equal(bufferevent_get_priority(p->bev), QL_PRIORITY_STRANGERS);
        call(p, QL_POST, "/ok", "x", &small);
        assert_true(run_until(w.base, &small.done, 1, 5000));
        assert_int_equal(bufferevent_get_priority(p->bev), QL_PRIORITY_KNOWN);
    }
    ql_peer_free(p);
    ql_http_client_free(client);
    ql_http_server_free(w.server);
    event_base_free(w.base);
}

static void without_tls_all_are_strangers_and_keep_their_connection(void **state)
{
    struct world w = {.priority = -1};
    struct ql_http_server_config config = {.address = "127.0.0.1", .routes = routes, .arg = &w};
    char answer[1024];
    bool closed;
    int fd;

    (void)state;
    config.base = w.base = ql_loop_new(0);
    assert_int_equal(ql_http_server_new(&config, &w.server, NULL), QL_OK);
    fd = raw_connect(ql_http_server_port(w.server));
    raw_send(fd, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_true(raw_read(w.base, fd, answer, sizeof answer, "fine", 5000, &closed) > 0);
    assert_null(strstr(answer, "Connection: close"));
    assert_int_equal(w.priority, QL_PRIORITY_STRANGERS);
    close(fd);
    ql_http_server_free(w.server);
    event_base_free(w.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_due_does_not_wait_for_strangers),
        cmocka_unit_test(elsewhere_nobody_is_put_last),
        cmocka_unit_test(a_certificate_that_verifies_ends_the_waiting),
        cmocka_unit_test(the_rest_of_a_large_answer_waits_for_what_is_due),
        cmocka_unit_test(without_tls_all_are_strangers_and_keep_their_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
