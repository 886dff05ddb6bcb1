/* SPDX-License-Identifier: Apache-2.0 */
#include "addition.h"
#include "encode.h"
#include "helpers.h"

static const struct ql_addition_rules rules = {.agent_id = "a1",
                                               .verifier_id = "default",
                                               .verifier_ip = "127.0.0.1",
                                               .verifier_port = 8881,
                                               .mtls_needed = true};

/* What Keylime's tenant posts, as recorded. */
static json_t *recorded(const char *note)
{
    ql_auto_json json_t *cases = vectors("verifier_agents_flow");
    size_t i;
    json_t *one;

    json_array_foreach(cases, i, one) {
        if (strcmp(json_string_value(json_object_get(one, "note")), note) == 0)
            return json_incref(json_object_get(json_object_get(one, "request"), "body"));
    }
    fail_msg("no case %s", note);
    return NULL;
}

static void addition_of_the_tenant_becomes_a_row(void **state)
{
    ql_auto_json json_t *body = recorded("add ok");
    struct ql_addition a = {0};
    int http = 0;

    (void)state;
    assert_int_equal(ql_addition_read(body, &rules, &a, &http, NULL), QL_OK);
    assert_string_equal(a.row.agent_id, "a1");
    assert_string_equal(a.row.ip, "127.0.0.1");
    assert_int_equal(a.row.port, 29002);
    assert_int_equal(a.row.verifier_port, 28881); /* sent as text */
    assert_int_equal(a.row.operational_state, QL_STATE_START);
    assert_int_equal(a.row.severity_level, -1);
    assert_int_equal(a.mask, 0x400);
    assert_string_equal(a.row.tpm_policy, "{\"mask\": \"0x400\"}");
    assert_int_equal(a.v_len, 32);
    assert_memory_equal(a.v, "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV", 32);
    assert_string_equal(a.row.supported_version, "2.2");
    assert_int_equal(a.policy_count, 2); /* a mask alone needs no validator */
    assert_string_equal(a.policies[0].validator, "ima");
    assert_true(a.policies[0].is_inline);
    assert_int_equal(a.policies[0].generator, 3);
    assert_null(a.policies[0].name);
    assert_string_equal(a.policies[1].validator, "mboot");
    assert_true(a.policies[1].is_null);
    ql_addition_done(&a);
}

static void addition_without_policies_gets_an_empty_one(void **state)
{
    ql_auto_json json_t *body = recorded("add ok"), *empty = NULL;
    struct ql_addition a = {0};
    int http = 0;

    (void)state;
    json_object_set_new(body, "runtime_policy", json_string(""));
    assert_int_equal(ql_addition_read(body, &rules, &a, &http, NULL), QL_OK);
    assert_true(a.policies[0].is_inline);
    assert_int_equal(a.policies[0].generator, 1);
    assert_int_equal(
        ql_json_parse_object((const char *)a.policies[0].bytes, a.policies[0].len, 4096, &empty, NULL),
        QL_OK);
    ql_addition_done(&a);
}

static void addition_with_pcrs_asks_for_their_validator(void **state)
{
    ql_auto_json json_t *body = recorded("add ok");
    struct ql_addition a = {0};
    int http = 0;

    (void)state;
    json_object_set_new(body, "tpm_policy", json_string("{\"15\": [\"00\"], \"mask\": \"0x8000\"}"));
    json_object_set_new(body, "policies", json_pack("{s:{s:i}, s:s}", "clock", "a", 1, "other", "text"));
    assert_int_equal(ql_addition_read(body, &rules, &a, &http, NULL), QL_OK);
    assert_int_equal(a.policy_count, 5);
    assert_string_equal(a.policies[0].validator, "tpm-policy");
    assert_string_equal(a.policies[0].kind, "");
    assert_string_equal(a.policies[3].validator, "clock");
    assert_string_equal((char *)a.policies[3].bytes, "{\"a\":1}");
    assert_string_equal(a.policies[4].kind, "other");
    assert_string_equal((char *)a.policies[4].bytes, "text");
    ql_addition_done(&a);
}

static void expect_refusal(const char *field, json_t *value, int want_http, const char *want)
{
    ql_auto_json json_t *body = recorded("add ok");
    struct ql_addition a = {0};
    struct ql_err err = QL_ERR_INIT;
    int http = 0;

    if (value)
        json_object_set_new(body, field, value);
    else
        json_object_del(body, field);
    if (ql_addition_read(body, &rules, &a, &http, &err) >= 0)
        fail_msg("%s was taken", field);
    assert_int_equal(http, want_http);
    assert_string_equal(err.text, want);
    assert_null(a.row.agent_id);
}

static void addition_names_what_is_missing(void **state)
{
    static const char *const fields[] = {
        "cloudagent_ip",
        "cloudagent_port",
        "tpm_policy",
        "metadata",
        "ima_sign_verification_keys",
        "revocation_key",
        "accept_tpm_hash_algs",
        "accept_tpm_encryption_algs",
        "accept_tpm_signing_algs",
        "ak_tpm",
        "mb_policy",
        "mb_policy_name",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(fields); i++) {
        char want[96];

        (void)snprintf(want, sizeof want, "Exception error: '%s'", fields[i]);
        expect_refusal(fields[i], NULL, 400, want);
    }
}

static void addition_refuses_in_keylimes_words(void **state)
{
    (void)state;
    expect_refusal("mtls_cert", json_string("disabled"), 400, "mTLS certificate for agent is required!");
    expect_refusal("mtls_cert", json_null(), 400, "mTLS certificate for agent is required!");
    expect_refusal("cloudagent_port", json_string("abc"), 400,
                   "Exception error: invalid literal for int() with base 10: 'abc'");
    expect_refusal("runtime_policy", NULL, 400,
                   "Exception error: argument should be a bytes-like object or ASCII string, not 'NoneType'");
    expect_refusal("runtime_policy", json_string("@@"), 400, "Runtime policy is not valid JSON!");
    expect_refusal("runtime_policy", json_string("ew=="), 400, "Runtime policy is not valid JSON!");
}

static void addition_without_mtls_is_taken_where_it_is_off(void **state)
{
    ql_auto_json json_t *body = recorded("add ok");
    struct ql_addition_rules plain = rules;
    struct ql_addition a = {0};
    int http = 0;

    (void)state;
    plain.mtls_needed = false;
    json_object_set_new(body, "mtls_cert", json_string("disabled"));
    assert_int_equal(ql_addition_read(body, &plain, &a, &http, NULL), QL_OK);
    ql_addition_done(&a);
}

static void runtime_policies_are_marked_where_they_must_be_signed(void **state)
{
    ql_auto_json json_t *body = recorded("add ok");
    struct ql_addition_rules strict = rules;
    struct ql_addition a = {0};
    size_t marked = 0;
    int http = 0;

    (void)state;
    for (unsigned is_strict = 0; is_strict < 2; is_strict++) {
        strict.signed_policies = is_strict;
        assert_int_equal(ql_addition_read(body, &strict, &a, &http, NULL), QL_OK);
        for (size_t i = 0; i < a.policy_count; i++)
            marked += strcmp(a.policies[i].validator, "ima") == 0 && a.policies[i].must_be_signed;
        ql_addition_done(&a);
    }
    assert_int_equal(marked, 1);
}

static void runtime_policies_of_generator_1_are_empty(void **state)
{
    static const struct {
        const char *json;
        bool is_empty;
        int generator;
    } cases[] = {
        {"{\"meta\": {\"generator\": 1}}", true, 1},
        {"{\"meta\": {\"generator\": 3}}", false, 3},
        {"{\"meta\": {}}", false, 0},
        {"{}", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        ql_auto_free char *base64 = ql_base64_dup(cases[i].json, strlen(cases[i].json)), *text = NULL;
        size_t len = 0;
        bool is_empty;
        int64_t generator;

        assert_int_equal(
            ql_runtime_policy_read(base64, strlen(base64), &text, &len, &is_empty, &generator, NULL), QL_OK);
        assert_string_equal(text, cases[i].json);
        assert_int_equal(is_empty, cases[i].is_empty);
        assert_int_equal(generator, cases[i].generator);
    }
}

static void mb_policies_that_judge_nothing_are_empty(void **state)
{
    static const char *const empty[] = {"", "{}", " { } ", "[]", "\"\"", "0", "0.0", "false"},
                             *const full[] = {"{\"a\": 1}", "[0]", "x", "7", "null", "true", "\"0\""};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(empty); i++)
        assert_true(ql_mb_policy_is_empty(empty[i], strlen(empty[i])));
    for (size_t i = 0; i < QL_ARRAY_LEN(full); i++)
        assert_false(ql_mb_policy_is_empty(full[i], strlen(full[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addition_of_the_tenant_becomes_a_row),
        cmocka_unit_test(addition_without_policies_gets_an_empty_one),
        cmocka_unit_test(addition_with_pcrs_asks_for_their_validator),
        cmocka_unit_test(addition_names_what_is_missing),
        cmocka_unit_test(addition_refuses_in_keylimes_words),
        cmocka_unit_test(addition_without_mtls_is_taken_where_it_is_off),
        cmocka_unit_test(runtime_policies_are_marked_where_they_must_be_signed),
        cmocka_unit_test(runtime_policies_of_generator_1_are_empty),
        cmocka_unit_test(mb_policies_that_judge_nothing_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
