/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

static void exit_codes_follow_the_recorded_verdicts(void **state)
{
    struct bench *b = *state;
    json_t *file = vectors("server/verifier_evidence.json");
    static const struct {
        const char *note, *type;
        int code;
    } wanted[] = {
        {"missing quote", "default.missing_param", 1},
        {"missing nonce", "default.missing_param", 1},
        {"no policy", "default.missing_policy", 1},
        {"tee empty", "tee_attestation.missing_param", 1},
        {"tee unknown", "tee_attestation.invalid.tee", 1},
        {"snp evidence empty", "tee_attestation.missing_param", 1},
        {"snp short report", "tee_attestation.invalid_input", 1},
        {"unknown type", "default.invalid_param", 1},
        {"missing type", NULL, 2},
        {"missing data", NULL, 2},
    };
    const json_t *c;
    size_t i;

    json_array_foreach(file, i, c) {
        for (size_t k = 0; k < QL_ARRAY_LEN(wanted); k++) {
            char path[128];

            if (strcmp(text_of(c, "note"), wanted[k].note) != 0)
                continue;
            write_json(b, "f.json", json_object_get(json_object_get(c, "request"), "body"), path);
            if (RUN(b, path) != wanted[k].code)
                fail_msg("%s", wanted[k].note);
            if (wanted[k].type) {
                json_t *result = printed(b);

                assert_false(json_is_true(json_object_get(result, "valid")));
                assert_string_equal(text_of(json_array_get(json_object_get(result, "failures"), 0), "type"),
                                    wanted[k].type);
                json_decref(result);
            }
        }
    }
    json_decref(file);
}

static void valid_file_prints_its_claims(void **state)
{
    struct bench *b = *state;
    json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "tpm-policy", "{\"mask\": \"0xff\"}"), *result;
    char path[128];

    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, path), 0);
    result = printed(b);
    assert_true(json_is_true(json_object_get(result, "valid")));
    assert_true(json_equal(json_object_get(result, "claims"), json_object_get(body, "data")));
    assert_int_equal(json_array_size(json_object_get(result, "failures")), 0);
    json_decref(result);
    json_decref(body);
}

static void what_is_not_usable_exits_with_2(void **state)
{
    static const char *const texts[] = {"",     "[]",  "1", "{", "{\"type\": \"tpm\"}", "{\"data\": {}}",
                                        "{} x", "\xff"};
    struct bench *b = *state;
    char path[128], *text;

    for (size_t i = 0; i < QL_ARRAY_LEN(texts); i++) {
        write_text(b, "f.json", texts[i], path);
        assert_int_equal(RUN(b, path), 2);
    }
    assert_int_equal(RUN(b, "/nonexistent.json"), 2);
    text = complaint(b);
    assert_non_null(strstr(text, "/nonexistent.json"));
    free(text);
    assert_int_equal(RUN(b, "--nonsense", path), 2);
    assert_int_equal(RUN(b, path, path), 2);
    assert_int_equal(run(b, (const char *const[]){NULL}), 2);
    assert_int_equal(RUN(b, "--plugin", "/nonexistent.so", path), 2);
    assert_int_equal(RUN(b, "--help"), 0);
    assert_int_equal(RUN(b, "--version"), 0);
}

static void everything_inside_data_exits_with_1(void **state)
{
    static const char *const members[] = {"mask",
                                          "pubkey",
                                          "nonce_hex",
                                          "accept_tpm_hash_algs",
                                          "previous_clock",
                                          "options",
                                          "facts",
                                          "policies",
                                          "evidence",
                                          "boottime",
                                          "quote",
                                          "tpm_ak",
                                          "hash_alg",
                                          "tpm_policy",
                                          "nonce",
                                          "tpm_ek",
                                          "ima_measurement_list_entry",
                                          "ima_measurement_list"};
    struct bench *b = *state;
    char path[128];

    for (size_t i = 0; i < QL_ARRAY_LEN(members); i++) {
        json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "tpm-policy", "{}");

        json_object_set_new(json_object_get(body, "data"), members[i], json_pack("[[s]]", "odd"));
        write_json(b, "f.json", body, path);
        if (RUN(b, path) != 1)
            fail_msg("%s", members[i]);
        json_decref(body);
    }
    write_text(b, "f.json", "{\"type\": \"tpm\", \"data\": []}", path);
    assert_int_equal(RUN(b, path), 1);
    write_text(b, "f.json", "{\"type\": 7, \"data\": {}}", path);
    assert_int_equal(RUN(b, path), 1);
}

static void policy_without_validator_never_passes(void **state)
{
    struct bench *b = *state;
    json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "nobody", "{}"), *result;
    const json_t *failure;
    char path[128];

    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, path), 1);
    result = printed(b);
    failure = json_array_get(json_object_get(result, "failures"), 0);
    assert_string_equal(text_of(failure, "type"), "nobody.error");
    assert_string_equal(text_of(json_object_get(failure, "context"), "message"),
                        "no validator nobody is loaded");
    json_decref(result);
    json_decref(body);
}

static void state_goes_on_from_file_to_file(void **state)
{
    struct bench *b = *state;
    json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "hostile", "state"), *kept;
    char path[128];

    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, "--plugin", HOSTILE, "--state", b->state, path), 0);
    kept = json_load_file(b->state, 0, NULL);
    assert_non_null(json_object_get(kept, "clock"));
    assert_non_null(text_of(kept, "states"));
    json_decref(kept);
    /* The same quote again: its clock has not moved. */
    assert_int_equal(RUN(b, "--plugin", HOSTILE, "--state", b->state, path), 1);
    write_text(b, "state", "no JSON", b->state);
    assert_int_equal(RUN(b, "--plugin", HOSTILE, "--state", b->state, path), 2);
    json_decref(body);
}

static void limits_end_what_takes_too_long(void **state)
{
    struct bench *b = *state;
    json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "endless", "{}"), *result;
    char path[128];

    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, "--limits", "--plugin", QL_BINARY_DIR "/tests/sdk/bad/endless.so", path), 1);
    result = printed(b);
    assert_string_equal(text_of(json_array_get(json_object_get(result, "failures"), 0), "type"),
                        "qoute_validation.worker_limit");
    json_decref(result);
    json_decref(body);
    body = body_of(b, "ecc256_ecdsa_sha256_maskff", "tpm-policy", "{}");
    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, "--limits", path), 0);
    json_decref(body);
}

/* What a worker would not survive is a failure here, too, with the name of the limit. */
static void plugins_that_crash_or_break_out_fail_closed(void **state)
{
    static const struct {
        const char *plugin, *validator, *policy, *limit;
    } cases[] = {
        {QL_BINARY_DIR "/tests/sdk/bad/crash-in-validate.so", "crash-in-validate", "{}", "crash"},
        {HOSTILE, "hostile", "abort", "crash"},
        {HOSTILE, "hostile", "exit", "crash"},
#ifndef QL_SANITIZED /* their runtime opens files, and takes some signals for itself */
        {HOSTILE, "hostile", "open", "system call"},
#endif
        {HOSTILE, "hostile", "socket", "system call"},
    };
    struct bench *b = *state;
    char path[128];

    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", cases[i].validator, cases[i].policy), *result;
        const json_t *failure;

        write_json(b, "f.json", body, path);
        if (RUN(b, "--plugin", cases[i].plugin, path) != 1)
            fail_msg("%s", cases[i].policy);
        result = printed(b);
        failure = json_array_get(json_object_get(result, "failures"), 0);
        assert_string_equal(text_of(failure, "type"), "qoute_validation.worker_limit");
#ifndef QL_SANITIZED
        assert_string_equal(text_of(json_object_get(failure, "context"), "limit"), cases[i].limit);
#endif
        json_decref(result);
        json_decref(body);
    }
}

static void options_of_a_plugin_come_from_the_command_line(void **state)
{
    static const char options[] = QL_BINARY_DIR "/tests/sdk/bad/options.so";
    struct bench *b = *state;
    json_t *body = body_of(b, "ecc256_ecdsa_sha256_maskff", "options", "{}");
    char path[128], *text;

    write_json(b, "f.json", body, path);
    assert_int_equal(RUN(b, "--plugin", options, path), 0);
    assert_int_equal(
        RUN(b, "--plugin", options, "--set", "options.fail=true", "--set", "options.count=12", path), 2);
    text = complaint(b);
    assert_non_null(strstr(text, "count=12"));
    free(text);
    assert_int_equal(RUN(b, "--plugin", options, "--set", "options.colour=red", path), 2);
    assert_int_equal(RUN(b, "--plugin", options, "--set", "gadget.colour=red", path), 2);
    text = complaint(b);
    assert_non_null(strstr(text, "unknown group gadget"));
    free(text);
    assert_int_equal(RUN(b, "--set", "nonsense", path), 2);
    json_decref(body);
}

static void pairs_find_a_plugin_that_remembers_agents(void **state)
{
    struct bench *b = *state;
    char path[128], dir[128];
    json_t *result;
    static const char *const names[] = {"ecc256_ecdsa_sha256_maskff", "rsa2048_rsassa_sha256_mask0",
                                        "ecc_clock_ok"};

    snprintf(dir, sizeof dir, "%s/pairs", b->dir);
    assert_int_equal(ql_dir_make(dir, 0700, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        json_t *body = body_of(b, names[i], "leaky", "x");
        char name[128];

        snprintf(name, sizeof name, "pairs/%zu.json", i);
        write_json(b, name, body, path);
        json_decref(body);
    }
    assert_int_equal(RUN(b, "--plugin", LEAKY, "--pairs", dir), 1);
    result = printed(b);
    assert_int_equal(json_integer_value(json_object_get(result, "pairs")), 6);
    assert_int_equal(json_array_size(json_object_get(result, "differences")), 6);
    json_decref(result);
    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        json_t *body = body_of(b, names[i], "hostile", "facts");
        char name[128];

        snprintf(name, sizeof name, "pairs/%zu.json", i);
        write_json(b, name, body, path);
        json_decref(body);
    }
    assert_int_equal(RUN(b, "--plugin", HOSTILE, "--pairs", dir), 0);
}

int main(void)
{
#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(exit_codes_follow_the_recorded_verdicts),
        VERIFY_TEST(valid_file_prints_its_claims),
        VERIFY_TEST(what_is_not_usable_exits_with_2),
        VERIFY_TEST(everything_inside_data_exits_with_1),
        VERIFY_TEST(policy_without_validator_never_passes),
        VERIFY_TEST(state_goes_on_from_file_to_file),
        VERIFY_TEST(limits_end_what_takes_too_long),
        VERIFY_TEST(plugins_that_crash_or_break_out_fail_closed),
        VERIFY_TEST(options_of_a_plugin_come_from_the_command_line),
        VERIFY_TEST(pairs_find_a_plugin_that_remembers_agents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
