/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line says of runtime policies and of keys that sign files. */
#include "vectors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "encode.h"
#include "file.h"
#include "tenant.h"

static char folder[] = "/tmp/ql-tenant-XXXXXX";

static char *put(const char *name, const void *data, size_t len)
{
    char *path = ql_path_join(folder, name);

    assert_int_equal(ql_file_write(path, 0600, data, len, NULL), QL_OK);
    return path;
}

static char *put_text(const char *name, const char *text)
{
    return put(name, text, strlen(text));
}

static struct ql_args parse(const char *const *argv, size_t count)
{
    const char *all[16] = {"tenant"};
    struct ql_args args;

    memcpy(all + 1, argv, count * sizeof *argv);
    assert_int_equal(ql_args_parse((int)count + 1, (char **)(uintptr_t)all, &args, NULL), QL_OK);
    return args;
}

#define ARGS(...)                                                                                            \
    parse((const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static void keys_of_files_become_keyring_text(void **state)
{
    json_t *v = load_vectors("ima/keys.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "keys"), i, one) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        char *path, *text = NULL;
        struct ql_args args;
        int r;

        assert_int_equal(ql_base64_decode_dup(json_string_value(json_object_get(one, "data_b64")),
                                              json_string_length(json_object_get(one, "data_b64")), 1 << 16,
                                              &bytes, &len, NULL),
                         QL_OK);
        path = put("key", bytes, len);
        args = ARGS("--signature-verification-key", path);
        r = ql_file_keys_argument(&args, &text, NULL);
        if (strcmp(vector_text(one, "result"), "key") == 0) {
            assert_int_equal(r, QL_OK);
            assert_string_equal(text, vector_text(one, "keyring_json"));
        } else {
            assert_int_equal(r, QL_EPARSE);
            assert_null(text);
        }
        free(text);
        free(bytes);
        free(path);
    }
    json_decref(v);
}

static void without_keys_the_list_is_empty(void **state)
{
    struct ql_args args = ARGS("-c", "add");
    char *text = NULL;

    (void)state;
    assert_int_equal(ql_file_keys_argument(&args, &text, NULL), QL_OK);
    assert_string_equal(text, "[]");
    free(text);
}

static void a_key_with_a_wrong_signature_is_refused(void **state)
{
    json_t *v = load_vectors("ima/dsse.json");
    const char *pem = vector_text(json_array_get(json_object_get(v, "ecdsa_keyid"), 0), "pem");
    char *key = put_text("file.pem", pem), *sig = put_text("file.sig", "no signature");
    struct ql_args args = ARGS("--signature-verification-key", key, "--signature-verification-key-sig", sig,
                               "--signature-verification-key-sig-key", key);
    struct ql_err err = QL_ERR_INIT;
    char *text = NULL;

    (void)state;
    assert_int_equal(ql_file_keys_argument(&args, &text, &err), QL_ECRYPTO);
    assert_non_null(strstr(err.text, "file.sig is not good"));
    args = ARGS("--signature-verification-key", key, "--signature-verification-key-sig", sig);
    assert_int_equal(ql_file_keys_argument(&args, &text, &err), QL_EPARSE);
    free(key);
    free(sig);
    json_decref(v);
}

static void an_allowlist_is_sent_as_a_policy(void **state)
{
    char *list = put_text("list", "00112233445566778899aabbccddeeff00112233  /bin/x y\n"),
         *excludes = put_text("excl", "#\n/tmp/.*\n");
    struct ql_args args = ARGS("--allowlist", list, "--exclude", excludes);
    char *sent = NULL, *key = NULL;
    uint8_t *json = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(ql_runtime_policy_argument(&args, &sent, &key, NULL), QL_OK);
    assert_string_equal(key, "");
    assert_int_equal(ql_base64_decode_dup(sent, strlen(sent), 4096, &json, &len, NULL), QL_OK);
    assert_non_null(
        strstr((char *)json, "\"digests\": {\"/bin/x y\": [\"00112233445566778899aabbccddeeff00112233\"]}"));
    assert_non_null(strstr((char *)json, "\"excludes\": [\"/tmp/.*\"]"));
    free(json);
    free(sent);
    free(key);
    free(list);
    free(excludes);
}

static void signed_policies_need_their_key(void **state)
{
    json_t *v = load_vectors("ima/dsse.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "envelopes"), i, one) {
        const char *pem = vector_text_or_null(one, "key_pem");
        bool good = strcmp(vector_text(one, "verdict_signature_required"), "ok") == 0;
        char *file = put_text("signed", vector_text(one, "envelope")),
             *key = put_text("key.pem", pem ? pem : "none");
        struct ql_args args = ARGS("--runtime-policy", file, "--runtime-policy-sig-key", key);
        char *sent = NULL, *sent_key = NULL;

        assert_int_equal(ql_runtime_policy_argument(&args, &sent, &sent_key, NULL) == QL_OK, good);
        free(sent);
        free(sent_key);
        if (good) {
            args = ARGS("--runtime-policy", file);
            assert_int_equal(ql_runtime_policy_argument(&args, &sent, &sent_key, NULL), QL_ENOTFOUND);
        }
        free(file);
        free(key);
    }
    json_decref(v);
}

static void a_checksum_must_fit(void **state)
{
    char *file = put_text("policy", "{}");
    struct ql_args args = ARGS("--runtime-policy", file, "--runtime-policy-checksum", "f00");
    struct ql_err err = QL_ERR_INIT;
    char *sent = NULL, *key = NULL;

    (void)state;
    assert_int_equal(ql_runtime_policy_argument(&args, &sent, &key, &err), QL_ECRYPTO);
    assert_non_null(
        strstr(err.text, "Checksum of runtime policy does not match! Expected f00, Calculated 44136fa3"));
    free(file);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const files[] = {"key",  "file.pem", "file.sig", "list",
                                        "excl", "signed",   "key.pem",  "policy"};

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = ql_path_join(folder, files[i]);

        unlink(path); /* may never have been made */
        free(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_files_become_keyring_text),
        cmocka_unit_test(without_keys_the_list_is_empty),
        cmocka_unit_test(a_key_with_a_wrong_signature_is_refused),
        cmocka_unit_test(an_allowlist_is_sent_as_a_policy),
        cmocka_unit_test(signed_policies_need_their_key),
        cmocka_unit_test(a_checksum_must_fit),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
