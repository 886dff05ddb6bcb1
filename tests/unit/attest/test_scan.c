/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "tree.h"

static void scan_accepts_what_jansson_accepts(void **state)
{
    static const char *const good[] = {
        "{}",
        "[]",
        " \t\r\n{ } \n",
        "{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}",
        "[0,-0,1,-1,9223372036854775807,-9223372036854775808]",
        "[0.5,-1.25e3,1E-400,1e308,0e0,1.0E+2]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"]",
        "[\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\"]",
        "[\"\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"]",
        "{\"\":{\"\":{}},\"a\\u0062\":1,\"ac\":2}",
        "[[[[[[]]]]],{\"a\":[{}]}]",
        "[\"a string of some length without anything odd in it, and then a quote: \\\" \"]",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(good); i++)
        if (tree_compare(good[i], strlen(good[i])) != 1)
            fail_msg("%s", good[i]);
}

static void scan_refuses_what_jansson_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "\"a\"",
        "null",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{'a':1}",
        "[01]",
        "[-]",
        "[+1]",
        "[1.]",
        "[.5]",
        "[1e]",
        "[1e+]",
        "[0x1]",
        "[1e400]",
        "[-1e400]",
        "[9223372036854775808]",
        "[-9223372036854775809]",
        "[tru]",
        "[truex]",
        "[True]",
        "[nul]",
        "[NaN]",
        "[Infinity]",
        "[\"a]",
        "[\"\\\"]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\\u12g4\"]",
        "[\"\\ud800\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\\udc00\"]",
        "[\"\\u0000\"]",
        "{\"\\u0000\":1}",
        "[\"\n\"]",
        "[\"\x1f\"]",
        "[\"\x80\"]",
        "[\"\xc0\xaf\"]",
        "[\"\xc1\xbf\"]",
        "[\"\xe0\x9f\xbf\"]",
        "[\"\xed\xa0\x80\"]",
        "[\"\xf0\x8f\xbf\xbf\"]",
        "[\"\xf4\x90\x80\x80\"]",
        "[\"\xf5\x80\x80\x80\"]",
        "[\"\xe2\x82\"]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"b\":{\"a\":1,\"c\":2,\"a\":3}}",
        "[] []",
        "{}x",
        "\xef\xbb\xbf{}",
        "[1]/*c*/",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        if (tree_compare(bad[i], strlen(bad[i])) != 0)
            fail_msg("%s", bad[i]);
    assert_int_equal(tree_compare("[\"a\0b\"]", 7), 0);
    assert_int_equal(tree_compare("[]\0", 3), 0);
}

static void scan_refuses_every_truncation_and_one_byte_more(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2.5e3,\"b\\u00e9\\n\",true],\"c\":{\"d\":null,\"e\":\"\xe2\x82\xac\"}}";

    (void)state;
    assert_int_equal(tree_compare(text, strlen(text)), 1);
    for (size_t cut = 0; cut < strlen(text); cut++)
        assert_int_equal(tree_compare(text, cut), 0);
    for (int c = 0; c < 256; c++) {
        char more[sizeof text];

        memcpy(more, text, strlen(text));
        more[strlen(text)] = (char)c;
        assert_true(tree_compare(more, sizeof more) >= 0);
    }
}

/* Each byte of a document by each value: both readers must agree. */
static void scan_agrees_with_jansson_on_every_changed_byte(void **state)
{
    static const char text[] =
        "{\"a\":[1,-0.5e3,\"b\\u00e9\\n\xe2\x82\xac\"],\"c\":{\"a\":null,\"ab\":false}}";
    char changed[sizeof text];
    int accepted = 0;

    (void)state;
    for (size_t i = 0; i < strlen(text); i++)
        for (int c = 0; c < 256; c++) {
            int r;

            memcpy(changed, text, sizeof text);
            changed[i] = (char)c;
            r = tree_compare(changed, strlen(text));
            if (r < 0)
                fail_msg("byte %zu = %d: %d", i, c, r);
            accepted += r;
        }
    assert_true(accepted > 500);
}

static int nothing(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    (void)arg;
    (void)e;
    (void)err;
    return 0;
}

static void scan_stops_at_64_levels(void **state)
{
    char text[2 * 65 + 1];
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_int_equal(ql_scan(text, 130, nothing, NULL, &err), QL_ELIMIT);
    assert_string_equal(err.text, "JSON: nested more than 64 deep at byte 64");
    assert_int_equal(ql_scan(text + 1, 128, nothing, NULL, &err), QL_OK);
}

static void scan_bounds_the_keys_of_open_objects(void **state)
{
    ql_auto_free char *text = malloc(20 * (QL_SCAN_KEYS_MAX + 2));
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;

    (void)state;
    text[len++] = '{';
    for (int i = 0; i <= QL_SCAN_KEYS_MAX; i++) {
        if (i == QL_SCAN_KEYS_MAX) {
            text[len] = '}';
            assert_int_equal(ql_scan(text, len + 1, nothing, NULL, &err), QL_OK);
        }
        len += (size_t)sprintf(text + len, "%s\"k%d\":0", i ? "," : "", i);
    }
    text[len++] = '}';
    assert_int_equal(ql_scan(text, len, nothing, NULL, &err), QL_ELIMIT);
    assert_string_equal(err.text, "JSON: more than 4096 keys in open objects");
}

static int stop_at_key(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    (void)err;
    (*(int *)arg)++;
    return e->kind == QL_SCAN_KEY ? 42 : 0;
}

static void scan_ends_when_its_reader_says_so(void **state)
{
    int seen = 0;

    (void)state;
    assert_int_equal(ql_scan("[{\"a\":1}, not JSON", 18, stop_at_key, &seen, NULL), 42);
    assert_int_equal(seen, 3);
}

static void error_names_the_byte(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_scan("{\"a\": 1, \"a\": 2}", 16, nothing, NULL, &err), QL_EPARSE);
    assert_string_equal(err.text, "JSON: key that the object has already at byte 12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_accepts_what_jansson_accepts),
        cmocka_unit_test(scan_refuses_what_jansson_refuses),
        cmocka_unit_test(scan_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(scan_agrees_with_jansson_on_every_changed_byte),
        cmocka_unit_test(scan_stops_at_64_levels),
        cmocka_unit_test(scan_bounds_the_keys_of_open_objects),
        cmocka_unit_test(scan_ends_when_its_reader_says_so),
        cmocka_unit_test(error_names_the_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
