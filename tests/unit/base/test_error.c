/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "error.h"
#include "parse.h"

static void fail_fills_code_and_text(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_fail(&err, QL_EPARSE, "PCR %u sent twice", 7u), QL_EPARSE);
    assert_int_equal(err.code, QL_EPARSE);
    assert_string_equal(err.text, "PCR 7 sent twice");
}

static void fail_without_err_still_returns_the_code(void **state)
{
    (void)state;
    assert_int_equal(ql_fail(NULL, QL_EIO, "x"), QL_EIO);
    assert_int_equal(ql_fail_context(NULL, QL_ELIMIT, "x"), QL_ELIMIT);
    assert_int_equal(ql_fail_nomem(NULL), QL_ENOMEM);
}

static void text_stays_one_line(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    ql_fail(&err, QL_EPARSE, "a\nb\rc\x1b[31md\x7f");
    assert_string_equal(err.text, "a?b?c?[31md?");
    ql_fail(&err, QL_EPARSE, "caf\xc3\xa9 \xff \xc2\x9b");
    assert_string_equal(err.text, "caf\xc3\xa9 ? ?");
}

static void long_text_is_cut_between_characters(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text);
    for (size_t start = 490; start < 510; start++) {
        for (size_t i = start; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        text[sizeof text - 1] = '\0';
        ql_fail(&err, QL_EPARSE, "%.1500s", text);
        assert_true(strlen(err.text) >= sizeof err.text - 3 && strlen(err.text) < sizeof err.text);
        assert_true(ql_utf8_ok(err.text, strlen(err.text) - 1) || ql_utf8_ok(err.text, strlen(err.text)));
        memset(text, 'x', sizeof text);
    }
}

static void text_fits_into_an_older_smaller_struct(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    memset(err.text, '!', sizeof err.text);
    err.size = offsetof(struct ql_err, text) + 8;
    ql_fail(&err, QL_EPARSE, "0123456789");
    assert_string_equal(err.text, "0123456");
    assert_int_equal(err.text[8], '!');
}

static void context_comes_first_and_keeps_the_code(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    ql_fail(&err, QL_ERANGE, "70000 is too large");
    assert_int_equal(ql_fail_context(&err, QL_EPARSE, "port of %s", "verifier"), QL_ERANGE);
    assert_string_equal(err.text, "port of verifier: 70000 is too large");
}

static void context_may_be_made_of_the_text_itself(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    ql_fail(&err, QL_ERANGE, "inner");
    ql_fail(&err, err.code, "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(ql_err_name(QL_OK), "OK");
    assert_string_equal(ql_err_name(QL_EPARSE), "EPARSE");
    assert_string_equal(ql_err_name(QL_ECORRUPT), "ECORRUPT");
    assert_string_equal(ql_err_name(QL_EINTERNAL), "EINTERNAL");
    for (int code = QL_EINTERNAL; code < 0; code++)
        assert_int_equal(ql_err_name(code)[0], 'E');
    assert_string_equal(ql_err_name(1), "E?");
    assert_string_equal(ql_err_name(QL_EINTERNAL - 1), "E?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_code_and_text),
        cmocka_unit_test(fail_without_err_still_returns_the_code),
        cmocka_unit_test(text_stays_one_line),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(text_fits_into_an_older_smaller_struct),
        cmocka_unit_test(context_comes_first_and_keeps_the_code),
        cmocka_unit_test(context_may_be_made_of_the_text_itself),
        cmocka_unit_test(every_code_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
