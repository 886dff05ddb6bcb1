/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static int parse(const char *text, json_t **ret, struct ql_err *err)
{
    return ql_json_parse(text, strlen(text), 1 << 20, ret, err);
}

static void any_value_parses(void **state)
{
    static const char *const texts[] = {"null", "1", "\"x\"", "[]", " {\"a\": [1, true]} \n", "-0.5e3"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ql_auto_json json_t *j = NULL;

        assert_int_equal(parse(texts[i], &j, NULL), QL_OK);
        assert_non_null(j);
    }
}

static void malformed_documents_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "nul",
        "1 2",
        "{} x",
        "'a'",
        "\"\\u0000\"",
        "{\"a\\u0000\":1}",
        "\"\\ud800\"",
        "\"\xff\"",
        "[NaN]",
        "[01]",
        "\"a\nb\"",
        "99999999999999999999",
        "1e999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *j = NULL;
        struct ql_err err = QL_ERR_INIT;

        assert_int_equal(parse(texts[i], &j, &err), QL_EPARSE);
        assert_null(j);
        assert_non_null(strstr(err.text, "line"));
    }
}

static void duplicate_key_is_refused_with_its_place(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    json_t *j = NULL;

    (void)state;
    assert_int_equal(parse("{\"a\": 1,\n \"a\": 2}", &j, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "JSON line 2"));
    assert_non_null(strstr(err.text, "same key twice"));
    assert_int_equal(parse("[{\"x\": {\"b\": 1, \"\\u0062\": 2}}]", &j, &err), QL_EPARSE);
}

static void message_repeats_nothing_of_the_document(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    json_t *j = NULL;

    (void)state;
    assert_int_equal(parse("{\"key\": \"hunter2", &j, &err), QL_EPARSE);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(parse("{\"key\": hunter2}", &j, &err), QL_EPARSE);
    assert_null(strstr(err.text, "hunter2"));
}

static void every_truncation_and_one_byte_more_are_refused(void **state)
{
    static const char text[] = "{\"a\": [1, \"x\\u00e9\", {\"b\": null}], \"c\": -1.5}";
    char longer[sizeof text + 1];
    json_t *j = NULL;

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = malloc(len > 0 ? len : 1);

        memcpy(copy, text, len);
        assert_int_equal(ql_json_parse(copy, len, 1000, &j, NULL), QL_EPARSE);
        free(copy);
    }
    snprintf(longer, sizeof longer, "%s}", text);
    assert_int_equal(parse(longer, &j, NULL), QL_EPARSE);
    assert_int_equal(ql_json_parse(text, sizeof text, 1000, &j, NULL), QL_EPARSE); /* the NUL behind it */
    assert_null(j);
}

static void length_and_depth_are_limited(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    char deep[2 * (QL_JSON_DEPTH + 1) + 1];
    json_t *j = NULL;

    (void)state;
    assert_int_equal(ql_json_parse("[1]", 3, 2, &j, &err), QL_ELIMIT);
    assert_string_equal(err.text, "JSON of 3 bytes, at most 2");
    memset(deep, '[', QL_JSON_DEPTH + 1);
    memset(deep + QL_JSON_DEPTH + 1, ']', QL_JSON_DEPTH + 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(parse(deep, &j, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "64"));
    deep[sizeof deep - 2] = '\0';
    assert_int_equal(parse(deep + 1, &j, &err), QL_OK);
    json_decref(j);
    j = NULL;
    assert_int_equal(
        parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"", &j,
              &err),
        QL_OK);
    json_decref(j);
}

static void object_must_be_one(void **state)
{
    json_t *j = NULL;

    (void)state;
    assert_int_equal(ql_json_parse_object("[]", 2, 10, &j, NULL), QL_EPARSE);
    assert_null(j);
    assert_int_equal(ql_json_parse_object("{}", 2, 10, &j, NULL), QL_OK);
    json_decref(j);
}

static void members_are_typed(void **state)
{
    ql_auto_json json_t *j = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *text = NULL;
    size_t len = 0;
    int64_t number = 0;
    bool flag = false;

    (void)state;
    assert_int_equal(parse("{\"t\": \"abc\", \"i\": 70000, \"b\": true, \"n\": null, \"r\": 1.0}", &j, NULL),
                     QL_OK);
    assert_int_equal(ql_json_get_text(j, "t", &text, &len, &err), QL_OK);
    assert_string_equal(text, "abc");
    assert_int_equal(len, 3);
    assert_int_equal(ql_json_get_text(j, "t", &text, NULL, &err), QL_OK);
    assert_int_equal(ql_json_get_text(j, "n", &text, &len, &err), QL_ENOTFOUND);
    assert_int_equal(ql_json_get_text(j, "zz", &text, &len, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "zz"));
    assert_int_equal(ql_json_get_text(j, "i", &text, &len, &err), QL_EPARSE);
    assert_int_equal(err.text[0], 'i');
    assert_int_equal(ql_json_get_int(j, "i", 0, 70000, &number, &err), QL_OK);
    assert_int_equal(number, 70000);
    assert_int_equal(ql_json_get_int(j, "i", 0, 65535, &number, &err), QL_ERANGE);
    assert_int_equal(ql_json_get_int(j, "r", 0, 10, &number, &err), QL_EPARSE);
    assert_int_equal(ql_json_get_int(j, "b", 0, 10, &number, &err), QL_EPARSE);
    assert_int_equal(ql_json_get_int(j, "n", 0, 10, &number, &err), QL_ENOTFOUND);
    assert_int_equal(ql_json_get_bool(j, "b", &flag, &err), QL_OK);
    assert_true(flag);
    assert_int_equal(ql_json_get_bool(j, "i", &flag, &err), QL_EPARSE);
    assert_int_equal(ql_json_get_bool(j, "zz", &flag, &err), QL_ENOTFOUND);
}

static void compact_text_keeps_the_order_of_keys(void **state)
{
    ql_auto_json json_t *j = NULL;
    char *text;

    (void)state;
    assert_int_equal(parse("{\"z\": 1, \"a\": [true, null], \"m\": \"\xc3\xa9\"}", &j, NULL), QL_OK);
    text = ql_json_text(j);
    assert_string_equal(text, "{\"z\":1,\"a\":[true,null],\"m\":\"\xc3\xa9\"}");
    free(text);
}

/* Right sides as Python 3.11 writes them: json.dumps(json.loads(left)). */
static void spaced_text_is_what_python_writes(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"{\"code\":200,\"status\":\"Success\",\"results\":{}}",
         "{\"code\": 200, \"status\": \"Success\", \"results\": {}}"},
        {"[]", "[]"},
        {"[1,-2,[3]]", "[1, -2, [3]]"},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\\u00e9\\u20ac\\ud83d\\ude00\""},
        {"\"\\u007f\\u001f\\/\\\\\\\"\\b\\f\\n\\r\\t\"", "\"\\u007f\\u001f/\\\\\\\"\\b\\f\\n\\r\\t\""},
        {"\"\\\\uABCD\"", "\"\\\\uABCD\""},
        {"[0.1,1.0,1e15,1e16,123456789.125,1e-4,1e-5,1.5e-7,-0.0,1e22,5e-324,1.7976931348623157e308]",
         "[0.1, 1.0, 1000000000000000.0, 1e+16, 123456789.125, 0.0001, 1e-05, 1.5e-07, -0.0, 1e+22, 5e-324, "
         "1.7976931348623157e+308]"},
        {"[true,false,null]", "[true, false, null]"},
        {"[123456789012345678.0,0.30000000000000004]", "[1.2345678901234568e+17, 0.30000000000000004]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ql_auto_json json_t *j = NULL;
        char *text;

        assert_int_equal(parse(rows[i].in, &j, NULL), QL_OK);
        text = ql_json_text_spaced(j);
        assert_non_null(text);
        assert_string_equal(text, rows[i].out);
        free(text);
    }
}

static void bytes_that_are_no_text_are_written_as_python_writes_them(void **state)
{
    ql_auto_json json_t *j =
        json_pack("{s:o, s:[i]}", "a", json_stringn_nocheck("\xff/\xc3\xa9\xc3", 5), "b", 1);
    char *text = ql_json_text_bytes(j);

    (void)state;
    assert_non_null(text);
    assert_string_equal(text, "{\"a\":\"\\udcff/\\u00e9\\udcc3\",\"b\":[1]}");
    free(text);
}

static void endless_nesting_of_our_own_is_not_dumped(void **state)
{
    ql_auto_json json_t *j = json_array();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();

        json_array_append_new(outer, j);
        j = outer;
    }
    assert_null(ql_json_text_spaced(j));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_parses),
        cmocka_unit_test(malformed_documents_are_refused),
        cmocka_unit_test(duplicate_key_is_refused_with_its_place),
        cmocka_unit_test(message_repeats_nothing_of_the_document),
        cmocka_unit_test(every_truncation_and_one_byte_more_are_refused),
        cmocka_unit_test(length_and_depth_are_limited),
        cmocka_unit_test(object_must_be_one),
        cmocka_unit_test(members_are_typed),
        cmocka_unit_test(compact_text_keeps_the_order_of_keys),
        cmocka_unit_test(spaced_text_is_what_python_writes),
        cmocka_unit_test(bytes_that_are_no_text_are_written_as_python_writes_them),
        cmocka_unit_test(endless_nesting_of_our_own_is_not_dumped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
