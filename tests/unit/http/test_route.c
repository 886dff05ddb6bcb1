/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "route.h"

static void nothing(struct ql_http_req *req, void *arg)
{
    (void)req;
    (void)arg;
}

#define V2 QL_API(2, 0), QL_API(2, 6)
#define ROW(m, p, ...)                                                                                       \
    {                                                                                                        \
        m, p, __VA_ARGS__, QL_WHO_PUBLIC, "act", 0, nothing, "help"                                          \
    }

static const unsigned versions[] = {QL_API(1, 0), QL_API(2, 0), QL_API(2, 5), QL_API(2, 6), QL_API(3, 0), 0};
static const struct ql_route rows[] = {
    ROW(QL_GET, "/", 0, 0),
    ROW(QL_GET, "/", QL_API(2, 0), QL_API(3, 0)),
    ROW(QL_GET, "/version", 0, 0),
    ROW(QL_GET, "/agents/", V2),
    ROW(QL_GET, "/agents/{agent_id}", V2),
    ROW(QL_POST, "/agents/{agent_id}", V2),
    ROW(QL_PUT, "/agents/{agent_id}/{verb}", V2),
    ROW(QL_GET, "/new", QL_API(2, 6), QL_API(2, 6)),
    {0},
};

static struct ql_match match(const struct ql_routes *t, unsigned method, const char *path)
{
    struct ql_match m;

    ql_routes_match(t, method, path, strlen(path), &m);
    return m;
}

static const char *pattern(const struct ql_routes *t, unsigned method, const char *path)
{
    struct ql_match m = match(t, method, path);

    return m.route                     ? m.route->pattern
           : m.miss == QL_MISS_METHOD  ? "405"
           : m.miss == QL_MISS_VERSION ? "v"
                                       : "404";
}

static void routes_match_by_path_version_and_method(void **state)
{
    const struct {
        unsigned method;
        const char *path, *want;
    } cases[] = {
        {QL_GET, "/", "/"},
        {QL_GET, "/version", "/version"},
        {QL_GET, "/version/", "/version"},
        {QL_GET, "/version//", "404"},
        {QL_GET, "/v2.6/version", "404"},
        {QL_GET, "/v2.6", "/"},
        {QL_GET, "/v2.6/", "/"},
        {QL_GET, "/v2/agents", "/agents/"},
        {QL_GET, "/v2.0/agents/", "/agents/"},
        {QL_GET, "/v2.5/agents/x", "/agents/{agent_id}"},
        {QL_GET, "/v2.5/agents/x/", "/agents/{agent_id}"},
        {QL_GET, "/v2.5/agents//", "404"},
        {QL_GET, "/v2.5//agents", "404"},
        {QL_PUT, "/v2.5/agents/x/stop", "/agents/{agent_id}/{verb}"},
        {QL_PUT, "/v2.5/agents/x/stop/y", "404"},
        {QL_DELETE, "/v2.5/agents/x", "405"},
        {QL_HEAD, "/v2.5/agents/", "405"},
        {QL_POST, "/v2.6/agents/", "405"},
        {QL_GET, "/agents/", "404"},
        {QL_GET, "/v1.0/agents/", "404"},
        {QL_GET, "/v3.0/agents/", "404"},
        {QL_GET, "/v3/", "/"},
        {QL_GET, "/v9.9/agents/", "v"},
        {QL_GET, "/v2.4/agents/", "v"},
        {QL_GET, "/v2.06/agents/", "v"},
        {QL_GET, "/v02.6/agents/", "v"},
        {QL_GET, "/v2./agents/", "v"},
        {QL_GET, "/v2.6x/agents/", "v"},
        {QL_GET, "/v2.6.1/agents/", "v"},
        {QL_GET, "/v99999999999/agents/", "v"},
        {QL_GET, "/v2.5/new", "404"},
        {QL_GET, "/v2/new", "/new"},
        {QL_GET, "/v2.5/AGENTS/", "404"},
        {QL_GET, "/a/b/c/d/e/f/g/h/i/j/k/l/m", "404"},
        {QL_GET, "", "404"},
        {QL_GET, "version", "404"},
    };
    struct ql_routes *t = NULL;

    (void)state;
    assert_int_equal(ql_routes_new(rows, versions, true, &t, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++)
        if (strcmp(pattern(t, cases[i].method, cases[i].path), cases[i].want) != 0)
            fail_msg("%s gives %s", cases[i].path, pattern(t, cases[i].method, cases[i].path));
    ql_routes_free(t);
}

static void a_trailing_slash_counts_where_it_is_not_optional(void **state)
{
    struct ql_routes *t = NULL;

    (void)state;
    assert_int_equal(ql_routes_new(rows, versions, false, &t, NULL), QL_OK);
    assert_string_equal(pattern(t, QL_GET, "/version"), "/version");
    assert_string_equal(pattern(t, QL_GET, "/version/"), "404");
    assert_string_equal(pattern(t, QL_GET, "/v2.6/agents/"), "/agents/");
    assert_string_equal(pattern(t, QL_GET, "/v2.6/agents"), "404");
    ql_routes_free(t);
}

static void a_match_names_version_parameters_and_other_methods(void **state)
{
    struct ql_routes *t = NULL;
    struct ql_match m;

    (void)state;
    assert_int_equal(ql_routes_new(rows, versions, true, &t, NULL), QL_OK);
    m = match(t, QL_PUT, "/v2/agents/a%20b/stop");
    assert_int_equal(m.version, QL_API(2, 6));
    assert_int_equal(m.param_count, 2);
    assert_int_equal(m.param[0].len, 5);
    assert_memory_equal(m.param[0].at, "a%20b", 5);
    assert_memory_equal(m.param[1].at, "stop", 4);
    assert_int_equal(ql_route_param_index(m.route, "agent_id"), 0);
    assert_int_equal(ql_route_param_index(m.route, "verb"), 1);
    assert_int_equal(ql_route_param_index(m.route, "ver"), -1);
    m = match(t, QL_DELETE, "/v2/agents/x");
    assert_int_equal(m.allowed, QL_GET | QL_POST);
    ql_routes_free(t);
}

static void incomplete_rows_are_refused_by_name(void **state)
{
    const struct ql_route bad[][2] = {
        {{QL_GET, "/nobody", V2, QL_WHO_NOBODY, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/noaction", V2, QL_WHO_PUBLIC, NULL, 0, nothing, ""}, {0}},
        {{QL_GET, "/nohandler", V2, QL_WHO_PUBLIC, "a", 0, NULL, ""}, {0}},
        {{QL_GET | QL_PUT, "/two", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{0, "/none", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "relative", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/backwards", QL_API(2, 6), QL_API(2, 0), QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/half", QL_API(2, 6), 0, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/a//b", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/{a}/{b}/{c}/{d}/{e}", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
        {{QL_GET, "/1/2/3/4/5/6/7/8/9", V2, QL_WHO_PUBLIC, "a", 0, nothing, ""}, {0}},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_routes *t = NULL;
        struct ql_err err = QL_ERR_INIT;

        assert_int_equal(ql_routes_new(bad[i], versions, true, &t, &err), QL_ERANGE);
        assert_null(t);
        assert_non_null(strstr(err.text, bad[i][0].pattern));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_match_by_path_version_and_method),
        cmocka_unit_test(a_trailing_slash_counts_where_it_is_not_optional),
        cmocka_unit_test(a_match_names_version_parameters_and_other_methods),
        cmocka_unit_test(incomplete_rows_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
