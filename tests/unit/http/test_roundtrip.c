/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

static const unsigned versions[] = {QL_API(2, 0), QL_API(2, 5), QL_API(2, 6), 0};

struct world {
    struct pki pki;
    struct event_base *base;
    struct ql_http_server *server;
    struct ql_http_client *client;
    struct ql_tls *server_tls, *client_tls;
};

static void say_hello(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply(req, 200, NULL, json_pack("{s:[s,s]}", "uuids", "a", "b"));
}

static void echo(struct ql_http_req *req, void *arg)
{
    size_t len;
    const uint8_t *body = ql_req_body(req, &len);

    (void)arg;
    ql_req_reply_raw(req, 200, "text/plain", body, len);
}

static void show(struct ql_http_req *req, void *arg)
{
    const char *verifier = ql_req_query(req, "verifier");

    (void)arg;
    ql_req_reply(req, 201, NULL,
                 json_pack("{s:s, s:s, s:i, s:s, s:s?, s:b}", "id", ql_req_param(req, "agent_id"), "path",
                           ql_req_path(req), "version", (int)ql_req_version(req), "verifier",
                           verifier ? verifier : "(none)", "client", ql_req_client_name(req), "admin",
                           ql_req_is_admin(req)));
}

static const struct ql_route routes[] = {
    {QL_GET, "/version", 0, 0, QL_WHO_PUBLIC, "read_version", 0, say_hello, "versions"},
    {QL_GET, "/agents/", QL_API(2, 0), QL_API(2, 6), QL_WHO_ADMIN, "list_agents", 0, say_hello, "list"},
    {QL_GET, "/agents/{agent_id}", QL_API(2, 0), QL_API(2, 6), QL_WHO_TLS, "read_agent", 0, show, "one"},
    {QL_POST, "/echo", QL_API(2, 0), QL_API(2, 6), QL_WHO_CLIENT, "echo", 4 * 1024 * 1024, echo, "echo"},
    {0},
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct ql_http_client_config client = {0};
    struct ql_http_server_config server = {
        .address = "127.0.0.1", .routes = routes, .versions = versions, .slash_optional = true};

    pki_open(&w->pki);
    w->base = event_base_new();
    w->server_tls = pki_tls(&w->pki, true, "server", "ca", QL_CLIENT_CERT_OPTIONAL);
    w->client_tls = pki_tls(&w->pki, false, "client", "ca", QL_CLIENT_CERT_NONE);
    server.base = client.base = w->base;
    server.tls = w->server_tls;
    assert_int_equal(ql_http_server_new(&server, &w->server, NULL), QL_OK);
    assert_int_equal(ql_http_client_new(&client, &w->client, NULL), QL_OK);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    ql_http_client_free(w->client);
    ql_http_server_free(w->server);
    ql_tls_unref(w->server_tls);
    ql_tls_unref(w->client_tls);
    event_base_free(w->base);
    pki_close(&w->pki);
    free(w);
    return 0;
}

static void a_request_is_answered_over_mutual_tls(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), w->client_tls);
    struct outcome o = {0};

    call(p, QL_GET, "/v2.6/agents/", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.text, "");
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body,
                        "{\"code\": 200, \"status\": \"Success\", \"results\": {\"uuids\": [\"a\", \"b\"]}}");
    assert_string_equal(o.type, "application/json");
    assert_string_equal(o.request_id, "");
    ql_peer_free(p);
}

static void twenty_requests_in_turn_do_not_wait_for_delayed_acks(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), w->client_tls);
    struct outcome o = {0};
    unsigned sent = 1;
    int64_t best = INT64_MAX;

    call(p, QL_GET, "/version", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    /* With Nagle's algorithm no round can take less than 20 times 40 ms; a busy machine may spoil one or two. */
    for (int round = 0; round < 5 && best >= 400 * QL_NS_PER_MS; round++) {
        int64_t start = ql_mono_ns();

        for (int i = 0; i < 20; i++) {
            call(p, QL_POST, "/v2/echo", "{\"some\": \"body\"}", &o);
            assert_true(run_until(w->base, &o.done, ++sent, 5000));
            assert_int_equal(o.status, 200);
        }
        if (ql_mono_ns() - start < best)
            best = ql_mono_ns() - start;
    }
    assert_true(best < 400 * QL_NS_PER_MS);
    ql_peer_free(p);
}

static void path_query_and_identity_reach_the_handler(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), w->client_tls);
    struct outcome o = {0};

    call(p, QL_GET, "/v2/agents/a%20b/?bulk=1&verifier=x+y%21", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.body,
                        "{\"code\": 201, \"status\": \"Created\", \"results\": {\"id\": \"a%20b\", \"path\": "
                        "\"/v2/agents/a%20b/\", \"version\": 518, \"verifier\": \"x y!\", \"client\": "
                        "\"admin\", \"admin\": true}}");
    ql_peer_free(p);
}

static void a_large_body_comes_back_whole(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), w->client_tls);
    struct outcome o = {0};
    char *big = malloc(3000001);
    struct ql_call what = {
        .method = QL_POST, .path = "/v2.6/echo", .response_max = 4000000, .memfd_above = 1000};
    char *back = malloc(3000000);

    memset(big, 'x', 3000000);
    big[2999999] = 'y';
    what.body = big;
    what.body_len = 3000000;
    assert_int_equal(ql_peer_call(p, &what, on_outcome, &o, NULL), QL_OK);
    assert_true(run_until(w->base, &o.done, 1, 20000));
    assert_string_equal(o.text, "");
    assert_int_equal(o.len, 3000000);
    assert_true(o.fd >= 0);
    assert_int_equal(read(o.fd, back, 3000000), 3000000);
    assert_memory_equal(back, big, 3000000);
    assert_int_equal(fcntl(o.fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    close(o.fd);
    what.memfd_above = 0;
    assert_int_equal(ql_peer_call(p, &what, on_outcome, &o, NULL), QL_OK);
    assert_true(run_until(w->base, &o.done, 2, 20000));
    assert_int_equal(o.len, 3000000);
    assert_int_equal(o.fd, -1);
    free(big);
    free(back);
    ql_peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_answered_over_mutual_tls, open_world, close_world),
        cmocka_unit_test_setup_teardown(twenty_requests_in_turn_do_not_wait_for_delayed_acks, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(path_query_and_identity_reach_the_handler, open_world, close_world),
        cmocka_unit_test_setup_teardown(a_large_body_comes_back_whole, open_world, close_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
