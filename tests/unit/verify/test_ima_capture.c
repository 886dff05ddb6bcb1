/* SPDX-License-Identifier: Apache-2.0 */
/* Quotes and measurement lists of a real kernel, judged by quicklime-verify. */
#include "bench.h"
#include "encode.h"

#define CAPTURE QL_SHARED_DIR "/vectors/vm/"

static char *file_text(const char *folder, const char *name)
{
    char path[512];
    uint8_t *text = NULL;
    size_t len;

    snprintf(path, sizeof path, CAPTURE "%s/%s", folder, name);
    if (access(path, R_OK) != 0) {
        print_message("%s is not there\n", path);
        skip();
    }
    assert_int_equal(ql_file_read(path, 16 * 1024 * 1024, &text, &len, NULL), QL_OK);
    return (char *)text;
}

static char *file_base64(const char *folder, const char *name)
{
    char path[512];
    uint8_t *bytes = NULL;
    size_t len;
    char *text;

    snprintf(path, sizeof path, CAPTURE "%s/%s", folder, name);
    assert_int_equal(ql_file_read(path, 65536, &bytes, &len, NULL), QL_OK);
    text = ql_base64_dup(bytes, len);
    free(bytes);
    return text;
}

/* The body of a one-shot call for one captured quote. */
static json_t *capture(const char *folder, const char *bank)
{
    char quote_name[64];
    char *list = file_text(folder, "ima.txt"), *policy = file_text(folder, "runtime-policy.json"),
         *summary_text = file_text(folder, "summary.json"), *ak = file_base64(folder, "ak.tpm2b"), *quote;
    json_t *summary = json_loads(summary_text, 0, NULL), *body;
    const char *nonce = text_of(json_object_get(json_object_get(summary, "quotes"), bank), "nonce_hex");

    snprintf(quote_name, sizeof quote_name, "quote-%s.keylime", bank);
    quote = file_text(folder, quote_name);
    assert_non_null(nonce);
    quote[strcspn(quote, "\n")] = '\0';
    body = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "type", "tpm", "data", "quote", quote,
                     "nonce_hex", nonce, "hash_alg", bank, "tpm_ek", "any", "tpm_ak", ak, "runtime_policy",
                     policy, "ima_measurement_list", list);
    assert_non_null(body);
    free(list);
    free(policy);
    free(summary_text);
    free(ak);
    free(quote);
    json_decref(summary);
    return body;
}

static json_t *data_of(json_t *body)
{
    return json_object_get(body, "data");
}

/* Judge it; the result's failures stand in the message when the exit code is another one. */
static void verdict_is(struct bench *b, const json_t *body, int code, const char *event)
{
    char path[128];
    json_t *result;
    int got;

    write_json(b, "capture.json", body, path);
    got = RUN(b, "--state", b->state, path);
    if (got != code) {
        char *text = got == 2 ? complaint(b) : json_dumps(json_object_get(printed(b), "failures"), 0);

        fail_msg("exit %d: %.600s", got, text);
    }
    if (!event)
        return;
    result = printed(b);
    assert_string_equal(text_of(json_array_get(json_object_get(result, "failures"), 0), "type"), event);
    json_decref(result);
}

static void a_real_kernels_list_is_attested(void **state)
{
    struct bench *b = *state;
    json_t *body = capture("secureboot-ima-ng", "sha256");

    verdict_is(b, body, 0, NULL);
    json_decref(body);
}

static void a_list_that_grew_behind_its_quote_is_attested(void **state)
{
    struct bench *b = *state;
    json_t *body = capture("secureboot-ima-ng-later", "sha256");

    verdict_is(b, body, 0, NULL);
    json_decref(body);
}

static void the_same_boot_goes_on_where_its_first_quote_ended(void **state)
{
    struct bench *b = *state;
    json_t *first = capture("secureboot-ima-ng", "sha256"),
           *later = capture("secureboot-ima-ng-later", "sha256");
    const char *list = text_of(data_of(later), "ima_measurement_list"), *at = list;
    json_t *rest;

    for (int line = 0; line < 87; line++)
        at = strchr(at, '\n') + 1;
    rest = json_string(at);
    json_object_set_new(data_of(later), "ima_measurement_list", rest);
    json_object_set_new(data_of(later), "ima_measurement_list_entry", json_integer(87));
    verdict_is(b, first, 0, NULL);
    verdict_is(b, later, 0, NULL);
    json_decref(first);
    json_decref(later);
}

static void without_its_first_quote_the_rest_of_a_list_is_not_judged(void **state)
{
    struct bench *b = *state;
    json_t *body = capture("secureboot-ima-ng-later", "sha256");

    json_object_set_new(data_of(body), "ima_measurement_list_entry", json_integer(87));
    verdict_is(b, body, 1, "qoute_validation.retry");
    json_decref(body);
}

static void a_list_with_one_letter_changed_is_refused(void **state)
{
    struct bench *b = *state;
    json_t *body = capture("secureboot-ima-ng", "sha256");
    char *list = strdup(text_of(data_of(body), "ima_measurement_list"));
    char *at = strstr(list, "/usr/bin/dash");

    assert_non_null(at);
    at[12] = 'x';
    json_object_set_new(data_of(body), "ima_measurement_list", json_string(list));
    verdict_is(b, body, 1, "ima.validation.ima_hash");
    free(list);
    json_decref(body);
}

static void a_policy_without_one_of_its_files_is_not_met(void **state)
{
    struct bench *b = *state;
    json_t *body = capture("secureboot-ima-ng", "sha256"),
           *policy = json_loads(text_of(data_of(body), "runtime_policy"), 0, NULL);
    char *text;

    assert_int_equal(json_object_del(json_object_get(policy, "digests"), "/usr/bin/dash"), 0);
    text = json_dumps(policy, 0);
    json_object_set_new(data_of(body), "runtime_policy", json_string(text));
    verdict_is(b, body, 1, "ima.validation.ima-ng.not_in_allowlist");
    free(text);
    json_decref(policy);
    json_decref(body);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_real_kernels_list_is_attested),
        TEST(a_list_that_grew_behind_its_quote_is_attested),
        TEST(the_same_boot_goes_on_where_its_first_quote_ended),
        TEST(without_its_first_quote_the_rest_of_a_list_is_not_judged),
        TEST(a_list_with_one_letter_changed_is_refused),
        TEST(a_policy_without_one_of_its_files_is_not_met),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
