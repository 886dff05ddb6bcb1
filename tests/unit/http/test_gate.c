/* SPDX-License-Identifier: Apache-2.0 */
#include "gate.h"
#include "harness.h"

/* Feed a head; lines end in CR LF. Returns the first refusal, the verdict at the end, or -1 when the head is not done. */
static int feed(struct ql_gate *g, const char *head, size_t len)
{
    size_t at = 0;

    ql_gate_begin(g);
    while (at < len) {
        const char *end = memchr(head + at, '\n', len - at);
        int status;

        if (!end)
            return -1;
        if (end == head + at || end[-1] != '\r')
            return 400;
        status = ql_gate_line(g, head + at, (size_t)(end - head) - at - 1);
        if (status)
            return status;
        at = (size_t)(end - head) + 1;
        if (g->done)
            return at == len ? ql_gate_verdict(g) : -2;
    }
    return -1;
}

static int judge(const char *head)
{
    struct ql_gate g;

    return feed(&g, head, strlen(head));
}

#define GET  "GET / HTTP/1.1\r\nHost: x\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\n"

static void gate_reads_what_the_server_needs(void **state)
{
    struct ql_gate g;
    const char head[] = "POST /v2.6/agents/a?b=c HTTP/1.1\r\nHost: [::1]:8881\r\nContent-Length: 12\r\n"
                        "content-type: Application/JSON ; charset=utf-8\r\nAuthorization: Bearer x\r\n"
                        "x-request-id: 12-ab.CD_!\r\n\r\n";

    (void)state;
    assert_int_equal(feed(&g, head, sizeof head - 1), 0);
    assert_int_equal(g.method, QL_POST);
    assert_int_equal(g.minor, 1);
    assert_int_equal(g.body_len, 12);
    assert_int_equal(g.target_len, 18);
    assert_int_equal(g.headers, 5);
    assert_true(g.is_json && g.has_auth && g.auth_bearer && !g.auth_bad && !g.chunked);
    assert_string_equal(g.request_id, "12abCD_");
}

static void gate_is_not_done_for_any_prefix_and_refuses_one_byte_more(void **state)
{
    struct ql_gate g;
    const char head[] = POST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";

    (void)state;
    assert_int_equal(feed(&g, head, sizeof head - 1), 0);
    for (size_t len = 0; len < sizeof head - 1; len++) {
        char *copy = malloc(len ? len : 1);

        memcpy(copy, head, len);
        assert_int_equal(feed(&g, copy, len), -1);
        free(copy);
    }
    assert_int_equal(feed(&g, head, sizeof head), -2);
}

static void gate_refuses_odd_request_lines(void **state)
{
    const char *bad[] = {"GET  / HTTP/1.1",
                         " GET / HTTP/1.1",
                         "GET /",
                         "GET",
                         "GET / http/1.1",
                         "GET x HTTP/1.1",
                         "GET http://a/ HTTP/1.1",
                         "GET * HTTP/1.1",
                         "GET //a HTTP/1.1",
                         "GET /# HTTP/1.1",
                         "GET /%00 HTTP/1.1",
                         "GET /\x80 HTTP/1.1",
                         "GET /a\tb HTTP/1.1",
                         "G\x01T / HTTP/1.1",
                         "G:T / HTTP/1.1",
                         "",
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1",
                         "GET / HTTP",
                         "GET / FTP/1.1"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        char head[128];

        snprintf(head, sizeof head, "%s\r\nHost: x\r\n\r\n", bad[i]);
        if (judge(head) != 400)
            fail_msg("'%s' gives %d", bad[i], judge(head));
    }
    {
        struct ql_gate g;
        const char nul[] = "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n";

        assert_int_equal(feed(&g, nul, sizeof nul - 1), 400);
    }
}

static void gate_knows_two_versions(void **state)
{
    (void)state;
    assert_int_equal(judge("GET / HTTP/1.0\r\n\r\n"), 0);
    assert_int_equal(judge("GET / HTTP/1.2\r\nHost: x\r\n\r\n"), 505);
    assert_int_equal(judge("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505);
    assert_int_equal(judge("GET / HTTP/1.10\r\nHost: x\r\n\r\n"), 505);
    assert_int_equal(judge("GET / HTTP/01.1\r\nHost: x\r\n\r\n"), 505);
    assert_int_equal(judge("PRI * HTTP/2.0\r\n\r\n"), 505);
}

static void gate_tells_unknown_methods_from_known_ones(void **state)
{
    (void)state;
    assert_int_equal(judge("PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
    assert_int_equal(judge("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 501);
    assert_int_equal(judge("get / HTTP/1.1\r\nHost: x\r\n\r\n"), 501);
    for (size_t i = 0; i < 7; i++) {
        const char *known[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"};
        char head[64];

        snprintf(head, sizeof head, "%s / HTTP/1.1\r\nHost: x\r\n\r\n", known[i]);
        assert_int_equal(judge(head), 0);
    }
}

static void gate_wants_one_host(void **state)
{
    (void)state;
    assert_int_equal(judge("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(judge(GET "Host: x\r\n\r\n"), 400);
    assert_int_equal(judge("GET / HTTP/1.1\r\nHost : x\r\n\r\n"), 400);
    assert_int_equal(judge("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    assert_int_equal(judge("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400);
    assert_int_equal(judge("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    assert_int_equal(judge("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0);
}

static void gate_refuses_lengths_with_two_readings(void **state)
{
    const char *bad[] = {"Content-Length: 5\r\nContent-Length: 6",
                         "Content-Length: 5\r\nContent-Length: 5",
                         "Content-Length: +5",
                         "Content-Length: -5",
                         "Content-Length: 0x5",
                         "Content-Length: 5,5",
                         "Content-Length: 5 5",
                         "Content-Length:\t5",
                         "Content-Length:",
                         "Content-Length: 9999999999999999999",
                         "Content-Length: 5\r\nTransfer-Encoding: chunked",
                         "Transfer-Encoding: chunked\r\nContent-Length: 5",
                         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                         "Transfer-Encoding: gzip, chunked",
                         "Transfer-Encoding: identity",
                         "Transfer-Encoding:\tchunked",
                         "Transfer-Encoding : chunked",
                         "Transfer-Encoding: chunked\x0b"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        char head[256];

        snprintf(head, sizeof head, POST "%s\r\n\r\n", bad[i]);
        if (judge(head) != 400)
            fail_msg("'%s' gives %d", bad[i], judge(head));
    }
    assert_int_equal(judge("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_int_equal(judge("HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"), 400);
    assert_int_equal(judge("TRACE / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_int_equal(judge("HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 0);
    assert_int_equal(judge(POST "Transfer-Encoding: Chunked \r\n\r\n"), 0);
    assert_int_equal(judge(POST "Content-Length:   007\t \r\n\r\n"), 0);
}

static void gate_refuses_folded_and_broken_headers(void **state)
{
    const char *bad[] = {
        "X: a\r\n b", "X: a\r\n\tb", "no colon", ": x",     "X\x01: a",
        "X: a\x01",   "X: a\x7f",    "X Y: a",   "X: a\rb", "Content-Type: a/b\r\nContent-Type: c/d"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        char head[256];

        snprintf(head, sizeof head, GET "%s\r\n\r\n", bad[i]);
        if (judge(head) != 400)
            fail_msg("'%s' gives %d", bad[i], judge(head));
    }
    assert_int_equal(judge(GET "X: caf\xc3\xa9 \x80\r\n\r\n"), 0);
    assert_int_equal(judge(GET "X:\r\n\r\n"), 0);
}

static void gate_limits_the_number_of_headers(void **state)
{
    char head[4096] = GET;

    (void)state;
    for (int i = 1; i < QL_GATE_HEADERS_MAX; i++)
        strcat(head, "a: b\r\n");
    strcat(head, "\r\n");
    assert_int_equal(judge(head), 0);
    head[strlen(head) - 2] = '\0';
    strcat(head, "a: b\r\n\r\n");
    assert_int_equal(judge(head), 431);
}

static void gate_takes_one_expectation(void **state)
{
    (void)state;
    assert_int_equal(judge(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"), 0);
    assert_int_equal(judge(POST "Expect: tea\r\n\r\n"), 417);
    assert_int_equal(judge(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"), 417);
}

static void json_is_told_by_the_content_type(void **state)
{
    const struct {
        const char *type;
        bool json;
    } cases[] = {{"application/json", true},
                 {"APPLICATION/JSON;x=y", true},
                 {"application/vnd.api+json", true},
                 {"application/jsonx", false},
                 {"text/plain", false},
                 {"application/json, a", false},
                 {"text/plain;application/json", false},
                 {"+json", false},
                 {"", false}};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct ql_gate g;
        char head[256];

        snprintf(head, sizeof head, GET "Content-Type: %s\r\n\r\n", cases[i].type);
        assert_int_equal(feed(&g, head, strlen(head)), 0);
        assert_int_equal(g.is_json, cases[i].json);
    }
}

static void request_id_keeps_word_characters_and_36_of_them(void **state)
{
    char out[QL_REQUEST_ID_MAX + 1];

    (void)state;
    ql_request_id_clean("d432fbb3-d2f1-4a97-9ef7-75bd81c00000", 36, out);
    assert_string_equal(out, "d432fbb3d2f14a979ef775bd81c00000");
    ql_request_id_clean("0123456789_bcdefghijklmnopqrstuvwxyz0123456789", 46, out);
    assert_string_equal(out, "0123456789_bcdefghijklmnopqrstuvwxyz");
    ql_request_id_clean("\r\n\0 \x80", 5, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gate_reads_what_the_server_needs),
        cmocka_unit_test(gate_is_not_done_for_any_prefix_and_refuses_one_byte_more),
        cmocka_unit_test(gate_refuses_odd_request_lines),
        cmocka_unit_test(gate_knows_two_versions),
        cmocka_unit_test(gate_tells_unknown_methods_from_known_ones),
        cmocka_unit_test(gate_wants_one_host),
        cmocka_unit_test(gate_refuses_lengths_with_two_readings),
        cmocka_unit_test(gate_refuses_folded_and_broken_headers),
        cmocka_unit_test(gate_limits_the_number_of_headers),
        cmocka_unit_test(gate_takes_one_expectation),
        cmocka_unit_test(json_is_told_by_the_content_type),
        cmocka_unit_test(request_id_keeps_word_characters_and_36_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
