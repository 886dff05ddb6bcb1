/* SPDX-License-Identifier: Apache-2.0 */
#include "../vectors.h"

#include "tenant.h"

static void policy_becomes_lower_case_lists_and_a_mask(void **state)
{
    char *text = NULL;
    uint32_t mask;

    (void)state;
    assert_int_equal(
        ql_tpm_policy_text("{\"22\": \"FFaa\", \"15\": [\"00\", \"01\"]}", 0, &text, &mask, NULL), QL_OK);
    assert_string_equal(text, "{\"22\": [\"ffaa\"], \"15\": [\"00\", \"01\"], \"mask\": \"0x408000\"}");
    assert_int_equal(mask, 0x408000);
    free(text);
    assert_int_equal(ql_tpm_policy_text("{}", 0x400, &text, &mask, NULL), QL_OK);
    assert_string_equal(text, "{\"mask\": \"0x400\"}");
    free(text);
}

static void policy_refuses_pcrs_that_are_taken_or_do_not_exist(void **state)
{
    static const char *const refused[] = {"{\"16\": \"00\"}", "{\"10\": \"00\"}", "{\"24\": \"00\"}",
                                          "{\"-1\": \"00\"}", "{\"x\": \"00\"}",  "{\"\": \"00\"}"};
    struct ql_err err = QL_ERR_INIT;
    char *text = NULL;
    uint32_t mask;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (ql_tpm_policy_text(refused[i], 0, &text, &mask, &err) != QL_ERANGE)
            fail_msg("%s was taken", refused[i]);
    assert_int_equal(ql_tpm_policy_text("{\"7\": \"00\"}", 0xfbff, &text, &mask, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "PCR 7 is specified in \"tpm_policy\", but will in fact be used by"));
    assert_null(text);
}

static void policy_refuses_values_that_are_not_hex(void **state)
{
    static const char *const refused[] = {"{\"7\": \"0g\"}", "{\"7\": 5}", "{\"7\": [null]}", "[]",
                                          "{\"7\": ",        "7"};
    char *text = NULL;
    uint32_t mask;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (ql_tpm_policy_text(refused[i], 0, &text, &mask, NULL) == QL_OK)
            fail_msg("%s was taken", refused[i]);
    assert_null(text);
}

static void states_have_the_words_that_scripts_wait_for(void **state)
{
    (void)state;
    assert_string_equal(ql_state_text(3), "Get Quote");
    assert_string_equal(ql_state_text(7), "Failed");
    assert_string_equal(ql_state_text(9), "Invalid Quote");
    assert_string_equal(ql_state_text(10), "Tenant Quote Failed");
    assert_string_equal(ql_state_text(11), "Unknown");
    assert_string_equal(ql_state_text(-1), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_becomes_lower_case_lists_and_a_mask),
        cmocka_unit_test(policy_refuses_pcrs_that_are_taken_or_do_not_exist),
        cmocka_unit_test(policy_refuses_values_that_are_not_hex),
        cmocka_unit_test(states_have_the_words_that_scripts_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
