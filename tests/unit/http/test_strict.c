/* SPDX-License-Identifier: Apache-2.0 */
/* The server over plain sockets: what it refuses, how, and that nothing of a refused request is served. */
#include "harness.h"

static const unsigned versions[] = {QL_API(2, 6), 0};

struct world {
    struct event_base *base;
    struct ql_http_server *server;
    unsigned served, posted;
};

static void serve(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;

    w->served++;
    ql_req_reply(req, 200, NULL, json_pack("{s:s}", "id", ql_req_id(req)));
}

static void echo(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;
    size_t len;
    const uint8_t *body = ql_req_body(req, &len);

    w->posted++;
    ql_req_reply_raw(req, 200, "text/plain", body, len);
}

static void header(struct ql_http_req *req, void *arg)
{
    const char *value = ql_req_header(req, "X-Role");

    (void)arg;
    ql_req_reply_raw(req, 200, "text/plain", value ? value : "(none)", strlen(value ? value : "(none)"));
}

static const struct ql_route routes[] = {
    {QL_GET, "/ok", 0, 0, QL_WHO_PUBLIC, "ok", 0, serve, ""},
    {QL_POST, "/echo", 0, 0, QL_WHO_PUBLIC, "echo", 100, echo, ""},
    {QL_POST, "/header", 0, 0, QL_WHO_PUBLIC, "header", 100, header, ""},
    {QL_GET, "/tls", 0, 0, QL_WHO_TLS, "tls", 0, serve, ""},
    {QL_GET, "/admin", 0, 0, QL_WHO_ADMIN, "list_agents", 0, serve, ""},
    {0},
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct ql_http_server_config config = {.address = "127.0.0.1",
                                           .routes = routes,
                                           .versions = versions,
                                           .arg = w,
                                           .slash_optional = true,
                                           .limits = {.header_max = 2048, .body_max = 1000}};

    w->base = event_base_new();
    config.base = w->base;
    assert_int_equal(ql_http_server_new(&config, &w->server, NULL), QL_OK);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    ql_http_server_free(w->server);
    event_base_free(w->base);
    free(w);
    return 0;
}

/* Send, read to the end. Returns the status. */
static int ask(struct world *w, const char *text, char *answer, size_t room, bool *closed)
{
    int fd = raw_connect(ql_http_server_port(w->server)), status = 0;

    raw_send(fd, text);
    raw_read(w->base, fd, answer, room, NULL, 150, closed);
    close(fd);
    if (strncmp(answer, "HTTP/1.", 7) == 0)
        status = atoi(answer + 9);
    return status;
}

static bool has_body(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    return end && end[4];
}

static void what_the_gate_refuses_is_answered_empty_and_closed(void **state)
{
    const struct {
        const char *text;
        int status;
    } cases[] = {
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", 400},
        {"POST /echo HTTP/1.1\r\nHost : x\r\nContent-Length: 5\r\n\r\nhello", 400},
        {"POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {"GET /ok HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400},
        {"GET /ok HTTP/1.1\nHost: x\n\n", 400},
        {"GET /ok HTTP/1.1\r\nHost: x\n\r\n", 400},
        {"\r\nGET /ok HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /ok%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET http://x/ok HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /ok HTTP/1.3\r\nHost: x\r\n\r\n", 505},
        {"PROPFIND /ok HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"PROPFIND /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-ID: a-b\r\n\r\n", 501},
        {"BREW /ok HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"GET /ok HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417},
        {"HEAD /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nGET", 400},
        {"\x16\x03\x01\x02\x05\x01\r\n", 400},
    };
    struct world *w = *state;
    char answer[4096];
    bool closed;

    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        int status = ask(w, cases[i].text, answer, sizeof answer, &closed);

        if (status != cases[i].status || has_body(answer) || !closed || !strstr(answer, "\r\nX-Request-ID: "))
            fail_msg("%s\ngives %s", cases[i].text, answer);
    }
    assert_int_equal(w->served + w->posted, 0);
    ask(w, "PROPFIND /nowhere HTTP/1.1\r\nHost: x\r\nX-Request-ID: a-b\r\n\r\n", answer, sizeof answer,
        &closed);
    assert_non_null(strstr(answer, "\r\nX-Request-ID: ab\r\n"));
}

static void a_nul_in_the_request_line_is_refused(void **state)
{
    struct world *w = *state;
    const char text[] = "GET /o\0k HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[1024];
    bool closed;

    assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), sizeof text - 1);
    raw_read(w->base, fd, answer, sizeof answer, NULL, 500, &closed);
    assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
    assert_true(closed);
    close(fd);
}

static void framework_answers_have_no_body_and_keep_the_connection(void **state)
{
    const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n", 404},
        {"GET /v9.9/ok HTTP/1.1\r\nHost: x\r\n\r\n", 404},
        {"POST /nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 404},
        {"PUT /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405},
        {"HEAD /ok HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"OPTIONS /ok HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"TRACE /ok HTTP/1.1\r\nHost: x\r\n\r\n", 405},
        {"PATCH /nosuch HTTP/1.1\r\nHost: x\r\n\r\n", 404},
        {"GET /tls HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    };
    struct world *w = *state;
    char answer[4096];
    bool closed;

    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        int status = ask(w, cases[i].text, answer, sizeof answer, &closed);

        if (status != cases[i].status || has_body(answer) || closed ||
            !strstr(answer, "\r\nX-Request-ID: \r\n"))
            fail_msg("%s\ngives %s", cases[i].text, answer);
    }
    ask(w, "PUT /ok HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer, &closed);
    assert_non_null(strstr(answer, "\r\nAllow: GET\r\n"));
    assert_int_equal(w->served, 0);
}

static void the_request_id_comes_back_cleaned(void **state)
{
    struct world *w = *state;
    char answer[4096];
    bool closed;

    assert_int_equal(ask(w, "GET /ok HTTP/1.1\r\nHost: x\r\nX-Request-ID: a-b_c;d\r\n\r\n", answer,
                         sizeof answer, &closed),
                     200);
    assert_non_null(strstr(answer, "\r\nX-Request-ID: ab_cd\r\n"));
    assert_non_null(
        strstr(answer, "{\"code\": 200, \"status\": \"Success\", \"results\": {\"id\": \"ab_cd\"}}"));
}

static void heads_above_the_limit_are_refused_however_they_arrive(void **state)
{
    struct world *w = *state;
    char text[4096], answer[4096];
    bool closed;
    int fd;

    /* 2048 bytes pass, 2049 do not. */
    memset(text, 0, sizeof text);
    snprintf(text, sizeof text, "GET /ok HTTP/1.1\r\nHost: x\r\nX: %0*d\r\n\r\n", 2048 - 27 - 3 - 4, 1);
    assert_int_equal(strlen(text), 2048);
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 200);
    snprintf(text, sizeof text, "GET /ok HTTP/1.1\r\nHost: x\r\nX: %0*d\r\n\r\n", 2048 - 27 - 3 - 4 + 1, 1);
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 431);
    assert_true(closed && !has_body(answer));
    /* A line that never ends. */
    fd = raw_connect(ql_http_server_port(w->server));
    memset(text, 'a', 2500);
    text[2500] = '\0';
    raw_send(fd, text);
    raw_read(w->base, fd, answer, sizeof answer, NULL, 1000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 431 ", 13);
    close(fd);
}

static void a_head_in_single_bytes_is_read_like_one_in_a_piece(void **state)
{
    struct world *w = *state;
    const char *text =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /ok HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[4096];
    bool closed;

    for (const char *p = text; *p; p++) {
        char one[2] = {*p, '\0'};

        raw_send(fd, one);
        run_for(w->base, 1);
    }
    raw_read(w->base, fd, answer, sizeof answer, "results", 1000, &closed);
    assert_non_null(strstr(answer, "\r\n\r\nhelloHTTP/1.1 200 OK"));
    close(fd);
    /* The same in single bytes with a fault in the second head. */
    fd = raw_connect(ql_http_server_port(w->server));
    for (const char *p = "GET /ok HTTP/1.1\r\nHost: x\r\n\r\nGET /ok HTTP/1.1\r\nHost : x\r\n\r\n"; *p; p++) {
        char one[2] = {*p, '\0'};

        if (send(fd, one, 1, MSG_NOSIGNAL) != 1)
            break; /* refused before the end */
        run_for(w->base, 1);
    }
    raw_read(w->base, fd, answer, sizeof answer, NULL, 1000, &closed);
    assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(answer, "HTTP/1.1 400 Bad Request"));
    assert_int_equal(w->served, 2);
    close(fd);
}

static void bodies_above_the_limit_of_the_route_are_refused_before_they_are_read(void **state)
{
    struct world *w = *state;
    char text[1024], answer[4096];
    bool closed;

    snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n%0100d", 1);
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 200);
    snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n");
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 413);
    assert_true(closed && !has_body(answer));
    snprintf(text, sizeof text,
             "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n");
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 413);
    snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n");
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 413);
    assert_true(closed);
    assert_int_equal(w->posted, 1);
    /* What would be refused anyway is not read either. */
    snprintf(text, sizeof text, "POST /nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 404);
    assert_true(closed && !has_body(answer));
}

static void expectations_are_met_for_bodies_within_the_limit(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[1024];
    bool closed;

    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    raw_read(w->base, fd, answer, sizeof answer, "\r\n\r\n", 2000, &closed);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_send(fd, "hello");
    raw_read(w->base, fd, answer, sizeof answer, "hello", 2000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    close(fd);
}

static void chunked_bodies_are_read_and_trailers_are_not_headers(void **state)
{
    struct world *w = *state;
    char answer[4096];
    bool closed;

    assert_int_equal(
        ask(w,
            "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
            "0\r\n\r\n",
            answer, sizeof answer, &closed),
        200);
    assert_non_null(strstr(answer, "\r\n\r\nabcde"));
    assert_int_equal(
        ask(w,
            "POST /header HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
            "X-Role: admin\r\n\r\n",
            answer, sizeof answer, &closed),
        200);
    assert_non_null(strstr(answer, "\r\n\r\n(none)"));
}

static void chunk_framing_without_end_is_refused(void **state)
{
    static const char *const begins[] = {"", "3\r\nabc\r\n3;x=", "3\r\nabc\r\n0\r\nX-Trailer: "};
    struct world *w = *state;
    static char text[160 * 1024];
    char answer[4096];
    bool closed;

    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        int n = snprintf(text, sizeof text,
                         "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s", begins[i]);

        memset(text + n, '0', sizeof text - (size_t)n - 1);
        assert_int_equal(ask(w, text, answer, sizeof answer, &closed), 413);
        assert_true(closed);
    }
    assert_int_equal(w->posted, 0);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[8192], *at = answer;
    bool closed;

    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst"
                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecond"
                 "GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n"
                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nfourth"
                 "BREW / HTTP/1.1\r\nHost: x\r\n\r\n"
                 "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nnever");
    raw_read(w->base, fd, answer, sizeof answer, NULL, 2000, &closed);
    assert_true(closed);
    at = strstr(at, "first");
    assert_non_null(at);
    at = strstr(at, "second");
    assert_non_null(at);
    at = strstr(at, " 404 ");
    assert_non_null(at);
    at = strstr(at, "fourth");
    assert_non_null(at);
    at = strstr(at, " 501 ");
    assert_non_null(at);
    assert_null(strstr(at, "never"));
    assert_int_equal(w->posted, 3);
    close(fd);
}

static void old_clients_get_their_answer_and_a_closed_connection(void **state)
{
    struct world *w = *state;
    char answer[4096];
    bool closed;

    assert_int_equal(ask(w, "GET /ok HTTP/1.0\r\n\r\n", answer, sizeof answer, &closed), 200);
    assert_true(closed);
    assert_int_equal(
        ask(w, "GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", answer, sizeof answer, &closed),
        200);
    assert_true(closed);
}

static void a_client_that_has_closed_its_sending_side_gets_its_answer(void **state)
{
    struct world *w = *state;
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[4096];
    bool closed;

    raw_send(fd, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    raw_read(w->base, fd, answer, sizeof answer, NULL, 2000, &closed);
    assert_non_null(strstr(answer, "Success"));
    assert_true(closed);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
        TEST(what_the_gate_refuses_is_answered_empty_and_closed),
        TEST(a_nul_in_the_request_line_is_refused),
        TEST(framework_answers_have_no_body_and_keep_the_connection),
        TEST(the_request_id_comes_back_cleaned),
        TEST(heads_above_the_limit_are_refused_however_they_arrive),
        TEST(a_head_in_single_bytes_is_read_like_one_in_a_piece),
        TEST(bodies_above_the_limit_of_the_route_are_refused_before_they_are_read),
        TEST(expectations_are_met_for_bodies_within_the_limit),
        TEST(chunked_bodies_are_read_and_trailers_are_not_headers),
        TEST(chunk_framing_without_end_is_refused),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(old_clients_get_their_answer_and_a_closed_connection),
        TEST(a_client_that_has_closed_its_sending_side_gets_its_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
