/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/wait.h>

#include "../attest/judge.h"
#include "verify.h"

#define PROGRAM QL_BINARY_DIR "/bin/quicklime-verify"
#define PLUGINS QL_BINARY_DIR "/plugins"
#define HOSTILE QL_BINARY_DIR "/tests/sdk/bad-attest/hostile.so"
#define LEAKY   QL_BINARY_DIR "/tests/sdk/bad-attest/leaky.so"

struct bench {
    char dir[64];
    char out[128], err[128], state[128];
    json_t *file;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    *state = b;
    if (access(PROGRAM, X_OK) != 0)
        fail_msg(PROGRAM " has not been built");
    strcpy(b->dir, "/tmp/quicklime-verify-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->out, sizeof b->out, "%s/out", b->dir);
    snprintf(b->err, sizeof b->err, "%s/err", b->dir);
    snprintf(b->state, sizeof b->state, "%s/state", b->dir);
    b->file = vectors("agent/quotes_valid.json");
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    const char *const argv[] = {"rm", "-rf", b->dir, NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execv("/bin/rm", (char *const *)(uintptr_t)argv);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    json_decref(b->file);
    free(b);
    return 0;
}

/* @return exit code; -1 when it did not exit */
static int run(struct bench *b, const char *const *args)
{
    const char *argv[16] = {"quicklime-verify", "--plugin-dir", PLUGINS};
    int status, n = 3;
    pid_t pid;

    for (; *args; args++)
        argv[n++] = *args;
    argv[n] = NULL;
    pid = fork();
    if (pid == 0) {
        int out = open(b->out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
            err = open(b->err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(out, 1);
        dup2(err, 2);
        execv(PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(b, ...) run(b, (const char *const[]){__VA_ARGS__, NULL})

static json_t *printed(struct bench *b)
{
    json_error_t why;
    json_t *j = json_load_file(b->out, 0, &why);

    if (!j)
        fail_msg("%s", why.text);
    return j;
}

static char *complaint(struct bench *b)
{
    uint8_t *text = NULL;
    size_t len;

    assert_int_equal(ql_file_read(b->err, 65536, &text, &len, NULL), QL_OK);
    return (char *)text;
}

static void write_text(struct bench *b, const char *name, const char *text, char *path)
{
    snprintf(path, 128, "%s/%s", b->dir, name);
    assert_int_equal(ql_file_write(path, 0600, text, strlen(text), NULL), QL_OK);
}

static void write_json(struct bench *b, const char *name, const json_t *j, char *path)
{
    char *text = json_dumps(j, 0);

    write_text(b, name, text, path);
    free(text);
}

/* Body of a recorded case with a policy of another validator. */
static json_t *body_of(struct bench *b, const char *name, const char *validator, const char *policy)
{
    const json_t *c = case_named(b->file, name);

    return json_pack("{s:s, s:{s:O, s:O, s:O, s:s, s:O, s:O, s:O, s:{s:s}}}", "type", "tpm", "data", "quote",
                     json_object_get(c, "quote"), "nonce", json_object_get(c, "nonce"), "hash_alg",
                     json_object_get(c, "hash_alg"), "tpm_ek", "any", "tpm_ak", json_object_get(c, "ak_tpm"),
                     "pubkey", json_object_get(c, "nk_pub_pem"), "mask", json_object_get(c, "mask"),
                     "policies", validator, policy);
}

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
        VERIFY_TEST(pairs_find_a_plugin_that_remembers_agents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
