/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"
#include "status.h"

static struct ql_agent_row recorded_row(void)
{
    return (struct ql_agent_row){
        .agent_id = TEXT("d432fbb3-d2f1-4a97-9ef7-75bd81c00000"),
        .operational_state = 3,
        .v = (uint8_t[]){1, 2, 3},
        .v_len = 3,
        .ip = TEXT("127.0.0.1"),
        .port = 29002,
        .tpm_policy = TEXT("{\"mask\": \"0x400\"}"),
        .meta_data = TEXT("{}"),
        .policies = TEXT("{\"ima\":{\"name\":\"d432fbb3-d2f1-4a97-9ef7-75bd81c00000\",\"digest\":\"00\"}}"),
        .accept_hash = TEXT("[\"sha512\", \"sha384\", \"sha256\"]"),
        .accept_enc = TEXT("[\"ecc\", \"rsa\"]"),
        .accept_sign = TEXT("[\"ecschnorr\", \"rsassa\"]"),
        .hash_alg = TEXT("sha256"),
        .enc_alg = TEXT("rsa"),
        .sign_alg = TEXT("rsassa"),
        .verifier_id = TEXT("default"),
        .verifier_ip = TEXT("127.0.0.1"),
        .verifier_port = 28881,
        .severity_level = -1,
        .attestation_count = 2,
        .last_received_quote = 1795384667,
        .last_successful_attestation = 1795384667,
    };
}

/* Byte for byte what was recorded, but that V is shown to nobody. */
static void status_is_as_recorded(void **state)
{
    ql_auto_json json_t *cases = vectors("verifier_agents_flow");
    struct ql_agent_row row = recorded_row();
    ql_auto_json json_t *status = ql_status_object(&row, 2.0);
    size_t i;
    json_t *one;

    (void)state;
    json_array_foreach(cases, i, one) {
        json_t *results =
            json_object_get(json_object_get(json_object_get(one, "response"), "json"), "results");
        ql_auto_free char *want = NULL, *got = NULL;

        if (strcmp(json_string_value(json_object_get(one, "note")), "polling") != 0)
            continue;
        assert_int_equal(json_object_set_new(results, "v", json_null()), 0);
        want = ql_json_text_spaced(results);
        got = ql_json_text_spaced(status);
        assert_string_equal(got, want);
        return;
    }
    fail_msg("no recorded status");
}

static void status_tells_the_verdict_of_each_state(void **state)
{
    static const char *const want[] = {"PENDING", "PENDING", "PENDING", "PASS", "PASS", "PASS",
                                       "PASS",    "FAIL",    "PENDING", "FAIL", "FAIL"};

    (void)state;
    for (int64_t s = 0; s <= 10; s++) {
        struct ql_agent_row row = recorded_row();
        ql_auto_json json_t *status = NULL;

        row.operational_state = s;
        status = ql_status_object(&row, 2.0);
        assert_string_equal(json_string_value(json_object_get(status, "attestation_status")), want[s]);
    }
}

static void status_copes_with_rows_that_have_next_to_nothing(void **state)
{
    struct ql_agent_row row = {
        .agent_id = TEXT("x"), .severity_level = 6, .policies = TEXT("damaged"), .accept_hash = TEXT("7,")};
    ql_auto_json json_t *status = ql_status_object(&row, 0.5);

    (void)state;
    assert_int_equal(json_object_size(status), 25);
    assert_true(json_is_null(json_object_get(status, "ip")));
    assert_true(json_is_null(json_object_get(status, "port")));
    assert_true(json_is_null(json_object_get(status, "last_event_id")));
    assert_int_equal(json_integer_value(json_object_get(status, "severity_level")), 6);
    assert_int_equal(json_array_size(json_object_get(status, "accept_tpm_hash_algs")), 0);
    assert_string_equal(json_string_value(json_object_get(status, "hash_alg")), "");
    assert_string_equal(json_string_value(json_object_get(status, "attestation_period")), "0s");
    assert_string_equal(json_string_value(json_object_get(status, "maximum_attestation_interval")), "2s");
}

static void status_says_which_policies_are_linked(void **state)
{
    static const struct {
        const char *policies;
        int mb, runtime;
    } cases[] = {
        {NULL, 0, 0},
        {"{}", 0, 0},
        {"{\"tpm-policy\": {\"digest\": \"00\"}}", 0, 0},
        {"{\"mboot\": {\"name\": \"x\"}}", 1, 0}, /* linked and empty counts */
        {"{\"ima\": {\"name\": \"x\", \"digest\": \"00\"}, \"mboot\": {\"name\": \"x\", \"digest\": \"00\"}}",
         1, 1},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct ql_agent_row row = {.agent_id = TEXT("x"), .policies = (char *)(uintptr_t)cases[i].policies};
        ql_auto_json json_t *status = ql_status_object(&row, 2.0);

        assert_int_equal(json_integer_value(json_object_get(status, "has_mb_refstate")), cases[i].mb);
        assert_int_equal(json_integer_value(json_object_get(status, "has_runtime_policy")), cases[i].runtime);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_as_recorded),
        cmocka_unit_test(status_tells_the_verdict_of_each_state),
        cmocka_unit_test(status_copes_with_rows_that_have_next_to_nothing),
        cmocka_unit_test(status_says_which_policies_are_linked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
