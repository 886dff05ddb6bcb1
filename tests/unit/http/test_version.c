/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "json.h"
#include "version.h"

static const unsigned ours[] = {QL_API(2, 1), QL_API(2, 5), QL_API(2, 6), QL_API(3, 0), 0};

static int parse(const char *text, unsigned *ret)
{
    return ql_api_parse(text, strlen(text), ret, NULL);
}

static int negotiate(const char *results, unsigned max_major, unsigned *ret)
{
    ql_auto_json json_t *j = json_loads(results, 0, NULL);

    assert_non_null(j);
    return ql_api_negotiate(ours, j, max_major, ret, NULL);
}

static void versions_are_digit_dot_digit(void **state)
{
    const char *bad[] = {"", "2", "2.", ".6", "2.6 ", " 2.6", "2.60", "12.6", "2,6", "a.b", "v2.6", "2.-"};
    unsigned v = 7;
    char out[8];

    (void)state;
    assert_int_equal(parse("2.6", &v), QL_OK);
    assert_int_equal(v, QL_API(2, 6));
    assert_string_equal(ql_api_text(v, out), "2.6");
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        v = 7;
        assert_int_equal(parse(bad[i], &v), QL_EPARSE);
        assert_int_equal(v, 7);
    }
}

static void the_highest_common_version_is_taken(void **state)
{
    unsigned v = 0;

    (void)state;
    assert_int_equal(negotiate("{\"supported_versions\": [\"1.0\", \"2.5\", \"2.1\", \"9.9\"]}", 2, &v),
                     QL_OK);
    assert_int_equal(v, QL_API(2, 5));
    assert_int_equal(negotiate("{\"supported_versions\": [\"2.6\", \"3.0\"]}", 2, &v), QL_OK);
    assert_int_equal(v, QL_API(2, 6));
    assert_int_equal(negotiate("{\"supported_versions\": [\"2.6\", \"3.0\"]}", 3, &v), QL_OK);
    assert_int_equal(v, QL_API(3, 0));
    assert_int_equal(negotiate("{\"supported_version\": \"2.1\"}", 2, &v), QL_OK);
    assert_int_equal(v, QL_API(2, 1));
    assert_int_equal(
        negotiate("{\"supported_version\": \"2.1\", \"supported_versions\": [\"2.5\", 7, null, \"x\"]}", 2,
                  &v),
        QL_OK);
    assert_int_equal(v, QL_API(2, 5));
}

static void nothing_in_common_and_foreign_forms_are_told_apart(void **state)
{
    unsigned v = 7;
    char many[1024] = "{\"supported_versions\": [\"2.6\"";

    (void)state;
    assert_int_equal(negotiate("{\"supported_versions\": [\"1.0\"]}", 2, &v), QL_ENOTFOUND);
    assert_int_equal(negotiate("{\"supported_versions\": []}", 2, &v), QL_ENOTFOUND);
    assert_int_equal(negotiate("{\"supported_versions\": [\"3.0\"]}", 2, &v), QL_ENOTFOUND);
    assert_int_equal(negotiate("{\"supported_version\": \"2.60\"}", 2, &v), QL_ENOTFOUND);
    assert_int_equal(negotiate("{}", 2, &v), QL_EPARSE);
    assert_int_equal(negotiate("[]", 2, &v), QL_EPARSE);
    assert_int_equal(negotiate("{\"supported_versions\": \"2.6\"}", 2, &v), QL_EPARSE);
    for (int i = 0; i < 64; i++)
        strcat(many, ",\"2.6\"");
    strcat(many, "]}");
    assert_int_equal(negotiate(many, 2, &v), QL_EPARSE);
    assert_int_equal(v, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_digit_dot_digit),
        cmocka_unit_test(the_highest_common_version_is_taken),
        cmocka_unit_test(nothing_in_common_and_foreign_forms_are_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
