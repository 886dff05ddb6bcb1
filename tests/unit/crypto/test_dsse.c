/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "dsse.h"
#include "encode.h"
#include "key.h"

static void encoding_of_the_vectors_is_the_same(void **state)
{
    json_t *v = load_vectors("ima/dsse.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "pae"), i, one) {
        const char *payload = vector_text(one, "payload"), *type = vector_text(one, "type");
        uint8_t *bytes = NULL;
        size_t len = 0;
        char *hex;

        if (strspn(type, "abcdefghijklmnopqrstuvwxyz./+-") != strlen(type))
            continue; /* lengths of types beyond ASCII: such types are refused */
        assert_int_equal(ql_dsse_pae(type, payload, strlen(payload), &bytes, &len, NULL), QL_OK);
        hex = ql_hex_dup(bytes, len);
        assert_string_equal(hex, vector_text(one, "pae_hex"));
        free(hex);
        free(bytes);
    }
    json_array_foreach(json_object_get(v, "ecdsa_keyid"), i, one) {
        const char *pem = vector_text(one, "pem");
        struct ql_key *key = NULL;
        char id[QL_DSSE_KEYID_LEN + 1];

        assert_int_equal(ql_key_from_pem(pem, strlen(pem), &key, NULL), QL_OK);
        assert_int_equal(ql_dsse_keyid(key, id, NULL), QL_OK);
        assert_string_equal(id, vector_text(one, "keyid"));
        ql_key_free(key);
    }
    json_decref(v);
}

static void envelopes_of_the_vectors_verify_as_there(void **state)
{
    json_t *v = load_vectors("ima/dsse.json"), *one;
    size_t i, good = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "envelopes"), i, one) {
        const char *text = vector_text(one, "envelope"), *pem = vector_text_or_null(one, "key_pem");
        const char *verdict = vector_text(one, "verdict_signature_required");
        struct ql_dsse *d = NULL;
        int r = ql_dsse_read(text, strlen(text), &d, NULL);

        if (strstr(verdict, "not signed"))
            assert_int_equal(r, QL_ENOTFOUND);
        else if (strstr(verdict, "not valid JSON"))
            assert_int_equal(r, QL_EPARSE);
        else if (pem)
            assert_int_equal(r, QL_OK);
        if (r == QL_OK && pem) {
            bool wanted = strcmp(verdict, "ok") == 0;

            if ((ql_dsse_verify(d, pem, strlen(pem), NULL) == QL_OK) != wanted)
                fail_msg("%s", vector_text(one, "name"));
            good += wanted;
        }
        ql_dsse_free(d);
    }
    assert_true(good >= 7);
    json_decref(v);
}

static void what_is_signed_verifies_and_changed_it_does_not(void **state)
{
    struct ql_key *key = NULL, *other = NULL;
    char *pem, *other_pem, *text = NULL, *cert = NULL;
    struct ql_dsse *d = NULL;

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P384, &key, NULL), QL_OK);
    assert_int_equal(ql_key_generate_ec(QL_P256, &other, NULL), QL_OK);
    pem = ql_key_public_pem(key);
    other_pem = ql_key_public_pem(other);
    for (unsigned x509 = 0; x509 < 2; x509++) {
        assert_int_equal(ql_dsse_sign(key, x509, "{}\n", 3, &text, &cert, NULL), QL_OK);
        assert_int_equal(cert != NULL, x509);
        assert_int_equal(ql_dsse_read(text, strlen(text), &d, NULL), QL_OK);
        assert_int_equal(d->payload_len, 3);
        assert_int_equal(strlen(d->signatures[0].keyid), x509 ? 0 : QL_DSSE_KEYID_LEN);
        assert_int_equal(ql_dsse_verify(d, pem, strlen(pem), NULL), QL_OK);
        assert_int_equal(ql_dsse_verify(d, other_pem, strlen(other_pem), NULL), QL_ECRYPTO);
        d->payload[0] ^= 1;
        assert_int_equal(ql_dsse_verify(d, pem, strlen(pem), NULL), QL_ECRYPTO);
        ql_dsse_free(d);
        d = NULL;
        for (size_t n = 0; n < strlen(text); n++)
            assert_int_not_equal(ql_dsse_read(text, n, &d, NULL), QL_OK);
        free(text);
        free(cert);
    }
    free(pem);
    free(other_pem);
    ql_key_free(key);
    ql_key_free(other);
}

static void certificates_and_private_keys_are_no_verification_keys(void **state)
{
    struct ql_key *key = NULL;
    struct ql_secret *private = NULL;
    char *text = NULL, *cert = NULL;
    struct ql_dsse *d = NULL;

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    assert_int_equal(ql_key_private_pem(key, NULL, &private, NULL), QL_OK);
    assert_int_equal(ql_dsse_sign(key, true, "{}", 2, &text, &cert, NULL), QL_OK);
    assert_int_equal(ql_dsse_read(text, strlen(text), &d, NULL), QL_OK);
    assert_int_equal(ql_dsse_verify(d, cert, strlen(cert), NULL), QL_ECRYPTO);
    assert_int_equal(ql_dsse_verify(d, (const char *)ql_secret_data(private), ql_secret_len(private), NULL),
                     QL_ECRYPTO);
    ql_dsse_free(d);
    free(text);
    free(cert);
    ql_secret_free(private);
    ql_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_of_the_vectors_is_the_same),
        cmocka_unit_test(envelopes_of_the_vectors_verify_as_there),
        cmocka_unit_test(what_is_signed_verifies_and_changed_it_does_not),
        cmocka_unit_test(certificates_and_private_keys_are_no_verification_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
