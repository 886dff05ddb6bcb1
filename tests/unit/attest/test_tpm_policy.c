/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

static struct ql_registry *registry;

static int load(void **state)
{
    (void)state;
    registry = load_tpm_policy();
    return 0;
}

static int unload(void **state)
{
    (void)state;
    ql_registry_free(registry);
    return 0;
}

#define SHA1_HEX   "0123456789abcdef0123456789ABCDEF01234567"
#define SHA256_HEX "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789ABCDEF"
#define SHA384_HEX SHA256_HEX "0123456789abcdef0123456789ABCDEF"

static void policies_say_which_pcrs_they_need(void **state)
{
    static const struct {
        const char *policy;
        uint32_t mask;
    } wanted[] = {
        {"{}", 0},
        {"{\"mask\": \"0x0\"}", 0},
        {"{\"mask\": \"408000\"}", 0x408000},
        {"{\"mask\": \"0XffFFff\"}", 0xffffff},
        {"{\"0\": \"" SHA1_HEX "\"}", 1},
        {"{\"23\": [\"" SHA1_HEX "\", \"" SHA384_HEX "\"], \"mask\": \"0x400\"}", 0x800400},
        {"{\"9\": \"" SHA256_HEX "\", \"11\": [\"" SHA256_HEX SHA256_HEX "\"]}", 0xa00},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(wanted); i++) {
        ql_auto(ql_policy_freep) struct ql_policy *p = NULL;
        struct ql_err err = QL_ERR_INIT;

        if (ql_policy_compile(registry, "tpm-policy", (const uint8_t *)wanted[i].policy,
                              strlen(wanted[i].policy), QL_ORIGIN_UPLOAD, &p, &err) < 0)
            fail_msg("%s: %s", wanted[i].policy, err.text);
        assert_int_equal(p->needs.pcr_mask, wanted[i].mask);
        assert_int_equal(p->needs.item_count, 0);
    }
}

static void policies_out_of_form_are_refused_with_the_place(void **state)
{
    static const struct {
        const char *policy, *text;
    } bad[] = {
        {"", "line"},
        {"nonsense", "line 1"},
        {"[]", "not an object"},
        {"{\"1\": \"" SHA1_HEX "\", \"1\": \"" SHA1_HEX "\"}", "duplicate"},
        {"{\"24\": \"" SHA1_HEX "\"}", "key \"24\" is neither"},
        {"{\"-1\": \"" SHA1_HEX "\"}", "key \"-1\" is neither"},
        {"{\"01\": \"" SHA1_HEX "\"}", "key \"01\" is neither"},
        {"{\"\": \"" SHA1_HEX "\"}", "key \"\" is neither"},
        {"{\"a\": \"" SHA1_HEX "\"}", "key \"a\" is neither"},
        {"{\"16\": \"" SHA1_HEX "\"}", "PCR 16 cannot be pinned"},
        {"{\"10\": \"" SHA1_HEX "\"}", "PCR 10 cannot be pinned"},
        {"{\"1\": []}", "PCR 1 has an empty list"},
        {"{\"1\": 7}", "PCR 1, value 1"},
        {"{\"1\": null}", "PCR 1, value 1"},
        {"{\"1\": [\"" SHA1_HEX "\", 7]}", "PCR 1, value 2"},
        {"{\"1\": [[\"" SHA1_HEX "\"]]}", "PCR 1, value 1"},
        {"{\"1\": \"\"}", "PCR 1, value 1"},
        {"{\"1\": \"" SHA1_HEX "0\"}", "PCR 1, value 1"},
        {"{\"1\": \"" SHA1_HEX "00\"}", "PCR 1, value 1"},
        {"{\"1\": \"0x" SHA1_HEX "\"}", "PCR 1, value 1"},
        {"{\"1\": \"g123456789abcdef0123456789ABCDEF01234567\"}", "PCR 1, value 1"},
        {"{\"mask\": 7}", "mask is not hex text"},
        {"{\"mask\": \"\"}", "mask is not hex text"},
        {"{\"mask\": \"0x\"}", "mask is not hex text"},
        {"{\"mask\": \"nonsense\"}", "mask is not hex text"},
        {"{\"mask\": \"0x1000000\"}", "mask is not hex text"},
        {"{\"mask\": \"0x100000000\"}", "mask is not hex text"},
        {"{\"Mask\": \"0x0\"}", "key \"Mask\" is neither"},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_policy *p = NULL;
        struct ql_err err = QL_ERR_INIT;

        assert_true(ql_policy_compile(registry, "tpm-policy", (const uint8_t *)bad[i].policy,
                                      strlen(bad[i].policy), QL_ORIGIN_UPLOAD, &p, &err) < 0);
        assert_null(p);
        if (!strstr(err.text, bad[i].text))
            fail_msg("%s: %s", bad[i].policy, err.text);
    }
}

static void every_truncation_of_a_policy_is_refused(void **state)
{
    static const char text[] = "{\"0\": [\"" SHA1_HEX "\", \"" SHA256_HEX "\"], \"mask\": \"0xff\"}";

    (void)state;
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        struct ql_policy *p = NULL;
        int r =
            ql_policy_compile(registry, "tpm-policy", (const uint8_t *)text, cut, QL_ORIGIN_STORED, &p, NULL);

        assert_int_equal(r == QL_OK, cut == sizeof text - 1);
        ql_policy_free(p);
    }
}

/* Judge the recorded quote of PCR 0 to 7, 15 and 22 under a policy. */
static void judge_under(const char *policy, struct judged *j, json_t *file)
{
    judged_of_case(j, registry, case_named(file, "rsa2048_rsassa_sha256_mask4080ff"));
    ql_policy_free(j->policies[0]);
    j->in.policy_count = 0;
    judged_policy(j, "tpm-policy", policy);
    judge(j);
}

static void values_match_in_any_case_and_only_by_the_quoted_bank(void **state)
{
    json_t *file = vectors("agent/quotes_valid.json");
    struct judged j;

    (void)state;
    judge_under("{\"15\": [\"" SHA1_HEX
                "\", \"0000000000000000000000000000000000000000000000000000000000000000\"], "
                "\"22\": \"FFFFffffffffffffffffffffffffffffffffffffffffffffffffffffffffFFFF\"}",
                &j, file);
    assert_int_equal(j.out.kind, QL_VERDICT_PASS);
    judged_done(&j);
    json_decref(file);
}

static void value_of_another_bank_never_matches(void **state)
{
    json_t *file = vectors("agent/quotes_valid.json");
    const struct ql_failure *f;
    struct judged j;

    (void)state;
    /* PCR 15 is zero: so is this SHA-1 value, and it is not the same. */
    judge_under("{\"15\": \"0000000000000000000000000000000000000000\"}", &j, file);
    assert_int_equal(j.out.kind, QL_VERDICT_FAIL);
    f = failure_of(&j.out, "pcr_validation.invalid_pcr_15");
    assert_non_null(f);
    assert_true(f->recoverable);
    judged_done(&j);
    json_decref(file);
}

static void each_wrong_pcr_is_reported_with_both_values(void **state)
{
    json_t *file = vectors("agent/quotes_valid.json");
    const struct ql_failure *f;
    struct judged j;

    (void)state;
    judge_under("{\"7\": \"" SHA256_HEX "\", \"15\": [\"" SHA256_HEX "\", \"" SHA1_HEX "\"], \"22\": "
                "\"FFffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}",
                &j, file);
    assert_int_equal(j.out.kind, QL_VERDICT_FAIL);
    assert_int_equal(j.out.failure_count, 2);
    assert_non_null(failure_of(&j.out, "pcr_validation.invalid_pcr_7"));
    f = failure_of(&j.out, "pcr_validation.invalid_pcr_15");
    assert_string_equal(text_of(f->context, "got"),
                        "0000000000000000000000000000000000000000000000000000000000000000");
    assert_string_equal(json_string_value(json_array_get(json_object_get(f->context, "expected"), 0)),
                        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_int_equal(json_array_size(json_object_get(f->context, "expected")), 2);
    judged_done(&j);
    json_decref(file);
}

static void policy_pcrs_and_mask_must_be_quoted(void **state)
{
    json_t *file = vectors("agent/quotes_valid.json");
    const struct ql_failure *f;
    struct judged j;
    char *list;

    (void)state;
    judge_under("{\"20\": \"" SHA256_HEX "\", \"9\": \"" SHA256_HEX "\", \"mask\": \"0x800\"}", &j, file);
    assert_int_equal(j.out.kind, QL_VERDICT_FAIL);
    f = failure_of(&j.out, "pcr_validation.missing_pcrs");
    assert_false(f->recoverable);
    list = json_dumps(json_object_get(f->context, "data"), JSON_COMPACT);
    assert_string_equal(list, "[9,11,20]");
    free(list);
    judged_done(&j);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_say_which_pcrs_they_need),
        cmocka_unit_test(policies_out_of_form_are_refused_with_the_place),
        cmocka_unit_test(every_truncation_of_a_policy_is_refused),
        cmocka_unit_test(values_match_in_any_case_and_only_by_the_quoted_bank),
        cmocka_unit_test(value_of_another_bank_never_matches),
        cmocka_unit_test(each_wrong_pcr_is_reported_with_both_values),
        cmocka_unit_test(policy_pcrs_and_mask_must_be_quoted),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
