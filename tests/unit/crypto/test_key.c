/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "encode.h"
#include "key.h"

static size_t decode(const char *text, uint8_t *out, size_t room)
{
    size_t len;

    assert_int_equal(ql_base64_decode(text, strlen(text), out, room, &len, NULL), QL_OK);
    return len;
}

static struct ql_key *private_key(const json_t *c)
{
    const char *pem = vector_text(c, "nk_private_pem");
    struct ql_key *key = NULL;

    assert_int_equal(ql_key_from_private_pem(pem, strlen(pem), NULL, &key, NULL), QL_OK);
    return key;
}

/* Decrypt what a request carries and compare with the half key it stands for. */
static void check_half(const struct ql_key *key, const json_t *request, const char *half)
{
    uint8_t sealed[1024], expected[64];
    size_t sealed_len = decode(vector_text(request, "encrypted_key"), sealed, sizeof sealed);
    size_t expected_len = decode(half, expected, sizeof expected);
    struct ql_secret *plain = NULL;

    assert_int_equal(ql_oaep_decrypt(key, QL_SHA1, sealed, sealed_len, &plain, NULL), QL_OK);
    assert_int_equal(ql_secret_len(plain), expected_len);
    assert_memory_equal(ql_secret_data(plain), expected, expected_len);
    ql_secret_free(plain);
}

static void half_keys_decrypt_to_the_known_bytes(void **state)
{
    json_t *v = load_vectors("agent/bootstrap.json"), *cases = json_object_get(v, "cases");

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        struct ql_key *key = private_key(c);
        char *pem = ql_key_public_pem(key);

        assert_string_equal(pem, vector_text(c, "nk_pub_pem"));
        check_half(key, json_object_get(c, "ukey_request"), vector_text(c, "u_b64"));
        check_half(key, json_object_get(c, "vkey_request"), vector_text(c, "v_b64"));
        free(pem);
        ql_key_free(key);
    }
    json_decref(v);
}

static void payloads_open_with_the_combined_key(void **state)
{
    json_t *v = load_vectors("agent/bootstrap.json"), *cases = json_object_get(v, "cases");

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *payload = vector_text_or_null(json_object_get(c, "ukey_request"), "payload");
        uint8_t k[32], *sealed = NULL, *plain = NULL;
        size_t k_len = decode(vector_text(c, "k_b64"), k, sizeof k), sealed_len, plain_len;
        struct ql_secret *key = NULL, *opened = NULL;

        if (!payload)
            continue;
        assert_int_equal(ql_secret_new(k, k_len, &key, NULL), QL_OK);
        assert_int_equal(ql_base64_decode_dup(payload, strlen(payload), 1 << 22, &sealed, &sealed_len, NULL),
                         QL_OK);
        assert_int_equal(ql_base64_decode_dup(vector_text(c, "payload_plain_b64"),
                                              strlen(vector_text(c, "payload_plain_b64")), 1 << 22, &plain,
                                              &plain_len, NULL),
                         QL_OK);
        assert_int_equal(ql_gcm_open(key, sealed, sealed_len, &opened, NULL), QL_OK);
        assert_int_equal(ql_secret_len(opened), plain_len);
        assert_memory_equal(ql_secret_data(opened), plain, plain_len);
        ql_secret_free(opened);
        ql_secret_free(key);
        free(sealed);
        free(plain);
    }
    json_decref(v);
}

static void tags_of_the_combined_key_are_the_known_ones(void **state)
{
    json_t *v = load_vectors("agent/bootstrap.json"), *cases = json_object_get(v, "cases");

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        uint8_t k[32], tag[QL_DIGEST_MAX];
        size_t k_len = decode(vector_text(c, "k_b64"), k, sizeof k);
        struct ql_piece id = {vector_text(c, "agent_id"), strlen(vector_text(c, "agent_id"))},
                        challenge = {vector_text(c, "verify_challenge"),
                                     strlen(vector_text(c, "verify_challenge"))};
        char hex[2 * QL_DIGEST_MAX + 1];

        assert_int_equal(ql_hmac(QL_SHA384, k, k_len, &id, 1, tag), QL_OK);
        ql_hex_encode(tag, 48, hex);
        assert_string_equal(hex, vector_text(json_object_get(c, "ukey_request"), "auth_tag"));
        assert_int_equal(ql_hmac(QL_SHA384, k, k_len, &challenge, 1, tag), QL_OK);
        ql_hex_encode(tag, 48, hex);
        assert_string_equal(hex, vector_text(c, "verify_hmac"));
    }
    json_decref(v);
}

static void damaged_payloads_and_foreign_paddings_do_not_open(void **state)
{
    json_t *v = load_vectors("agent/bootstrap.json"), *cases = json_object_get(v, "negative");
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *name = vector_text(c, "name");
        struct ql_secret *key = NULL, *opened = NULL;
        uint8_t bytes[4096], k[32];
        size_t len;

        if (vector_text_or_null(c, "payload")) {
            len = decode(vector_text(c, "payload"), bytes, sizeof bytes);
            assert_int_equal(ql_secret_new(k, decode(vector_text(c, "key_b64"), k, sizeof k), &key, NULL),
                             QL_OK);
            if (ql_gcm_open(key, bytes, len, &opened, NULL) == QL_OK)
                fail_msg("%s opened", name);
            ql_secret_free(key);
            tried++;
        } else if (strcmp(name, "oaep_sha256") == 0 || strcmp(name, "pkcs1v15") == 0) {
            struct ql_key *nk = private_key(c);
            struct ql_err err = QL_ERR_INIT;

            len = decode(vector_text(c, "encrypted_key"), bytes, sizeof bytes);
            if (ql_oaep_decrypt(nk, QL_SHA1, bytes, len, &opened, &err) == QL_OK)
                fail_msg("%s decrypted", name);
            assert_string_equal(err.text, "decryption failed");
            ql_key_free(nk);
            tried++;
        }
    }
    assert_true(tried >= 7);
    json_decref(v);
}

static void sealing_and_opening_are_inverse_and_never_the_same_twice(void **state)
{
    static const char text[] = "half of a key";
    struct ql_secret *key = NULL, *opened = NULL;
    uint8_t k[32], *a = NULL, *b = NULL;
    size_t a_len, b_len;

    (void)state;
    ql_random(k, sizeof k);
    assert_int_equal(ql_secret_new(k, sizeof k, &key, NULL), QL_OK);
    assert_int_equal(ql_gcm_seal(key, text, sizeof text, &a, &a_len, NULL), QL_OK);
    assert_int_equal(ql_gcm_seal(key, text, sizeof text, &b, &b_len, NULL), QL_OK);
    assert_int_equal(a_len, 16 + sizeof text + 16);
    assert_memory_not_equal(a, b, a_len);
    assert_int_equal(ql_gcm_open(key, a, a_len, &opened, NULL), QL_OK);
    assert_string_equal((const char *)ql_secret_data(opened), text);
    for (size_t i = 0; i < a_len; i++) {
        struct ql_secret *never = NULL;

        a[i] ^= 1;
        assert_int_not_equal(ql_gcm_open(key, a, a_len, &never, NULL), QL_OK);
        a[i] ^= 1;
    }
    ql_secret_free(opened);
    ql_secret_free(key);
    free(a);
    free(b);
}

/* The public key of a PEM certificate, by OpenSSL itself. */
static struct ql_key *certified_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    struct ql_key *key = NULL;

    assert_non_null(cert);
    assert_int_equal(ql_key_from_native(X509_get_pubkey(cert), &key, NULL), QL_OK);
    X509_free(cert);
    BIO_free(bio);
    return key;
}

static void revocations_are_accepted_only_with_a_salt_of_maximal_length(void **state)
{
    json_t *v = load_vectors("agent/revocation.json"), *cases = json_object_get(v, "cases");
    struct ql_key *key = certified_key(vector_text(v, "revocation_cert_pem"));

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *message = json_object_get(c, "message");
        bool wanted = json_is_true(json_object_get(json_object_get(c, "required"), "accepted"));
        const char *msg = vector_text_or_null(message, "msg"),
                   *text = vector_text_or_null(message, "signature");
        uint8_t sig[1024];
        size_t len = 0;
        bool ok =
            msg && text && ql_base64_decode(text, strlen(text), sig, sizeof sig, &len, NULL) == QL_OK &&
            ql_key_verify(key, QL_RSAPSS, QL_SHA256, msg, strlen(msg), sig, len, NULL, 0, -2, NULL) == QL_OK;

        if (ok != wanted)
            fail_msg("%s: wanted %s", vector_text(c, "name"), wanted ? "accepted" : "refused");
    }
    ql_key_free(key);
    json_decref(v);
}

static void revocations_that_we_sign_verify(void **state)
{
    json_t *v = load_vectors("agent/revocation.json");
    struct ql_key *public = certified_key(vector_text(v, "revocation_cert_pem")), *private = NULL;
    const char *pem = vector_text(v, "revocation_key_pem");
    uint8_t *sig = NULL;
    size_t len;

    (void)state;
    assert_int_equal(ql_key_from_private_pem(pem, strlen(pem), NULL, &private, NULL), QL_OK);
    assert_true(ql_key_equal(public, private));
    assert_int_equal(ql_key_sign_pss_max(private, QL_SHA256, "msg", 3, &sig, &len, NULL), QL_OK);
    assert_int_equal(ql_key_verify(public, QL_RSAPSS, QL_SHA256, "msg", 3, sig, len, NULL, 0, -2, NULL),
                     QL_OK);
    assert_int_equal(ql_key_verify(public, QL_RSAPSS, QL_SHA256, "msh", 3, sig, len, NULL, 0, -2, NULL),
                     QL_ECRYPTO);
    free(sig);
    ql_key_free(public);
    ql_key_free(private);
    json_decref(v);
}

static void keys_of_unfit_size_are_refused(void **state)
{
    uint8_t n[128], zeros[32] = {0};
    struct ql_key *key = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    memset(n, 0xff, sizeof n);
    assert_int_equal(ql_key_from_rsa(n, sizeof n, 0, &key, &err), QL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "1024 bits"));
    assert_int_equal(ql_key_from_ec(QL_P256, zeros, 32, zeros, 32, &key, NULL), QL_ECRYPTO);
    assert_null(key);
}

static void public_pem_must_be_one_block(void **state)
{
    struct ql_key *key = NULL, *again = NULL;
    char *pem, *twice = NULL;

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    pem = ql_key_public_pem(key);
    assert_int_equal(ql_key_from_pem(pem, strlen(pem), &again, NULL), QL_OK);
    assert_true(ql_key_equal(key, again));
    ql_key_free(again);
    again = NULL;
    assert_true(asprintf(&twice, "%s%s", pem, pem) > 0);
    assert_int_not_equal(ql_key_from_pem(twice, strlen(twice), &again, NULL), QL_OK);
    for (size_t len = 0; len < strlen(pem) - 1; len++)
        assert_int_not_equal(ql_key_from_pem(pem, len, &again, NULL), QL_OK);
    assert_null(again);
    free(twice);
    free(pem);
    ql_key_free(key);
}

static void alnum_is_of_the_alphabet_and_varies(void **state)
{
    char a[21], b[21];

    (void)state;
    ql_random_alnum(a, 20);
    ql_random_alnum(b, 20);
    assert_int_equal(strlen(a), 20);
    assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"), 20);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_keys_decrypt_to_the_known_bytes),
        cmocka_unit_test(payloads_open_with_the_combined_key),
        cmocka_unit_test(tags_of_the_combined_key_are_the_known_ones),
        cmocka_unit_test(damaged_payloads_and_foreign_paddings_do_not_open),
        cmocka_unit_test(sealing_and_opening_are_inverse_and_never_the_same_twice),
        cmocka_unit_test(revocations_are_accepted_only_with_a_salt_of_maximal_length),
        cmocka_unit_test(revocations_that_we_sign_verify),
        cmocka_unit_test(keys_of_unfit_size_are_refused),
        cmocka_unit_test(public_pem_must_be_one_block),
        cmocka_unit_test(alnum_is_of_the_alphabet_and_varies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
