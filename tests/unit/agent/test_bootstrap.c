/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bootstrap.h"
#include "encode.h"
#include "file.h"
#include "json.h"

static const char ID[] = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000";

static struct ql_secret *secret(uint8_t fill, size_t len)
{
    struct ql_secret *s = NULL;
    uint8_t bytes[32];

    memset(bytes, fill, sizeof bytes);
    assert_int_equal(ql_secret_new(bytes, len, &s, NULL), QL_OK);
    return s;
}

/** The tag of K = fill repeated. */
static void tag_of(uint8_t fill, size_t len, uint8_t tag[QL_BOOTSTRAP_TAG_LEN])
{
    const struct ql_piece id = {ID, strlen(ID)};
    uint8_t bytes[32], mac[QL_DIGEST_MAX];

    memset(bytes, fill, sizeof bytes);
    assert_int_equal(ql_hmac(QL_SHA384, bytes, len, &id, 1, mac), QL_OK);
    memcpy(tag, mac, QL_BOOTSTRAP_TAG_LEN);
}

static struct ql_bootstrap *make(void)
{
    struct ql_bootstrap *b = NULL;

    assert_int_equal(ql_bootstrap_new(ID, &b, NULL), QL_OK);
    return b;
}

static void assert_key(const struct ql_bootstrap *b, uint8_t fill, size_t len)
{
    assert_non_null(ql_bootstrap_key(b));
    assert_int_equal(ql_secret_len(ql_bootstrap_key(b)), len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(ql_secret_data(ql_bootstrap_key(b))[i], fill);
}

static void u_and_v_combine_in_either_order(void **state)
{
    static const size_t lens[] = {16, 32};
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct ql_bootstrap *one = make(), *two = make();

        tag_of(0x33, lens[i], tag);
        assert_false(ql_bootstrap_add_u(one, secret(0x11, lens[i]), tag, NULL, 0));
        assert_null(ql_bootstrap_key(one));
        assert_true(ql_bootstrap_add_v(one, secret(0x22, lens[i])));
        assert_key(one, 0x33, lens[i]);
        assert_false(ql_bootstrap_add_v(two, secret(0x22, lens[i])));
        assert_true(ql_bootstrap_add_u(two, secret(0x11, lens[i]), tag, NULL, 0));
        assert_key(two, 0x33, lens[i]);
        ql_bootstrap_free(one);
        ql_bootstrap_free(two);
    }
}

static void halves_of_different_length_never_combine(void **state)
{
    struct ql_bootstrap *b = make();
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN];

    (void)state;
    tag_of(0x33, 16, tag);
    assert_false(ql_bootstrap_add_u(b, secret(0x11, 32), tag, NULL, 0));
    assert_false(ql_bootstrap_add_v(b, secret(0x22, 16)));
    assert_null(ql_bootstrap_key(b));
    ql_bootstrap_free(b);
}

static void one_wrong_bit_in_the_tag_keeps_them_apart(void **state)
{
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN];

    (void)state;
    for (size_t i = 0; i < QL_BOOTSTRAP_TAG_LEN; i++) {
        struct ql_bootstrap *b = make();

        tag_of(0x33, 32, tag);
        tag[i] ^= 0x80;
        assert_false(ql_bootstrap_add_u(b, secret(0x11, 32), tag, NULL, 0));
        assert_false(ql_bootstrap_add_v(b, secret(0x22, 32)));
        assert_null(ql_bootstrap_key(b));
        ql_bootstrap_free(b);
    }
}

static void the_ninth_half_drops_the_first_and_not_the_second(void **state)
{
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN], other[QL_BOOTSTRAP_TAG_LEN];
    struct ql_bootstrap *b;

    (void)state;
    tag_of(0x33, 32, tag);
    tag_of(0x77, 32, other);
    for (int wanted = 0; wanted < 2; wanted++) {
        b = make();
        for (int i = 0; i < QL_BOOTSTRAP_HALVES + 1; i++)
            assert_false(ql_bootstrap_add_u(b, secret(i == wanted ? 0x11 : (uint8_t)(0x80 + i), 32),
                                            i == wanted ? tag : other, NULL, 0));
        assert_int_equal(ql_bootstrap_add_v(b, secret(0x22, 32)), wanted == 1);
        ql_bootstrap_free(b);
        b = make();
        for (int i = 0; i < QL_BOOTSTRAP_HALVES + 1; i++)
            assert_false(ql_bootstrap_add_v(b, secret(i == wanted ? 0x22 : (uint8_t)(0x80 + i), 32)));
        assert_int_equal(ql_bootstrap_add_u(b, secret(0x11, 32), tag, NULL, 0), wanted == 1);
        ql_bootstrap_free(b);
    }
}

static void a_match_clears_both_lists_and_keeps_its_own_payload(void **state)
{
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN], other[QL_BOOTSTRAP_TAG_LEN];
    struct ql_bootstrap *b = make();
    const uint8_t *payload;
    size_t len = 0;

    (void)state;
    tag_of(0x33, 32, tag);
    tag_of(0x66, 32, other);
    assert_false(ql_bootstrap_add_u(b, secret(0x44, 32), other, (uint8_t *)strdup("other"), 5));
    assert_false(ql_bootstrap_add_u(b, secret(0x11, 32), tag, (uint8_t *)strdup("sealed"), 6));
    assert_true(ql_bootstrap_add_v(b, secret(0x22, 32)));
    payload = ql_bootstrap_payload(b, &len);
    assert_int_equal(len, 6);
    assert_memory_equal(payload, "sealed", 6);
    /* 0x44 ^ 0x22 = 0x66 would fit the other U, which is gone. */
    assert_false(ql_bootstrap_add_v(b, secret(0x22, 32)));
    assert_key(b, 0x33, 32);
    /* A later pair replaces K, here one without payload. */
    assert_true(ql_bootstrap_add_u(b, secret(0x44, 32), other, NULL, 0));
    assert_key(b, 0x66, 32);
    assert_null(ql_bootstrap_payload(b, &len));
    ql_bootstrap_free(b);
}

static void nothing_is_verified_before_there_is_a_key(void **state)
{
    struct ql_bootstrap *b = make();
    char out[2 * QL_BOOTSTRAP_TAG_LEN + 1];

    (void)state;
    assert_int_equal(ql_bootstrap_verify(b, "abc", out), QL_ENOTFOUND);
    ql_bootstrap_free(b);
}

static json_t *vectors(void)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    json_t *file = NULL;

    if (ql_file_read(QL_SHARED_DIR "/vectors/agent/bootstrap.json", 4 << 20, &bytes, &len, NULL) < 0) {
        print_message("no shared vectors\n");
        skip();
    }
    assert_int_equal(ql_json_parse_object((char *)bytes, len, 4 << 20, &file, NULL), QL_OK);
    free(bytes);
    return file;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    assert_non_null(text);
    return text;
}

static struct ql_key *nk_of(const json_t *test)
{
    const char *pem = text_of(test, "nk_private_pem");
    struct ql_key *nk = NULL;

    assert_int_equal(ql_key_from_private_pem(pem, strlen(pem), NULL, &nk, NULL), QL_OK);
    return nk;
}

static void recorded_keys_and_payloads_come_out_as_they_went_in(void **state)
{
    json_t *file = vectors(), *test;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(file, "cases"), i, test) {
        const json_t *ukey = json_object_get(test, "ukey_request"),
                     *vkey = json_object_get(test, "vkey_request");
        const char *sealed = text_of(ukey, "payload"), *plain = text_of(test, "payload_plain_b64");
        const char *k = text_of(test, "k_b64"), *tag_text = text_of(ukey, "auth_tag");
        struct ql_key *nk = nk_of(test);
        struct ql_secret *u = NULL, *v = NULL, *opened = NULL;
        struct ql_bootstrap *b = NULL;
        uint8_t tag[QL_BOOTSTRAP_TAG_LEN], want[32], *payload = NULL, *content = NULL;
        size_t len = 0, payload_len = 0, content_len = 0;
        char hmac[2 * QL_BOOTSTRAP_TAG_LEN + 1];

        assert_int_equal(ql_bootstrap_new(text_of(test, "agent_id"), &b, NULL), QL_OK);
        assert_int_equal(ql_bootstrap_open_key(nk, text_of(ukey, "encrypted_key"),
                                               strlen(text_of(ukey, "encrypted_key")), &u, NULL),
                         QL_OK);
        assert_int_equal(ql_bootstrap_open_key(nk, text_of(vkey, "encrypted_key"),
                                               strlen(text_of(vkey, "encrypted_key")), &v, NULL),
                         QL_OK);
        assert_int_equal(ql_hex_decode(tag_text, strlen(tag_text), tag, sizeof tag, NULL), QL_OK);
        assert_int_equal(
            ql_base64_decode_dup(sealed, strlen(sealed), QL_PAYLOAD_MAX, &payload, &payload_len, NULL),
            QL_OK);
        assert_false(ql_bootstrap_add_u(b, u, tag, payload, payload_len));
        assert_true(ql_bootstrap_add_v(b, v));
        assert_int_equal(ql_base64_decode(k, strlen(k), want, sizeof want, &len, NULL), QL_OK);
        assert_int_equal(ql_secret_len(ql_bootstrap_key(b)), len);
        assert_memory_equal(ql_secret_data(ql_bootstrap_key(b)), want, len);
        assert_int_equal(ql_bootstrap_verify(b, text_of(test, "verify_challenge"), hmac), QL_OK);
        assert_string_equal(hmac, text_of(test, "verify_hmac"));
        assert_int_equal(
            ql_gcm_open(ql_bootstrap_key(b), ql_bootstrap_payload(b, &len), payload_len, &opened, NULL),
            QL_OK);
        assert_int_equal(
            ql_base64_decode_dup(plain, strlen(plain), QL_PAYLOAD_MAX, &content, &content_len, NULL), QL_OK);
        assert_int_equal(ql_secret_len(opened), content_len);
        if (content_len > 0)
            assert_memory_equal(ql_secret_data(opened), content, content_len);
        free(content);
        ql_secret_free(opened);
        ql_bootstrap_free(b);
        ql_key_free(nk);
    }
    assert_true(i >= 4);
    json_decref(file);
}

static void every_unusable_encrypted_key_gets_the_same_answer(void **state)
{
    static const char *const not_base64[] = {"", "====", "AAAA AAAA", "AAAA", "\n"};
    json_t *file = vectors(), *test;
    struct ql_key *nk = NULL;
    struct ql_secret *key = NULL;
    char too_long[1400];
    size_t i, seen = 0;

    (void)state;
    json_array_foreach(json_object_get(file, "negative"), i, test) {
        struct ql_err err = QL_ERR_INIT;
        const char *text;

        if (!json_object_get(test, "encrypted_key"))
            continue;
        ql_key_free(nk);
        nk = nk_of(test);
        text = text_of(test, "encrypted_key");
        assert_int_equal(ql_bootstrap_open_key(nk, text, strlen(text), &key, &err), QL_ECRYPTO);
        assert_string_equal(err.text, QL_BOOTSTRAP_KEY_TEXT);
        seen++;
    }
    assert_true(seen >= 3);
    memset(too_long, 'A', sizeof too_long);
    for (i = 0; i <= QL_ARRAY_LEN(not_base64); i++) {
        struct ql_err err = QL_ERR_INIT;
        const bool last = i == QL_ARRAY_LEN(not_base64);

        assert_int_equal(ql_bootstrap_open_key(nk, last ? too_long : not_base64[i],
                                               last ? sizeof too_long : strlen(not_base64[i]), &key, &err),
                         QL_ECRYPTO);
        assert_string_equal(err.text, QL_BOOTSTRAP_KEY_TEXT);
    }
    assert_null(key);
    ql_key_free(nk);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u_and_v_combine_in_either_order),
        cmocka_unit_test(halves_of_different_length_never_combine),
        cmocka_unit_test(one_wrong_bit_in_the_tag_keeps_them_apart),
        cmocka_unit_test(the_ninth_half_drops_the_first_and_not_the_second),
        cmocka_unit_test(a_match_clears_both_lists_and_keeps_its_own_payload),
        cmocka_unit_test(nothing_is_verified_before_there_is_a_key),
        cmocka_unit_test(recorded_keys_and_payloads_come_out_as_they_went_in),
        cmocka_unit_test(every_unusable_encrypted_key_gets_the_same_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
