/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"
#include "cleanup.h"

/* Parse literals; the parser changes none of them. */
#define PARSE(args, err, ...)                                                                                \
    ql_args_parse((int)QL_ARRAY_LEN(((const char *[]){"tenant", __VA_ARGS__})),                              \
                  (char **)(uintptr_t)(const char *[]){"tenant", __VA_ARGS__}, args, err)

static void args_take_short_and_long_names(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "-c", "add", "-tp", "9002", "-t", "10.0.0.1", "--uuid", "x", "--verify"),
                     QL_OK);
    assert_string_equal(ql_arg(&a, QL_ARG_COMMAND), "add");
    assert_string_equal(ql_arg(&a, QL_ARG_TARGET_PORT), "9002");
    assert_string_equal(ql_arg(&a, QL_ARG_TARGET_HOST), "10.0.0.1");
    assert_string_equal(ql_arg(&a, QL_ARG_UUID), "x");
    assert_true(ql_arg_given(&a, QL_ARG_VERIFY));
    assert_false(ql_arg_given(&a, QL_ARG_CERT));
    assert_null(ql_arg(&a, QL_ARG_CERT));
}

static void args_take_values_after_an_equals_sign(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "--command=status", "--tpm_policy={\"15\": \"a=b\"}"), QL_OK);
    assert_string_equal(ql_arg(&a, QL_ARG_COMMAND), "status");
    assert_string_equal(ql_arg(&a, QL_ARG_TPM_POLICY), "{\"15\": \"a=b\"}");
}

static void args_take_unambiguous_prefixes_of_long_names(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "--comm", "add", "--runtime-policy-n", "p", "--targeth", "h"), QL_OK);
    assert_string_equal(ql_arg(&a, QL_ARG_COMMAND), "add");
    assert_string_equal(ql_arg(&a, QL_ARG_RUNTIME_POLICY_NAME), "p");
    assert_string_equal(ql_arg(&a, QL_ARG_TARGET_HOST), "h");
}

static void args_refuse_ambiguous_prefixes(void **state)
{
    struct ql_args a;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(PARSE(&a, &err, "--target", "h"), QL_EPARSE);
    assert_non_null(strstr(err.text, "ambiguous option: --target could match --targethost, --targetport"));
}

static void args_prefer_an_exact_name_to_longer_ones(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "--runtime-policy", "file", "--cv", "host"), QL_OK);
    assert_string_equal(ql_arg(&a, QL_ARG_RUNTIME_POLICY), "file");
    assert_string_equal(ql_arg(&a, QL_ARG_CV), "host");
}

static void args_refuse_what_they_do_not_know(void **state)
{
    struct ql_args a;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(PARSE(&a, &err, "--nosuch"), QL_EPARSE);
    assert_string_equal(err.text, "unrecognized arguments: --nosuch");
    assert_int_equal(PARSE(&a, &err, "word", "-u", "one", "word"), QL_EPARSE);
    assert_string_equal(err.text, "unrecognized arguments: word");
    assert_int_equal(PARSE(&a, &err, ""), QL_EPARSE);
    assert_int_equal(PARSE(&a, &err, "-c"), QL_EPARSE);
    assert_string_equal(err.text, "argument -c: expected one argument");
    assert_int_equal(PARSE(&a, &err, "--verify=yes"), QL_EPARSE);
}

static void args_keep_one_word_that_is_no_option_for_commands_that_take_it(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "-c", "record", "-u", "one", "folder"), QL_OK);
    assert_string_equal(a.operand, "folder");
    assert_int_equal(PARSE(&a, NULL, "-c", "record"), QL_OK);
    assert_null(a.operand);
}

static void args_keep_every_value_of_a_repeatable_option_and_the_last_of_others(void **state)
{
    struct ql_args a;

    (void)state;
    assert_int_equal(PARSE(&a, NULL, "--policy", "a=1", "--policy", "b=2", "-u", "one", "-u", "two"), QL_OK);
    assert_int_equal(a.count[QL_ARG_POLICY], 2);
    assert_string_equal(a.values[QL_ARG_POLICY][0], "a=1");
    assert_string_equal(a.values[QL_ARG_POLICY][1], "b=2");
    assert_string_equal(ql_arg(&a, QL_ARG_UUID), "two");
}

static void args_limit_repetition(void **state)
{
    const char *argv[2 * (QL_ARG_VALUES_MAX + 1) + 1] = {"tenant"};
    struct ql_args a;

    (void)state;
    for (size_t i = 1; i + 1 < QL_ARRAY_LEN(argv) + 1; i += 2) {
        argv[i] = "--policy";
        argv[i + 1] = "a=b";
    }
    assert_int_equal(ql_args_parse((int)QL_ARRAY_LEN(argv), (char **)(uintptr_t)argv, &a, NULL), QL_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(args_take_short_and_long_names),
        cmocka_unit_test(args_take_values_after_an_equals_sign),
        cmocka_unit_test(args_take_unambiguous_prefixes_of_long_names),
        cmocka_unit_test(args_refuse_ambiguous_prefixes),
        cmocka_unit_test(args_prefer_an_exact_name_to_longer_ones),
        cmocka_unit_test(args_refuse_what_they_do_not_know),
        cmocka_unit_test(args_keep_one_word_that_is_no_option_for_commands_that_take_it),
        cmocka_unit_test(args_keep_every_value_of_a_repeatable_option_and_the_last_of_others),
        cmocka_unit_test(args_limit_repetition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
