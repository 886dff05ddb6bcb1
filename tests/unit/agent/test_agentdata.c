/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agentdata.h"
#include "encode.h"
#include "file.h"
#include "identity.h"
#include "json.h"
#include "public.h"

static const char HASH[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const struct ql_tpm_algs RSA_ALGS = {"sha256", "rsa", "rsassa"};

static int parse(const char *text, const struct ql_tpm_algs *algs, const char *hash, struct ql_agent_data *d)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_agent_data_parse(text, strlen(text), algs, hash, d, &err);

    if (r < 0)
        assert_true(strlen(err.text) > 0);
    return r;
}

static char *sample(void)
{
    uint8_t public_area[] = {0, 1, 0, 11, 255}, private_area[] = {9, 8, 7};
    const struct ql_agent_data d = {public_area, sizeof public_area, private_area, sizeof private_area};
    char *text = NULL;

    assert_int_equal(ql_agent_data_format(&d, &RSA_ALGS, HASH, &text, NULL), QL_OK);
    return text;
}

static void the_file_has_keylimes_form(void **state)
{
    char *text = sample();

    (void)state;
    assert_memory_equal(
        text,
        "{\n  \"ak_hash_alg\": \"Sha256\",\n  \"ak_sign_alg\": \"RsaSsa\",\n  \"ak_public\": [\n    0,\n"
        "    1,\n    0,\n    11,\n    255\n  ],\n  \"ak_private\": [\n    9,\n    8,\n    7\n  ],\n"
        "  \"ek_hash\": [\n    48,\n    49,\n",
        160);
    free(text);
}

static void what_is_written_is_read_again(void **state)
{
    struct ql_agent_data d = {0};
    char *text = sample();

    (void)state;
    assert_int_equal(parse(text, &RSA_ALGS, HASH, &d), QL_OK);
    assert_int_equal(d.public_len, 5);
    assert_int_equal(d.public_area[4], 255);
    assert_int_equal(d.private_len, 3);
    assert_int_equal(d.private_area[2], 7);
    ql_agent_data_done(&d);
    free(text);
}

static void a_file_of_other_algorithms_or_another_ek_is_not_ours(void **state)
{
    static const struct ql_tpm_algs other_hash = {"sha384", "rsa", "rsassa"},
                                    other_sign = {"sha256", "rsa", "rsapss"};
    struct ql_agent_data d = {0};
    char *text = sample(), other[sizeof HASH];

    (void)state;
    memcpy(other, HASH, sizeof HASH);
    other[63] = '0';
    assert_int_equal(parse(text, &other_hash, HASH, &d), QL_ECONFLICT);
    assert_int_equal(parse(text, &other_sign, HASH, &d), QL_ECONFLICT);
    assert_int_equal(parse(text, &RSA_ALGS, other, &d), QL_ECONFLICT);
    assert_int_equal(parse(text, &RSA_ALGS, "0123", &d), QL_ECONFLICT);
    assert_null(d.public_area);
    free(text);
}

static void every_truncation_and_one_byte_more_is_refused(void **state)
{
    struct ql_agent_data d = {0};
    char *text = sample();
    const size_t len = strlen(text);

    (void)state;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(ql_agent_data_parse(text, i, &RSA_ALGS, HASH, &d, NULL), QL_EPARSE);
    text = realloc(text, len + 2);
    strcat(text, "x");
    assert_int_equal(parse(text, &RSA_ALGS, HASH, &d), QL_EPARSE);
    assert_null(d.public_area);
    free(text);
}

static void what_is_no_list_of_bytes_is_refused(void **state)
{
    static const char *const bad[] = {"\"text\"", "[256]", "[-1]", "[1.5]",
                                      "[\"1\"]",  "null",  "{}",   "[null]"};
    struct ql_agent_data d = {0};
    char text[512];

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text,
                 "{\"ak_hash_alg\":\"Sha256\",\"ak_sign_alg\":\"RsaSsa\",\"ak_public\":%s,\"ak_private\":[1],"
                 "\"ek_hash\":[48]}",
                 bad[i]);
        assert_int_equal(parse(text, &RSA_ALGS, "0", &d), QL_EPARSE);
        snprintf(text, sizeof text,
                 "{\"ak_hash_alg\":\"Sha256\",\"ak_sign_alg\":\"RsaSsa\",\"ak_public\":[1],\"ak_private\":%s,"
                 "\"ek_hash\":[48]}",
                 bad[i]);
        assert_int_equal(parse(text, &RSA_ALGS, "0", &d), QL_EPARSE);
    }
    assert_int_equal(
        parse("{\"ak_hash_alg\":\"Sha256\",\"ak_sign_alg\":\"RsaSsa\",\"ak_public\":[],\"ak_private\":[1],"
              "\"ek_hash\":[48]}",
              &RSA_ALGS, "0", &d),
        QL_ELIMIT);
    assert_int_equal(
        parse("{\"ak_hash_alg\":\"Sha256\",\"ak_sign_alg\":\"RsaSsa\",\"ak_public\":[1],\"ak_private\":[1],"
              "\"ek_hash\":[48]}",
              &RSA_ALGS, "0", &d),
        QL_OK);
    ql_agent_data_done(&d);
}

/** Files of genuine agents: read, bound to their EK, and written as they were. */
static void recorded_files_are_taken_over(void **state)
{
    static const char *const signs[][2] = {{"RsaSsa", "rsassa"}, {"EcDsa", "ecdsa"}};
    static const char *const hashes[][2] = {
        {"Sha1", "sha1"}, {"Sha256", "sha256"}, {"Sha384", "sha384"}, {"Sha512", "sha512"}};
    uint8_t *bytes = NULL;
    size_t len = 0, i, seen = 0;
    json_t *file = NULL, *test;

    (void)state;
    if (ql_file_read(QL_SHARED_DIR "/vectors/agent/registration.json", 4 << 20, &bytes, &len, NULL) < 0) {
        print_message("no shared vectors\n");
        skip();
    }
    assert_int_equal(ql_json_parse_object((char *)bytes, len, 4 << 20, &file, NULL), QL_OK);
    json_array_foreach(json_object_get(file, "cases"), i, test) {
        const json_t *data = json_object_get(test, "agent_data_json");
        struct ql_tpm_algs algs = {"", "", ""};
        struct ql_agent_data d = {0};
        struct ql_err err = QL_ERR_INIT;
        uint8_t aik[2048];
        size_t aik_len = 0;
        char *hash = NULL, *text = json_dumps(data, JSON_INDENT(2)), *again = NULL;
        const char *aik_text = json_string_value(json_object_get(test, "aik_tpm"));

        for (size_t n = 0; n < QL_ARRAY_LEN(signs); n++)
            if (strcmp(signs[n][0], json_string_value(json_object_get(data, "ak_sign_alg"))) == 0)
                algs.sign = signs[n][1];
        for (size_t n = 0; n < QL_ARRAY_LEN(hashes); n++)
            if (strcmp(hashes[n][0], json_string_value(json_object_get(data, "ak_hash_alg"))) == 0)
                algs.hash = hashes[n][1];
        assert_int_equal(
            ql_identity_from_ek(json_string_value(json_object_get(test, "ek_pub_pem")), &hash, NULL), QL_OK);
        assert_string_equal(hash, json_string_value(json_object_get(test, "ek_pem_sha256")));
        if (ql_agent_data_parse(text, strlen(text), &algs, hash, &d, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(ql_base64_decode(aik_text, strlen(aik_text), aik, sizeof aik, &aik_len, NULL),
                         QL_OK);
        assert_int_equal(d.public_len, aik_len - 2); /* the file has no TPM2B size */
        assert_memory_equal(d.public_area, aik + 2, d.public_len);
        assert_int_equal(ql_agent_data_format(&d, &algs, hash, &again, NULL), QL_OK);
        assert_string_equal(again, text);
        free(hash);
        free(text);
        free(again);
        ql_agent_data_done(&d);
        seen++;
    }
    assert_true(seen >= 5);
    json_decref(file);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_keylimes_form),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_file_of_other_algorithms_or_another_ek_is_not_ours),
        cmocka_unit_test(every_truncation_and_one_byte_more_is_refused),
        cmocka_unit_test(what_is_no_list_of_bytes_is_refused),
        cmocka_unit_test(recorded_files_are_taken_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
