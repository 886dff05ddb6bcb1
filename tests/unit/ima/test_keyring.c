/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "base64.h"
#include "keyring.h"
#include "toolhost.h"

static uint8_t *decode(const json_t *text, size_t *len)
{
    size_t n = json_string_length(text);
    uint8_t *out = malloc(n / 4 * 3 + 4);

    assert_non_null(out);
    assert_true(ima_base64_decode(IMA_BASE64_STRICT, (const uint8_t *)json_string_value(text), n, out, len));
    return out;
}

static void keys_of_the_vectors_load_as_there(void **state)
{
    json_t *v = load_vectors("ima/keys.json"), *one;
    size_t i, len = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "keys"), i, one) {
        const char *name = vector_text(one, "name"), *result = vector_text(one, "result");
        uint8_t *bytes = decode(json_object_get(one, "data_b64"), &len);
        struct ima_key *key = NULL;
        enum ima_key_kind kind = ima_key_read(bytes, len, false, &key);
        enum ima_key_kind wanted = strcmp(result, "key") == 0           ? IMA_KEY_OK
                                   : strcmp(result, "unsupported") == 0 ? IMA_KEY_UNSUPPORTED
                                                                        : IMA_NOT_A_KEY;

        if (kind != wanted)
            fail_msg("%s: %d", name, kind);
        if (kind == IMA_KEY_UNSUPPORTED)
            assert_string_equal(ima_key_unsupported_name(bytes, len, false), "Ed25519");
        if (kind == IMA_KEY_OK) {
            struct ima_keyring *ring = NULL, *again = NULL;
            char id[16];
            char *text;
            json_t *object;

            snprintf(id, sizeof id, "%08x", ima_key_id(key));
            assert_string_equal(id, vector_text(one, "keyid"));
            assert_int_equal(ima_keyring_new(&ql_tool_host, &ring, NULL), QL_OK);
            assert_int_equal(ima_keyring_add(ring, key, 0, NULL), QL_OK);
            object = ima_keyring_write(ring);
            text = json_dumps(object, 0);
            assert_string_equal(text, vector_text(one, "keyring_json"));
            assert_int_equal(ima_keyring_read_strict(&ql_tool_host, text, strlen(text), &again, NULL), QL_OK);
            assert_true(ima_key_equal(key, ima_keyring_find(again, ima_key_id(key))));
            free(text);
            json_decref(object);
            ima_keyring_free(ring);
            ima_keyring_free(again);
            ima_key_unref(key);
        }
        free(bytes);
    }
    json_decref(v);
}

static void a_private_key_in_a_log_is_no_key(void **state)
{
    json_t *v = load_vectors("ima/keys.json"), *one;
    size_t i, len = 0, count = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "keys"), i, one) {
        uint8_t *bytes = decode(json_object_get(one, "data_b64"), &len);
        struct ima_key *key = NULL;
        bool is_private = strstr(vector_text(one, "name"), "private") != NULL;
        enum ima_key_kind kind = ima_key_read(bytes, len, true, &key);

        count += is_private;
        if (is_private)
            assert_int_equal(kind, IMA_NOT_A_KEY);
        else if (strcmp(vector_text(one, "result"), "key") == 0)
            assert_int_equal(kind, IMA_KEY_OK);
        ima_key_unref(key);
        free(bytes);
    }
    assert_true(count >= 2);
    json_decref(v);
}

static void every_truncation_of_a_key_is_no_key(void **state)
{
    json_t *v = load_vectors("ima/keys.json"), *one;
    size_t i, len = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "keys"), i, one) {
        uint8_t *bytes;

        if (!strstr(vector_text(one, "name"), "-der") || strcmp(vector_text(one, "result"), "key") != 0)
            continue;
        bytes = decode(json_object_get(one, "data_b64"), &len);
        for (size_t n = 0; n < len; n++) {
            uint8_t *cut = malloc(n > 0 ? n : 1);
            struct ima_key *key = NULL;

            memcpy(cut, bytes, n);
            assert_int_equal(ima_key_read(cut, n, true, &key), IMA_NOT_A_KEY);
            free(cut);
        }
        free(bytes);
    }
    json_decref(v);
}

static void keyring_texts_of_the_vectors_give_the_same_ids(void **state)
{
    json_t *v = load_vectors("ima/keyring_strings.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "keyrings"), i, one) {
        const json_t *text = json_object_get(one, "text"), *result = json_object_get(one, "result");
        struct ima_keyring *ring = NULL;
        int r =
            ima_keyring_read(&ql_tool_host, json_string_value(text), json_string_length(text), &ring, NULL);
        const char *id;
        json_t *type;

        if (!result) {
            assert_int_equal(r, QL_EPARSE);
            continue;
        }
        assert_int_equal(r, QL_OK);
        if (json_object_size(result) == 0) {
            assert_null(ring);
            continue;
        }
        assert_non_null(ring);
        assert_int_equal(ima_keyring_count(ring), json_object_size(result));
        json_object_foreach((json_t *)(uintptr_t)result, id, type)
            assert_non_null(ima_keyring_find(ring, (uint32_t)strtoul(id, NULL, 16)));
        ima_keyring_free(ring);
    }
    json_decref(v);
}

static void an_id_taken_by_another_key_is_refused(void **state)
{
    json_t *v = load_vectors("ima/keys.json"), *keys = json_object_get(v, "keys"), *one;
    struct ima_key *rsa = NULL, *ec = NULL;
    struct ima_keyring *ring = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t i, len = 0;

    (void)state;
    json_array_foreach(keys, i, one) {
        bool is_rsa = strcmp(vector_text(one, "name"), "rsa-cert-der") == 0;

        if (is_rsa || strcmp(vector_text(one, "name"), "p256-spki") == 0) {
            uint8_t *bytes = decode(json_object_get(one, "data_b64"), &len);

            assert_int_equal(ima_key_read(bytes, len, true, is_rsa ? &rsa : &ec), IMA_KEY_OK);
            free(bytes);
        }
    }
    assert_int_equal(ima_keyring_new(&ql_tool_host, &ring, NULL), QL_OK);
    assert_int_equal(ima_keyring_add(ring, rsa, 7, &err), QL_OK);
    assert_int_equal(ima_keyring_add(ring, rsa, 7, &err), QL_OK);
    assert_int_equal(ima_keyring_add(ring, ec, 7, &err), QL_ECONFLICT);
    assert_string_equal(err.text, "key id 00000007 belongs to another key");
    assert_int_equal(ima_keyring_count(ring), 1);
    assert_ptr_equal(ima_keyring_find(ring, 7), rsa);
    ima_keyring_free(ring);
    ima_key_unref(rsa);
    ima_key_unref(ec);
    json_decref(v);
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned c;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &c), 1);
        out[i] = (uint8_t)c;
    }
    return n;
}

/* ima-sig lines of the log cases: which key of the policy is good for which signature is told by the verdicts there. */
static void signatures_of_the_log_cases_verify_and_no_changed_one_does(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json"), *one;
    size_t i, good = 0, checked = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "cases"), i, one) {
        const json_t *keys = json_object_get(json_object_get(one, "policy"), "verification-keys");
        const char *log =
            json_string_value(json_object_get(json_array_get(json_object_get(one, "steps"), 0), "log"));
        struct ima_keyring *ring = NULL;
        char *copy, *save = NULL;

        if (json_string_length(keys) == 0 ||
            ima_keyring_read(&ql_tool_host, json_string_value(keys), json_string_length(keys), &ring, NULL) <
                0 ||
            !ring)
            continue;
        copy = strdup(log);
        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            char alg[16], hex[256], name[512], sig[4096];
            uint8_t digest[128], field[2048];
            size_t digest_len, field_len;
            struct ima_signature s;
            struct ima_key *key;

            if (sscanf(line, "%*d %*s ima-sig %15[^:]:%255s %511s %4095s", alg, hex, name, sig) != 4 ||
                strlen(sig) % 2 != 0 || strspn(sig, "0123456789abcdef") != strlen(sig) || strlen(hex) > 128)
                continue;
            digest_len = unhex(hex, digest);
            field_len = unhex(sig, field);
            if (!ima_signature_read(field, field_len, &s) || !(key = ima_keyring_find(ring, s.key_id)))
                continue;
            checked++;
            if (ima_signature_check(&s, key, alg, strlen(alg), digest, digest_len) == IMA_SIGNATURE_BAD)
                continue;
            good++;
            digest[0] ^= 1;
            assert_int_equal(ima_signature_check(&s, key, alg, strlen(alg), digest, digest_len),
                             IMA_SIGNATURE_BAD);
            digest[0] ^= 1;
            assert_int_equal(ima_signature_check(&s, key, alg, strlen(alg), digest, digest_len - 1),
                             IMA_SIGNATURE_BAD);
            assert_int_equal(ima_signature_check(&s, key, "sha3-256", 8, digest, digest_len),
                             IMA_SIGNATURE_BAD);
            for (unsigned version = 0; version < 5; version++) {
                s.version = (uint8_t)version;
                assert_int_equal(ima_signature_check(&s, key, alg, strlen(alg), digest, digest_len) ==
                                     IMA_SIGNATURE_BAD,
                                 version != 2);
            }
            field[field_len - 1] ^= 1;
            assert_true(ima_signature_read(field, field_len, &s));
            assert_int_equal(ima_signature_check(&s, key, alg, strlen(alg), digest, digest_len),
                             IMA_SIGNATURE_BAD);
            for (size_t n = 0; n < field_len; n++)
                assert_false(ima_signature_read(field, n, &s));
        }
        free(copy);
        ima_keyring_free(ring);
    }
    print_message("%zu good of %zu signatures\n", good, checked);
    assert_true(good > 3);
    json_decref(v);
}

static void base64_forms_differ_in_what_they_pass_over(void **state)
{
    static const struct {
        const char *text, *out;
        bool strict, url, lenient;
    } cases[] = {
        {"", "", true, true, true},           {"YQ==", "a", true, true, true},
        {"YWI=", "ab", true, true, true},     {"YWJj", "abc", true, true, true},
        {"YQ", "a", false, false, false},     {"YQ=", "a", false, false, false},
        {"Y Q = =", "a", false, false, true}, {"YQ==x", "a", false, false, true},
        {"/+==", "\xff", true, false, false}, {"_-==", "\xff", false, true, true},
        {"=", "", false, false, true},        {"Y", "", false, false, false},
    };
    uint8_t out[16];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *text = (const uint8_t *)cases[i].text;
        size_t len = strlen(cases[i].text);
        bool strict = ima_base64_decode(IMA_BASE64_STRICT, text, len, out, &n);

        if (strict)
            assert_memory_equal(out, cases[i].out, n);
        assert_int_equal(strict, cases[i].strict);
        assert_int_equal(ima_base64_decode(IMA_BASE64_URL, text, len, out, &n), cases[i].url);
        if (cases[i].text[0] != '_' && cases[i].text[0] != '/')
            assert_int_equal(ima_base64_decode(IMA_BASE64_LENIENT, text, len, out, &n), cases[i].lenient);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_the_vectors_load_as_there),
        cmocka_unit_test(a_private_key_in_a_log_is_no_key),
        cmocka_unit_test(every_truncation_of_a_key_is_no_key),
        cmocka_unit_test(keyring_texts_of_the_vectors_give_the_same_ids),
        cmocka_unit_test(an_id_taken_by_another_key_is_refused),
        cmocka_unit_test(signatures_of_the_log_cases_verify_and_no_changed_one_does),
        cmocka_unit_test(base64_forms_differ_in_what_they_pass_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
