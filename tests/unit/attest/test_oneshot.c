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

static json_t *call(const json_t *body, bool extensions, int *http, int *code, struct ql_err *err)
{
    char *text = json_dumps(body, 0);
    json_t *result = NULL;

    *code = ql_verify_oneshot(registry, text, strlen(text), extensions, NULL, NULL, &result, http, err);
    free(text);
    return result;
}

static const json_t *noted(const json_t *file, const char *note)
{
    const json_t *c;
    size_t i;

    json_array_foreach(file, i, c) {
        if (strcmp(text_of(c, "note"), note) == 0)
            return c;
    }
    fail_msg("no case %s", note);
    return NULL;
}

/*
 * Recorded calls that need no other validator, or whose answer comes before any validator: answers are the
 * recorded ones.
 */
static void recorded_calls_get_the_recorded_answers(void **state)
{
    static const char *const notes[] = {
        "missing quote", "missing nonce", "missing hash_alg", "missing tpm_ek",     "missing tpm_ak",
        "no policy",     "tee empty",     "tee unknown",      "snp evidence empty", "snp short report"};
    json_t *file = vectors("server/verifier_evidence.json");

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(notes); i++) {
        const json_t *c = noted(file, notes[i]), *response = json_object_get(c, "response");
        json_t *result;
        int http, code;

        result = call(json_object_get(json_object_get(c, "request"), "body"), false, &http, &code, NULL);
        assert_int_equal(code, QL_OK);
        assert_int_equal(http, json_integer_value(json_object_get(response, "code")));
        if (!json_equal(result, json_object_get(json_object_get(response, "json"), "results")))
            fail_msg("%s: %s", notes[i], json_dumps(result, 0));
        json_decref(result);
    }
    json_decref(file);
}

/* The same with the runtime policy left out, which another validator judges. */
static void recorded_pcr_policies_get_the_recorded_answers(void **state)
{
    static const char *const notes[] = {"tpm policy ok", "tpm policy mismatch", "policy pcr not in quote"};
    json_t *file = vectors("server/verifier_evidence.json");

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(notes); i++) {
        const json_t *c = noted(file, notes[i]);
        const json_t *wanted =
            json_object_get(json_object_get(json_object_get(c, "response"), "json"), "results");
        json_t *body = json_deep_copy(json_object_get(json_object_get(c, "request"), "body")), *result;
        int http, code;

        json_object_del(json_object_get(body, "data"), "runtime_policy");
        result = call(body, false, &http, &code, NULL);
        assert_int_equal(code, QL_OK);
        assert_int_equal(http, 200);
        assert_int_equal(json_is_true(json_object_get(result, "valid")),
                         json_is_true(json_object_get(wanted, "valid")));
        if (!json_equal(json_object_get(result, "failures"), json_object_get(wanted, "failures")))
            fail_msg("%s: %s", notes[i], json_dumps(result, 0));
        json_decref(result);
        json_decref(body);
    }
    json_decref(file);
}

static void recorded_bad_quotes_have_the_recorded_events(void **state)
{
    static const char *const notes[] = {"wrong nonce", "unknown alg", "junk quote"};
    json_t *file = vectors("server/verifier_evidence.json");

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(notes); i++) {
        const json_t *c = noted(file, notes[i]);
        const json_t *wanted =
            json_object_get(json_object_get(json_object_get(c, "response"), "json"), "results");
        json_t *body = json_deep_copy(json_object_get(json_object_get(c, "request"), "body")), *result;
        int http, code;

        json_object_del(json_object_get(body, "data"), "runtime_policy");
        json_object_set_new(json_object_get(body, "data"), "tpm_policy", json_string("{}"));
        result = call(body, false, &http, &code, NULL);
        assert_int_equal(code, QL_OK);
        assert_int_equal(http, 200);
        assert_string_equal(text_of(json_array_get(json_object_get(result, "failures"), 0), "type"),
                            text_of(json_array_get(json_object_get(wanted, "failures"), 0), "type"));
        json_decref(result);
        json_decref(body);
    }
    json_decref(file);
}

/* With and without the policy that only another validator could judge. */
static void security_probes_are_never_valid(void **state)
{
    json_t *file = vectors("server/security_probes_evidence.json");
    const json_t *c;
    size_t i;

    (void)state;
    json_array_foreach(file, i, c) {
        json_t *body = json_deep_copy(json_object_get(json_object_get(c, "request"), "body"));

        for (int round = 0; round < 2; round++) {
            json_t *result;
            int http, code;

            result = call(body, false, &http, &code, NULL);
            assert_int_equal(code, QL_OK);
            if (!json_is_false(json_object_get(result, "valid")))
                fail_msg("%s", text_of(c, "note"));
            assert_true(json_array_size(json_object_get(result, "failures")) > 0);
            json_decref(result);
            json_object_del(json_object_get(body, "data"), "runtime_policy");
            json_object_set_new(json_object_get(body, "data"), "tpm_policy",
                                json_string("{\"mask\": \"0x400\"}"));
        }
        json_decref(body);
    }
    json_decref(file);
}

static void policies_without_a_validator_fail_by_name(void **state)
{
    static const struct {
        const char *member, *event, *text;
    } wanted[] = {{"runtime_policy", "ima.error", "no validator ima is loaded"},
                  {"mb_policy", "mboot.error", "no validator mboot is loaded"}};
    json_t *file = vectors("server/verifier_evidence.json");

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(wanted); i++) {
        json_t *body =
            json_deep_copy(json_object_get(json_object_get(noted(file, "no policy"), "request"), "body"));
        const json_t *failure;
        json_t *result;
        int http, code;

        json_object_set_new(json_object_get(body, "data"), wanted[i].member, json_string("{}"));
        result = call(body, false, &http, &code, NULL);
        assert_int_equal(code, QL_OK);
        assert_int_equal(http, 200);
        assert_true(json_is_false(json_object_get(result, "valid")));
        failure = json_array_get(json_object_get(result, "failures"), 0);
        assert_string_equal(text_of(failure, "type"), wanted[i].event);
        assert_string_equal(text_of(json_object_get(failure, "context"), "message"), wanted[i].text);
        json_decref(result);
        json_decref(body);
    }
    json_decref(file);
}

static void extensions_are_refused_to_the_public(void **state)
{
    static const char *const members[] = {"mask",
                                          "pubkey",
                                          "nonce_hex",
                                          "accept_tpm_hash_algs",
                                          "accept_tpm_signing_algs",
                                          "accept_tpm_encryption_algs",
                                          "previous_clock",
                                          "boottime",
                                          "ima_measurement_list_entry",
                                          "ima_sign_verification_keys",
                                          "measured_boot_policy_name",
                                          "mb_policy_name",
                                          "policies",
                                          "facts",
                                          "options",
                                          "evidence"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(members); i++) {
        json_t *body = json_pack("{s:s, s:{s:s}}", "type", "tpm", "data", members[i], "x");
        struct ql_err err = QL_ERR_INIT;
        int http, code;

        assert_null(call(body, false, &http, &code, &err));
        assert_int_equal(code, QL_EPARSE);
        assert_int_equal(http, 400);
        assert_non_null(strstr(err.text, members[i]));
        json_decref(body);
    }
}

static void broken_bodies_are_told_from_invalid_evidence(void **state)
{
    static const struct {
        const char *body;
        int code;
        const char *text;
    } wanted[] = {{"{\"data\":{}}", QL_EPARSE, "missing parameter 'type'"},
                  {"{\"type\":null,\"data\":{}}", QL_EPARSE, "missing parameter 'type'"},
                  {"{\"type\":\"tpm\"}", QL_EPARSE, "missing parameter 'data'"},
                  {"{\"type\":\"xyz\",\"data\":{\"a\":1}}", QL_EUNSUPPORTED, "invalid evidence type"},
                  {"[]", QL_EPARSE, NULL},
                  {"{\"type\":\"tpm\",\"type\":\"tpm\",\"data\":{}}", QL_EPARSE, NULL}};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(wanted); i++) {
        struct ql_err err = QL_ERR_INIT;
        json_t *result = NULL;
        int http = 0;

        assert_int_equal(ql_verify_oneshot(registry, wanted[i].body, strlen(wanted[i].body), false, NULL,
                                           NULL, &result, &http, &err),
                         wanted[i].code);
        assert_int_equal(http, 400);
        if (wanted[i].text)
            assert_string_equal(err.text, wanted[i].text);
        assert_null(result);
    }
}

static void broken_policy_is_a_failure_with_its_place(void **state)
{
    json_t *file = vectors("server/verifier_evidence.json");
    json_t *body =
               json_deep_copy(json_object_get(json_object_get(noted(file, "no policy"), "request"), "body")),
           *result;
    const json_t *failure;
    int http, code;

    (void)state;
    json_object_set_new(json_object_get(body, "data"), "tpm_policy", json_string("{\"16\": \"00\"}"));
    result = call(body, false, &http, &code, NULL);
    failure = json_array_get(json_object_get(result, "failures"), 0);
    assert_string_equal(text_of(failure, "type"), "tpm-policy.invalid_policy");
    assert_non_null(
        strstr(text_of(json_object_get(failure, "context"), "message"), "PCR 16 cannot be pinned"));
    json_decref(result);
    json_decref(body);
    json_decref(file);
}

/* A key that may sign anything says nothing about its machine, however good the signature. */
static void keys_that_are_no_attestation_keys_are_refused(void **state)
{
    json_t *aks = vectors("agent/ak_attributes.json"), *quotes = vectors("agent/quotes_valid.json");
    const json_t *list = json_is_array(aks) ? aks : json_object_get(aks, "cases"), *c;
    size_t i, refused = 0;

    (void)state;
    json_array_foreach(list, i, c) {
        const json_t *q = case_named(quotes, "rsa2048_rsassa_sha256_mask0");
        json_t *body = json_pack("{s:s, s:{s:O, s:O, s:O, s:s, s:O, s:s}}", "type", "tpm", "data", "quote",
                                 json_object_get(q, "quote"), "nonce", json_object_get(q, "nonce"),
                                 "hash_alg", json_object_get(q, "hash_alg"), "tpm_ek", "any", "tpm_ak",
                                 json_object_get(c, "aik_tpm"), "tpm_policy", "{}"),
               *result;
        int http, code;

        result = call(body, false, &http, &code, NULL);
        assert_true(json_is_false(json_object_get(result, "valid")));
        if (!json_is_true(json_object_get(json_object_get(c, "required"), "accept"))) {
            const json_t *failure = json_array_get(json_object_get(result, "failures"), 0);

            assert_non_null(strstr(text_of(json_object_get(failure, "context"), "message"), "tpm_ak"));
            refused++;
        }
        json_decref(result);
        json_decref(body);
    }
    assert_true(refused > 3);
    json_decref(quotes);
    json_decref(aks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_calls_get_the_recorded_answers),
        cmocka_unit_test(recorded_pcr_policies_get_the_recorded_answers),
        cmocka_unit_test(recorded_bad_quotes_have_the_recorded_events),
        cmocka_unit_test(security_probes_are_never_valid),
        cmocka_unit_test(policies_without_a_validator_fail_by_name),
        cmocka_unit_test(extensions_are_refused_to_the_public),
        cmocka_unit_test(broken_bodies_are_told_from_invalid_evidence),
        cmocka_unit_test(broken_policy_is_a_failure_with_its_place),
        cmocka_unit_test(keys_that_are_no_attestation_keys_are_refused),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
