/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include "config.h"
#include "config_file.h"

static int parse(const char *text, struct ql_err *err)
{
    struct ql_config_file f;
    int r = ql_config_file_parse("x.conf", text, strlen(text), &f, err);

    if (r == QL_OK)
        ql_config_file_done(&f);
    return r;
}

static void grammar_errors_name_file_and_line(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(parse("a = 1;\nb = ;\n", &err), QL_EPARSE);
    assert_int_equal(strncmp(err.text, "x.conf:2:", 9), 0);
    assert_int_equal(parse("a = 1;\n\na = 2;\n", &err), QL_EPARSE);
    assert_int_equal(strncmp(err.text, "x.conf:3:", 9), 0);
}

static void integers_that_releases_read_differently_are_refused(void **state)
{
    static const char *const bad[] = {
        "99999999999", "1234567890",   "-1234567890",  "0xFFFFFFFF", "0x80000000",
        "0X123456789", "1234567890L",  "010",          "00",         "-007",
        "0000000001",  "1234567890LL", "0x100000000L",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ql_err err = QL_ERR_INIT;
        char text[100];

        snprintf(text, sizeof text, "g = {\n a = 1;\n b = %s;\n};", bad[i]);
        assert_int_equal(parse(text, &err), QL_ERANGE);
        assert_int_equal(strncmp(err.text, "x.conf:3:", 9), 0);
        assert_non_null(strstr(err.text, "in quotes"));
    }
}

static void other_numbers_pass(void **state)
{
    static const char *const good[] = {
        "0",
        "123456789",
        "-123456789",
        "0x7FFFFFFF",
        "0x0",
        "0x408400",
        "1.5",
        "0.1",
        "-1.5",
        "12345678901.25",
        "1e3",
        "1.5E-5",
        "5L",
        "true",
        "\"9999999999\"",
        "[1, 2, 3]",
        "\"0xFFFFFFFF\"",
        "( 1, 2 )",
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ql_err err = QL_ERR_INIT;
        char text[100];

        snprintf(text, sizeof text, "a = %s;", good[i]);
        if (parse(text, &err) != QL_OK)
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void digits_in_names_comments_and_strings_are_no_numbers(void **state)
{
    (void)state;
    assert_int_equal(parse("a1234567890123 = 1;", NULL), QL_OK);
    assert_int_equal(parse("a-1234567890123 = 1; a_1234567890123 = 1; *1234567890123 = 1;", NULL), QL_OK);
    assert_int_equal(parse("# 1234567890123\n// 1234567890123 \" @\n/* 1234567890123 \n \" */ a = 1;", NULL),
                     QL_OK);
    assert_int_equal(parse("a = \"1234567890123 # \\\" @include /* \";", NULL), QL_OK);
    assert_int_equal(parse("a = \"\\\\\"; b = 1234567890123;", NULL), QL_ERANGE);
    assert_int_equal(parse("a = 1; # \"\nb = 1234567890123;", NULL), QL_ERANGE);
    assert_int_equal(parse("/* \" */ b = 1234567890123; // \"", NULL), QL_ERANGE);
}

static void include_is_refused(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(parse("a = 1;\n@include \"/etc/shadow\"\n", &err), QL_EPARSE);
    assert_int_equal(strncmp(err.text, "x.conf:2:", 9), 0);
    assert_non_null(strstr(err.text, "conf.d"));
    assert_int_equal(parse("  @include \"x\"", &err), QL_EPARSE);
    assert_int_equal(parse("/* */@include \"x\"", &err), QL_EPARSE);
}

static void nul_and_bad_utf8_are_refused(void **state)
{
    struct ql_config_file f;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_config_file_parse("x.conf", "a = 1;\0b = 2;", 13, &f, &err), QL_EPARSE);
    assert_int_equal(parse("a = \"\xff\";", &err), QL_EPARSE);
    assert_int_equal(parse("\na = \"x\\x00y\";", &err), QL_EPARSE);
    assert_int_equal(strncmp(err.text, "x.conf:2:", 9), 0);
    assert_int_equal(parse("a = \"\\\\x00\";", &err), QL_OK);
}

static void nesting_and_size_are_limited(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    char *text = malloc(QL_CONFIG_FILE_MAX + 2);

    (void)state;
    assert_non_null(text);
    memset(text, '(', QL_CONFIG_FILE_MAX);
    memcpy(text, "a =", 3);
    text[QL_CONFIG_FILE_MAX] = '\0';
    assert_int_equal(parse(text, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "x.conf:1:"));
    memset(text, ' ', QL_CONFIG_FILE_MAX);
    assert_int_equal(parse(text, &err), QL_OK);
    strcpy(text + QL_CONFIG_FILE_MAX, " ");
    assert_int_equal(parse(text, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "1048576"));
    free(text);
}

/* Most cuts are errors of the grammar; none may do more than fail. */
static void every_truncation_is_survived(void **state)
{
    static const char text[] = "g = { a = \"x\\\"\"; b = [1, 0x20]; /* c */ # d\n e = ( { f = 1.5; } ); };";

    (void)state;
    assert_int_equal(parse(text, NULL), QL_OK);
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = malloc(len > 0 ? len : 1);
        struct ql_config_file f;

        assert_non_null(copy);
        memcpy(copy, text, len);
        if (ql_config_file_parse("x", copy, len, &f, NULL) == QL_OK)
            ql_config_file_done(&f);
        free(copy);
    }
    assert_int_equal(parse("g = { a = 1; }; }", NULL), QL_EPARSE);
}

static void missing_file_is_told_apart(void **state)
{
    struct ql_config_file f;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(ql_config_file_read(tempdir_path(*state, "none"), &f, &err), QL_ENOTFOUND);
    tempdir_put(*state, "x.conf", "a = ;");
    assert_int_equal(ql_config_file_read(tempdir_path(*state, "x.conf"), &f, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "x.conf:1:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar_errors_name_file_and_line),
        cmocka_unit_test(integers_that_releases_read_differently_are_refused),
        cmocka_unit_test(other_numbers_pass),
        cmocka_unit_test(digits_in_names_comments_and_strings_are_no_numbers),
        cmocka_unit_test(include_is_refused),
        cmocka_unit_test(nul_and_bad_utf8_are_refused),
        cmocka_unit_test(nesting_and_size_are_limited),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test_setup_teardown(missing_file_is_told_apart, tempdir_make, tempdir_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
