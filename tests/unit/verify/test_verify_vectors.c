/* SPDX-License-Identifier: Apache-2.0 */
/* Every recorded attestation through the program itself: its exit status is the verdict that is required. */
#include "bench.h"

/* The body of a one-shot call for one case of agent/quotes_*.json. */
static json_t *body_of_quote(const json_t *c)
{
    const json_t *policy = json_object_get(c, "tpm_policy");
    char *policy_text = json_is_object(policy) ? json_dumps(policy, 0) : strdup("{}");
    json_t *body = json_pack(
        "{s:s, s:{s:O, s:O, s:O, s:O, s:O, s:s, s:O, s:O, s:O, s:s, s:O, s:[ssss], s:[sssss]}}", "type",
        "tpm", "data", "quote", json_object_get(c, "quote"), "nonce", json_object_get(c, "nonce"), "hash_alg",
        json_object_get(c, "hash_alg"), "enc_alg", json_object_get(c, "enc_alg"), "sign_alg",
        json_object_get(c, "sign_alg"), "tpm_ek", "any", "tpm_ak", json_object_get(c, "ak_tpm"), "pubkey",
        json_object_get(c, "nk_pub_pem"), "mask", json_object_get(c, "mask"), "tpm_policy", policy_text,
        "previous_clock", json_object_get(c, "previous_clock"), "accept_tpm_hash_algs", "sha1", "sha256",
        "sha384", "sha512", "accept_tpm_encryption_algs", "rsa", "rsa3072", "ecc", "ecc384", "ecc521");

    free(policy_text);
    return body;
}

static void judge_quotes(struct bench *b, const char *name, size_t at_least)
{
    json_t *file = vectors(name);
    const json_t *c;
    size_t i;

    assert_true(json_array_size(json_object_get(file, "cases")) >= at_least);
    json_array_foreach(json_object_get(file, "cases"), i, c) {
        bool pass = json_is_true(json_object_get(json_object_get(c, "required"), "pass"));
        json_t *body = body_of_quote(c), *result;
        char path[128];
        int code;

        write_json(b, "f.json", body, path);
        code = RUN(b, path);
        if (code != (pass ? 0 : 1))
            fail_msg("%s: exit %d", text_of(c, "name"), code);
        result = printed(b);
        assert_true(json_is_true(json_object_get(result, "valid")) == pass);
        assert_true((json_array_size(json_object_get(result, "failures")) == 0) == pass);
        json_decref(result);
        json_decref(body);
    }
    json_decref(file);
}

static void valid_quotes_exit_with_0(void **state)
{
    judge_quotes(*state, "agent/quotes_valid.json", 20);
}

static void invalid_quotes_exit_with_1(void **state)
{
    judge_quotes(*state, "agent/quotes_invalid.json", 118);
}

/* The attestation key is one that a TPM would not have let register. */
static void keys_that_may_sign_anything_exit_with_1(void **state)
{
    struct bench *b = *state;
    json_t *aks = vectors("agent/ak_attributes.json");
    const json_t *q = case_named(b->file, "rsa2048_rsassa_sha256_mask0"), *c;
    size_t i;

    json_array_foreach(json_is_array(aks) ? aks : json_object_get(aks, "cases"), i, c) {
        json_t *body = body_of_quote(q);
        char path[128];

        json_object_set(json_object_get(body, "data"), "tpm_ak", json_object_get(c, "aik_tpm"));
        write_json(b, "f.json", body, path);
        assert_int_equal(RUN(b, path), 1);
        json_decref(body);
    }
    json_decref(aks);
}

/*
 * @return the exit status that a recorded one-shot call must have; -1: passed where it was recorded under a policy whose
 * validator has rules of its own, which its own tests know
 */
static int status_of(const json_t *c)
{
    const json_t *body = json_object_get(json_object_get(c, "request"), "body"),
                 *data = json_object_get(body, "data"),
                 *results =
                     json_object_get(json_object_get(json_object_get(c, "response"), "json"), "results"),
                 *valid = json_object_get(results, "valid");

    if (!json_object_get(body, "type") || !data)
        return 2;
    if (!json_is_true(valid) && json_integer_value(valid) != 1)
        return 1;
    return json_object_get(data, "runtime_policy") || json_object_get(data, "mb_policy") ? -1 : 0;
}

static void recorded_calls_exit_as_they_were_answered(void **state)
{
    struct bench *b = *state;
    json_t *file = vectors("server/verifier_evidence.json");
    const json_t *c;
    size_t i, judged = 0;

    json_array_foreach(file, i, c) {
        const json_t *body = json_object_get(json_object_get(c, "request"), "body");
        int wanted, code;
        char path[128];

        if (!json_is_object(body))
            continue; /* a request that is no POST of JSON */
        wanted = status_of(c);
        write_json(b, "f.json", body, path);
        code = RUN(b, path);
        if (wanted < 0 ? code != 0 && code != 1 : code != wanted)
            fail_msg("%s: exit %d instead of %d", text_of(c, "note"), code, wanted);
        judged++;
    }
    assert_true(judged >= 24);
    json_decref(file);
}

static void security_probes_exit_with_1(void **state)
{
    struct bench *b = *state;
    json_t *file = vectors("server/security_probes_evidence.json");
    const json_t *c;
    size_t i;

    json_array_foreach(file, i, c) {
        char path[128];

        write_json(b, "f.json", json_object_get(json_object_get(c, "request"), "body"), path);
        if (RUN(b, path) != 1)
            fail_msg("%s", text_of(c, "note"));
    }
    json_decref(file);
}

int main(void)
{
#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(valid_quotes_exit_with_0),
        VERIFY_TEST(invalid_quotes_exit_with_1),
        VERIFY_TEST(keys_that_may_sign_anything_exit_with_1),
        VERIFY_TEST(recorded_calls_exit_as_they_were_answered),
        VERIFY_TEST(security_probes_exit_with_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
