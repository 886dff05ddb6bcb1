/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

/*
 * What the failure must be called, by the check that the vector says must fail; NULL: any of several is
 * right.
 */
static const char *event_of_stage(const char *stage)
{
    static const struct {
        const char *stage, *event;
    } events[] = {
        {"format", "qoute_validation.invalid_quote"},
        {"pcr_blob", "qoute_validation.quote_validation"},
        {"attest", "qoute_validation.quote_validation"},
        {"signature", "qoute_validation.quote_validation"},
        {"signature_scheme", "qoute_validation.quote_validation"},
        {"magic", "qoute_validation.quote_validation"},
        {"attest_type", "qoute_validation.quote_validation"},
        {"nonce", "qoute_validation.quote_validation"},
        {"pcr_selection", "qoute_validation.quote_validation"},
        {"pcr_digest", "qoute_validation.quote_validation"},
        {"clock", "qoute_validation.quote_validation"},
        {"hash_alg", "qoute_validation."},
        {"data_pcr", "pcr_validation."},
        {"pcr_missing", "pcr_validation.missing_pcrs"},
        {"tpm_policy", "pcr_validation."},
        {"ima_list_missing", "pcr_validation.unused_pcr_10"},
    };

    for (size_t i = 0; i < QL_ARRAY_LEN(events); i++)
        if (strcmp(events[i].stage, stage) == 0)
            return events[i].event;
    fail_msg("stage %s is not known", stage);
    return NULL;
}

/* Each recorded quote gets the verdict that it must get, with an event of the right component. */
static void judge_file(const char *name, size_t at_least)
{
    json_t *file = vectors(name);
    struct ql_registry *registry = load_tpm_policy();
    const json_t *c;
    size_t i, other_stage = 0;

    assert_true(json_array_size(json_object_get(file, "cases")) >= at_least);
    json_array_foreach(json_object_get(file, "cases"), i, c) {
        const json_t *required = json_object_get(c, "required");
        bool pass = json_is_true(json_object_get(required, "pass"));
        struct judged j;

        judged_of_case(&j, registry, c);
        judge(&j);
        if ((j.out.kind == QL_VERDICT_PASS) != pass)
            fail_msg("%s: %s", text_of(c, "name"),
                     j.out.failure_count ? json_dumps(j.out.failures[0].context, 0) : "passed");
        if (pass) {
            assert_int_equal(j.out.failure_count, 0);
            assert_true(j.out.quote_ok);
            assert_string_equal(j.out.pubkey, text_of(c, "nk_pub_pem"));
            assert_int_equal(j.out.nk_n_len, 256);
        } else {
            const char *event = event_of_stage(text_of(required, "stage"));

            assert_true(j.out.failure_count > 0);
            assert_int_equal(j.out.state_count, 0);
            assert_null(j.out.facts);
            if (strncmp(j.out.failures[0].event_id, event, strlen(event)) != 0) {
                print_message("%s: %s instead of %s\n", text_of(c, "name"), j.out.failures[0].event_id,
                              event);
                other_stage++;
            }
        }
        judged_done(&j);
    }
    /* Where several checks would fail any of them may be the one; that must stay the exception. */
    assert_true(other_stage <= 8);
    ql_registry_free(registry);
    json_decref(file);
}

static void valid_quotes_pass(void **state)
{
    (void)state;
    judge_file("agent/quotes_valid.json", 20);
}

static void invalid_quotes_fail_with_the_event_of_their_stage(void **state)
{
    (void)state;
    judge_file("agent/quotes_invalid.json", 118);
}

/* The same through the one-shot call, which is what quicklime-verify runs. */
static void oneshot_file(const char *name)
{
    json_t *file = vectors(name);
    struct ql_registry *registry = load_tpm_policy();
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(file, "cases"), i, c) {
        bool pass = json_is_true(json_object_get(json_object_get(c, "required"), "pass"));
        const json_t *policy = json_object_get(c, "tpm_policy");
        char *policy_text = json_is_object(policy) ? json_dumps(policy, 0) : strdup("{}");
        json_t *body = json_pack(
            "{s:s, s:{s:O, s:O, s:O, s:O, s:O, s:s, s:O, s:O, s:O, s:s, s:O, s:[ssss], s:[sssss]}}", "type",
            "tpm", "data", "quote", json_object_get(c, "quote"), "nonce", json_object_get(c, "nonce"),
            "hash_alg", json_object_get(c, "hash_alg"), "enc_alg", json_object_get(c, "enc_alg"), "sign_alg",
            json_object_get(c, "sign_alg"), "tpm_ek", "any", "tpm_ak", json_object_get(c, "ak_tpm"), "pubkey",
            json_object_get(c, "nk_pub_pem"), "mask", json_object_get(c, "mask"), "tpm_policy", policy_text,
            "previous_clock", json_object_get(c, "previous_clock"), "accept_tpm_hash_algs", "sha1", "sha256",
            "sha384", "sha512", "accept_tpm_encryption_algs", "rsa", "rsa3072", "ecc", "ecc384", "ecc521");
        char *text = json_dumps(body, 0);
        json_t *result = NULL;
        struct ql_err err = QL_ERR_INIT;
        int http = 0;

        if (ql_verify_oneshot(registry, text, strlen(text), true, NULL, NULL, &result, &http, &err) < 0)
            fail_msg("%s: %s", text_of(c, "name"), err.text);
        assert_int_equal(http, json_string_length(json_object_get(c, "nonce")) > 0 ? 200 : 400);
        if (json_is_true(json_object_get(result, "valid")) != pass)
            fail_msg("%s: %s", text_of(c, "name"), json_dumps(json_object_get(result, "failures"), 0));
        json_decref(result);
        json_decref(body);
        free(text);
        free(policy_text);
    }
    ql_registry_free(registry);
    json_decref(file);
}

static void oneshot_calls_give_the_same_verdicts(void **state)
{
    (void)state;
    oneshot_file("agent/quotes_valid.json");
    oneshot_file("agent/quotes_invalid.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_quotes_pass),
        cmocka_unit_test(invalid_quotes_fail_with_the_event_of_their_stage),
        cmocka_unit_test(oneshot_calls_give_the_same_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
