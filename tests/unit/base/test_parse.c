/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "parse.h"

static void u64_takes_digits_and_nothing_else(void **state)
{
    static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1.0", "1e3", "a", "1\n"};
    uint64_t v = 5;

    (void)state;
    assert_int_equal(ql_parse_u64("18446744073709551615", 20, 0, UINT64_MAX, &v, NULL), QL_OK);
    assert_true(v == UINT64_MAX);
    assert_int_equal(ql_parse_u64("007", 3, 0, 10, &v, NULL), QL_OK);
    assert_int_equal(v, 7);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ql_parse_u64(bad[i], strlen(bad[i]), 0, UINT64_MAX, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_u64("1\0", 2, 0, 10, &v, NULL), QL_EPARSE);
    assert_int_equal(v, 7);
}

static void u64_refuses_what_does_not_fit(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint64_t v;

    (void)state;
    assert_int_equal(ql_parse_u64("18446744073709551616", 20, 0, UINT64_MAX, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_u64("99999999999999999999999", 23, 0, UINT64_MAX, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_u64("70000", 5, 1, 65535, &v, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "70000"));
    assert_non_null(strstr(err.text, "65535"));
    assert_int_equal(ql_parse_u64("0", 1, 1, 65535, &v, &err), QL_ERANGE);
    assert_int_equal(ql_parse_u64("65535", 5, 1, 65535, &v, &err), QL_OK);
}

static void i64_reaches_both_ends(void **state)
{
    int64_t v;

    (void)state;
    assert_int_equal(ql_parse_i64("-9223372036854775808", 20, INT64_MIN, INT64_MAX, &v, NULL), QL_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(ql_parse_i64("9223372036854775807", 19, INT64_MIN, INT64_MAX, &v, NULL), QL_OK);
    assert_true(v == INT64_MAX);
    assert_int_equal(ql_parse_i64("9223372036854775808", 19, INT64_MIN, INT64_MAX, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_i64("-9223372036854775809", 20, INT64_MIN, INT64_MAX, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_i64("-", 1, -5, 5, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_i64("--1", 3, -5, 5, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_i64("-6", 2, -5, 5, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_i64("-0", 2, -5, 5, &v, NULL), QL_OK);
    assert_int_equal(v, 0);
}

static void hex_takes_32_bits(void **state)
{
    uint32_t v;

    (void)state;
    assert_int_equal(ql_parse_hex_u32("0x408400", 8, &v, NULL), QL_OK);
    assert_int_equal(v, 0x408400);
    assert_int_equal(ql_parse_hex_u32("FFFFffff", 8, &v, NULL), QL_OK);
    assert_int_equal(v, 0xffffffff);
    assert_int_equal(ql_parse_hex_u32("0x100000000", 11, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_hex_u32("0x", 2, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_hex_u32("", 0, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_hex_u32("0x0x1", 5, &v, NULL), QL_EPARSE);
}

static void size_knows_units_and_hex(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(ql_parse_size("10M", 3, 0, UINT64_MAX, &v, NULL), QL_OK);
    assert_int_equal(v, 10 * 1024 * 1024);
    assert_int_equal(ql_parse_size("0x400", 5, 0, UINT64_MAX, &v, NULL), QL_OK);
    assert_int_equal(v, 1024);
    assert_int_equal(ql_parse_size("3G", 2, 0, UINT64_MAX, &v, NULL), QL_OK);
    assert_true(v == UINT64_C(3) << 30);
    assert_int_equal(ql_parse_size("17179869184G", 12, 0, UINT64_MAX, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_size("2K", 2, 0, 2047, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_size("K", 1, 0, 10, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_size("", 0, 0, 10, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_size("1KK", 3, 0, UINT64_MAX, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_size("-1", 2, 0, UINT64_MAX, &v, NULL), QL_EPARSE);
}

static void float_is_a_plain_decimal(void **state)
{
    static const char *const bad[] = {"",    ".",   "1.", ".5",  "1e3",   "nan",
                                      "inf", "0x1", "-1", "1,5", "1.2.3", " 1"};
    double v;

    (void)state;
    assert_int_equal(ql_parse_float("2.5", 3, 0, 10, &v, NULL), QL_OK);
    assert_true(v == 2.5);
    assert_int_equal(ql_parse_float("0.1", 3, 0, 10, &v, NULL), QL_OK);
    assert_true(v == 0.1);
    assert_int_equal(ql_parse_float("60", 2, 0, 100, &v, NULL), QL_OK);
    assert_true(v == 60.0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ql_parse_float(bad[i], strlen(bad[i]), 0, 100, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_float("10.1", 4, 0, 10, &v, NULL), QL_ERANGE);
    assert_int_equal(ql_parse_float("0.1234567890123456789", 21, 0, 10, &v, NULL), QL_ERANGE);
}

static void bool_knows_eight_words(void **state)
{
    bool v;

    (void)state;
    assert_int_equal(ql_parse_bool("True", 4, &v, NULL), QL_OK);
    assert_true(v);
    assert_int_equal(ql_parse_bool("1", 1, &v, NULL), QL_OK);
    assert_true(v);
    assert_int_equal(ql_parse_bool("OFF", 3, &v, NULL), QL_OK);
    assert_false(v);
    assert_int_equal(ql_parse_bool("tru", 3, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_bool("truex", 5, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_bool("2", 1, &v, NULL), QL_EPARSE);
    assert_int_equal(ql_parse_bool("", 0, &v, NULL), QL_EPARSE);
}

static void agent_ids_are_short_plain_words(void **state)
{
    char longest[QL_AGENT_ID_MAX + 1];

    (void)state;
    memset(longest, 'a', sizeof longest);
    assert_true(ql_agent_id_ok("d432fbb3-d2f1-4a97-9ef7-75bd81c00000", 36));
    assert_true(ql_agent_id_ok("Host_1.example.org", 18));
    assert_true(ql_agent_id_ok(longest, QL_AGENT_ID_MAX));
    assert_false(ql_agent_id_ok(longest, QL_AGENT_ID_MAX + 1));
    assert_false(ql_agent_id_ok("", 0));
    assert_false(ql_agent_id_ok("a/b", 3));
    assert_false(ql_agent_id_ok("a b", 3));
    assert_false(ql_agent_id_ok("a\0b", 3));
    assert_false(ql_agent_id_ok("\xc3\xa9", 2));
}

static void component_names_are_lower_case(void **state)
{
    (void)state;
    assert_true(ql_component_name_ok("tpm-policy2", 11));
    assert_false(ql_component_name_ok("Ima", 3));
    assert_false(ql_component_name_ok("a_b", 3));
    assert_false(ql_component_name_ok("", 0));
    assert_true(ql_component_name_ok("01234567890123456789012345678901", 32));
    assert_false(ql_component_name_ok("012345678901234567890123456789012", 33));
}

static void utf8_is_looked_at_in_every_place(void **state)
{
    char text[25];

    (void)state;
    for (size_t len = 1; len < sizeof text; len++)
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', len);
            text[at] = 0x7f;
            assert_true(ql_utf8_ok(text, len));
            text[at] = 1;
            assert_true(ql_utf8_ok(text, len));
            text[at] = 0;
            assert_false(ql_utf8_ok(text, len));
            text[at] = (char)0x80;
            assert_false(ql_utf8_ok(text, len));
            text[at] = (char)0xc3;
            assert_false(ql_utf8_ok(text, len));
            if (at + 1 == len)
                continue;
            text[at + 1] = (char)0xa9;
            assert_true(ql_utf8_ok(text, len));
            assert_false(ql_utf8_ok(text, at + 1));
        }
}

static void utf8_has_one_spelling_for_each_character(void **state)
{
    (void)state;
    assert_true(ql_utf8_ok("", 0));
    assert_true(ql_utf8_ok("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f", 11));
    assert_true(ql_utf8_ok("\xf4\x8f\xbf\xbf", 4));
    assert_false(ql_utf8_ok("a\0", 2));
    assert_false(ql_utf8_ok("\xc0\x80", 2));
    assert_false(ql_utf8_ok("\xc1\xbf", 2));
    assert_false(ql_utf8_ok("\xe0\x9f\xbf", 3));
    assert_false(ql_utf8_ok("\xf0\x8f\xbf\xbf", 4));
    assert_false(ql_utf8_ok("\xed\xa0\x80", 3));
    assert_false(ql_utf8_ok("\xf4\x90\x80\x80", 4));
    assert_false(ql_utf8_ok("\xff", 1));
    assert_false(ql_utf8_ok("\x80", 1));
    for (size_t cut = 1; cut < 4; cut++)
        assert_false(ql_utf8_ok("\xf0\x9f\x98\x80", cut));
    assert_false(ql_utf8_ok("\xe2\x82z", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_takes_digits_and_nothing_else),
        cmocka_unit_test(u64_refuses_what_does_not_fit),
        cmocka_unit_test(i64_reaches_both_ends),
        cmocka_unit_test(hex_takes_32_bits),
        cmocka_unit_test(size_knows_units_and_hex),
        cmocka_unit_test(float_is_a_plain_decimal),
        cmocka_unit_test(bool_knows_eight_words),
        cmocka_unit_test(agent_ids_are_short_plain_words),
        cmocka_unit_test(component_names_are_lower_case),
        cmocka_unit_test(utf8_has_one_spelling_for_each_character),
        cmocka_unit_test(utf8_is_looked_at_in_every_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
