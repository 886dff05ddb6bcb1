/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of answers. */
#include "harness.h"

static const unsigned versions[] = {QL_API(2, 6), 0};

struct world {
    struct event_base *base;
    struct ql_http_server *server;
    struct ql_http_client *client;
    struct ql_peer *peer;
    int code;
    const char *status;
    json_t *results;
    unsigned freed;
    int header_results[4];
};

static void envelope(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;

    ql_req_reply(req, w->code, w->status, json_incref(w->results));
}

static void formatted(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_replyf(req, 404, "Agent with ID '%s' not found", ql_req_param(req, "id"));
}

static void denied(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply_denied(req, 401, "Invalid \"Authorization\" header format");
}

static void moved(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;

    w->header_results[0] = ql_req_add_header(req, "Location", "/v3.0/");
    w->header_results[1] = ql_req_add_header(req, "X-A", "b\r\nSet-Cookie: c");
    w->header_results[2] = ql_req_add_header(req, "X-A: b", "c");
    w->header_results[3] = ql_req_add_header(req, "", "c");
    ql_req_reply_empty(req, 307);
}

static void count_freed(void *object)
{
    (*(unsigned *)object)++;
}

static void attached(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;

    ql_req_attach(req, &w->freed, count_freed);
    assert_ptr_equal(ql_req_attached(req), &w->freed);
    ql_req_reply_raw(req, 200, NULL, "a\0b", 3);
}

static void missed(struct ql_http_req *req, enum ql_miss miss, void *arg)
{
    (void)arg;
    ql_req_replyf(req, 400, "miss %d of %s", miss, ql_req_path(req));
}

static const struct ql_route routes[] = {
    {QL_GET, "/envelope", 0, 0, QL_WHO_PUBLIC, "a", 0, envelope, ""},
    {QL_GET, "/formatted/{id}", 0, 0, QL_WHO_PUBLIC, "a", 0, formatted, ""},
    {QL_GET, "/denied", 0, 0, QL_WHO_PUBLIC, "a", 0, denied, ""},
    {QL_GET, "/moved", 0, 0, QL_WHO_PUBLIC, "a", 0, moved, ""},
    {QL_GET, "/attached", 0, 0, QL_WHO_PUBLIC, "a", 0, attached, ""},
    {0},
};

enum spelling {
    SPACED,
    COMPACT,
    INDENTED
};

static struct world *open_world_as(enum spelling spelling, ql_miss_handler on_miss)
{
    struct world *w = calloc(1, sizeof *w);
    struct ql_http_server_config server = {.address = "127.0.0.1",
                                           .routes = routes,
                                           .versions = versions,
                                           .arg = w,
                                           .json_compact = spelling == COMPACT,
                                           .json_indent = spelling == INDENTED,
                                           .on_miss = on_miss};
    struct ql_http_client_config client = {0};

    server.base = client.base = w->base = event_base_new();
    assert_int_equal(ql_http_server_new(&server, &w->server, NULL), QL_OK);
    assert_int_equal(ql_http_client_new(&client, &w->client, NULL), QL_OK);
    w->peer = peer_new(w->client, ql_http_server_port(w->server), NULL);
    return w;
}

static void close_world(struct world *w)
{
    ql_peer_free(w->peer);
    ql_http_client_free(w->client);
    ql_http_server_free(w->server);
    event_base_free(w->base);
    free(w);
}

static struct outcome get(struct world *w, const char *path)
{
    struct outcome o = {0};

    call(w->peer, QL_GET, path, NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.text, "");
    return o;
}

static void envelopes_are_spelled_as_python_does(void **state)
{
    struct world *w = open_world_as(SPACED, NULL);

    (void)state;
    w->code = 200;
    assert_string_equal(get(w, "/envelope").body,
                        "{\"code\": 200, \"status\": \"Success\", \"results\": {}}");
    w->code = 409;
    assert_string_equal(get(w, "/envelope").body,
                        "{\"code\": 409, \"status\": \"Conflict\", \"results\": {}}");
    w->status = "say \"caf\xc3\xa9\"\\\n";
    w->results = json_pack("{s:[i,b,n], s:s}", "a", 1, 1, "k", "\xc3\xa9");
    assert_string_equal(
        get(w, "/envelope").body,
        "{\"code\": 409, \"status\": \"say \\\"caf\\u00e9\\\"\\\\\\n\", \"results\": {\"a\": [1, true, "
        "null], \"k\": \"\\u00e9\"}}");
    json_decref(w->results);
    w->status = "not \xff UTF-8";
    w->results = json_null();
    assert_string_equal(get(w, "/envelope").body, "{\"code\": 409, \"status\": \"?\", \"results\": null}");
    assert_string_equal(get(w, "/formatted/x%20y").body,
                        "{\"code\": 404, \"status\": \"Agent with ID 'x%20y' not found\", \"results\": {}}");
    close_world(w);
}

static void compact_envelopes_have_no_blanks(void **state)
{
    struct world *w = open_world_as(COMPACT, NULL);

    (void)state;
    w->code = 200;
    w->results = json_pack("{s:[i,i]}", "a", 1, 2);
    assert_string_equal(get(w, "/envelope").body,
                        "{\"code\":200,\"status\":\"Success\",\"results\":{\"a\":[1,2]}}");
    json_decref(w->results);
    w->results = json_null();
    assert_string_equal(get(w, "/envelope").body, "{\"code\":200,\"status\":\"Success\",\"results\":null}");
    close_world(w);
}

static void denials_have_the_other_form(void **state)
{
    struct world *w = open_world_as(SPACED, NULL);
    struct outcome o = get(w, "/denied");

    (void)state;
    assert_int_equal(o.status, 401);
    assert_string_equal(o.body,
                        "{\"errors\": [{\"status\": \"401\", \"title\": \"Unauthorized\", \"detail\": "
                        "\"Invalid \\\"Authorization\\\" header format\"}]}");
    assert_string_equal(o.type, "application/json; charset=UTF-8");
    close_world(w);
}

static void headers_cannot_be_split(void **state)
{
    struct world *w = open_world_as(SPACED, NULL);
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[2048];
    bool closed;

    (void)state;
    raw_send(fd, "GET /moved HTTP/1.1\r\nHost: x\r\n\r\n");
    raw_read(w->base, fd, answer, sizeof answer, "\r\n\r\n", 3000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 307 Temporary Redirect\r\n", 33);
    assert_non_null(strstr(answer, "\r\nLocation: /v3.0/\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Length: 0\r\n"));
    assert_null(strstr(answer, "Set-Cookie"));
    assert_int_equal(w->header_results[0], QL_OK);
    for (int i = 1; i < 4; i++)
        assert_int_equal(w->header_results[i], QL_ERANGE);
    close(fd);
    close_world(w);
}

static void what_is_attached_is_freed_once_after_the_answer(void **state)
{
    struct world *w = open_world_as(SPACED, NULL);

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(get(w, "/attached").len, 3);
        assert_true(run_until(w->base, &w->freed, i, 1000));
        assert_int_equal(w->freed, i);
    }
    close_world(w);
}

static void a_server_may_answer_misses_itself(void **state)
{
    struct world *w = open_world_as(COMPACT, missed);
    struct outcome o = {0};

    (void)state;
    assert_string_equal(get(w, "/nosuch").body,
                        "{\"code\":400,\"status\":\"miss 0 of /nosuch\",\"results\":{}}");
    assert_string_equal(get(w, "/v2.0/x").body,
                        "{\"code\":400,\"status\":\"miss 2 of /v2.0/x\",\"results\":{}}");
    call(w->peer, QL_DELETE, "/moved", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.body, "{\"code\":400,\"status\":\"miss 1 of /moved\",\"results\":{}}");
    close_world(w);
}

static void indented_envelopes_have_a_line_a_member(void **state)
{
    struct world *w = open_world_as(INDENTED, NULL);

    (void)state;
    w->code = 200;
    w->results = json_pack("{s:[s], s:{}}", "uuids", "a", "none");
    assert_string_equal(
        get(w, "/envelope").body,
        "{\n    \"code\": 200,\n    \"status\": \"Success\",\n    \"results\": {\n        \"uuids\": "
        "[\n            \"a\"\n        ],\n        \"none\": {}\n    }\n}");
    json_decref(w->results);
    w->results = NULL;
    w->status = "not \xff UTF-8";
    assert_int_equal(get(w, "/envelope").status, 200);
    close_world(w);
}

/* Recorded answers of Keylime's servers: same results, same number of bytes. */
static void compare(const char *file, enum spelling spelling, const char *sender)
{
    struct world *w = open_world_as(spelling, NULL);
    unsigned compared = 0;
    char path[512];
    ql_auto_json json_t *all = NULL;
    json_t *list;

    snprintf(path, sizeof path, "%s/vectors/server/%s", QL_SHARED_DIR, file);
    all = json_load_file(path, 0, NULL);
    if (!all) {
        print_message("%s is not there\n", path);
        close_world(w);
        skip();
    }
    list = json_object_get(all, "exchanges");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *response = json_object_get(json_array_get(list, i), "response");
        json_t *body = json_object_get(response, "body"), *headers = json_object_get(response, "headers");
        const char *len = json_string_value(json_object_get(headers, "Content-Length"));

        if (!len || !json_object_get(body, "results"))
            continue;
        assert_non_null(strstr(json_string_value(json_object_get(headers, "Server")), sender));
        w->code = (int)json_integer_value(json_object_get(body, "code"));
        w->status = json_string_value(json_object_get(body, "status"));
        w->results = json_object_get(body, "results");
        assert_int_equal(get(w, "/envelope").len, strtoul(len, NULL, 10));
        compared++;
    }
    assert_true(compared > 5);
    w->results = NULL;
    close_world(w);
}

static void answers_are_as_long_as_those_of_a_verifier(void **state)
{
    (void)state;
    compare("captured-tenant-to-verifier.json", SPACED, "Tornado");
}

static void answers_are_as_long_as_those_of_a_registrar(void **state)
{
    (void)state;
    compare("captured-tenant-to-registrar.json", INDENTED, "Tornado");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes_are_spelled_as_python_does),
        cmocka_unit_test(compact_envelopes_have_no_blanks),
        cmocka_unit_test(denials_have_the_other_form),
        cmocka_unit_test(headers_cannot_be_split),
        cmocka_unit_test(what_is_attached_is_freed_once_after_the_answer),
        cmocka_unit_test(a_server_may_answer_misses_itself),
        cmocka_unit_test(indented_envelopes_have_a_line_a_member),
        cmocka_unit_test(answers_are_as_long_as_those_of_a_verifier),
        cmocka_unit_test(answers_are_as_long_as_those_of_a_registrar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
