/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "credential.h"
#include "credential_parts.h"
#include "encode.h"
#include "key.h"

static void parse_public(const char *text, struct ql_tpm_public *ret)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_tpm_public_from_text(text, strlen(text), ret, NULL, NULL, &err) < 0)
        fail_msg("%.40s: %s", text, err.text);
}

static size_t unhex(const char *text, uint8_t *out, size_t room)
{
    size_t len;

    assert_int_equal(ql_hex_decode_upto(text, strlen(text), out, room, &len, NULL), QL_OK);
    return len;
}

static void credential_has_the_known_id_object_for_a_known_seed(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json"), *cases = json_object_get(v, "cases");
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *seed_hex = vector_text_or_null(c, "seed_hex"), *blob_text = vector_text(c, "blob");
        ql_auto_buf struct ql_buf made = ql_buf_init(QL_CREDENTIAL_MAX_LEN);
        struct ql_tpm_public ek, aik;
        uint8_t seed[QL_DIGEST_MAX], name[QL_NAME_MAX_LEN], *blob = NULL;
        const uint8_t *id, *secret;
        size_t seed_len, name_len, blob_len, id_len, secret_len;

        parse_public(vector_text(c, "ek_tpm"), &ek);
        parse_public(vector_text(c, "aik_tpm"), &aik);
        name_len = unhex(vector_text(c, "aik_name_hex"), name, sizeof name);
        assert_int_equal(name_len, aik.name_len);
        assert_memory_equal(name, aik.name, name_len);
        if (!seed_hex)
            continue;
        seed_len = unhex(seed_hex, seed, sizeof seed);
        assert_int_equal(
            ql_base64_decode_dup(blob_text, strlen(blob_text), QL_CREDENTIAL_MAX_LEN, &blob, &blob_len, NULL),
            QL_OK);
        assert_int_equal(ql_credential_split(blob, blob_len, &id, &id_len, &secret, &secret_len, NULL),
                         QL_OK);
        assert_int_equal(ql_credential_protect(&ek, seed, seed_len, aik.name, aik.name_len,
                                               vector_text(c, "challenge"), QL_CHALLENGE_LEN, &made, NULL),
                         QL_OK);
        assert_int_equal(made.len, id_len);
        assert_memory_equal(made.data, id, id_len);
        free(blob);
        tried++;
    }
    assert_true(tried >= 1);
    json_decref(v);
}

static void auth_tag_is_the_known_one(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json"), *cases = json_object_get(v, "cases");
    char tag[QL_AUTH_TAG_LEN + 1];

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);

        assert_int_equal(ql_auth_tag(vector_text(c, "key"), vector_text(c, "agent_id"), tag), QL_OK);
        assert_string_equal(tag, vector_text(c, "auth_tag"));
    }
    cases = json_object_get(v, "bad_auth_tags");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);

        assert_int_equal(ql_auth_tag(vector_text(c, "key"), vector_text(c, "agent_id"), tag), QL_OK);
        assert_string_not_equal(tag, vector_text(c, "auth_tag"));
    }
    json_decref(v);
}

static void attestation_keys_are_judged_by_their_attributes(void **state)
{
    json_t *v = load_vectors("agent/ak_attributes.json"), *cases = json_object_get(v, "cases");

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        bool wanted = json_is_true(json_object_get(json_object_get(c, "required"), "accept"));
        struct ql_tpm_public ak;

        parse_public(vector_text(c, "aik_tpm"), &ak);
        if ((ql_tpm_check_ak(&ak, NULL) == QL_OK) != wanted)
            fail_msg("%s: wanted %s", vector_text(c, "name"), wanted ? "accepted" : "refused");
    }
    json_decref(v);
}

static void registered_keys_are_accepted_and_credentials_made_for_them(void **state)
{
    json_t *v = load_vectors("agent/registration.json"), *cases = json_object_get(v, "cases");

    (void)state;
    assert_int_equal(json_array_size(cases), 5);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        struct ql_tpm_public ek, aik;
        struct ql_err err = QL_ERR_INIT;
        const uint8_t *id, *secret;
        size_t blob_len, id_len, secret_len, known_len;
        uint8_t *blob = NULL, known[QL_CREDENTIAL_MAX_LEN];
        struct ql_key *key = NULL;
        char *pem;

        parse_public(vector_text(c, "ek_tpm"), &ek);
        parse_public(vector_text(c, "aik_tpm"), &aik);
        if (ql_tpm_check_ek(&ek, &err) < 0 || ql_tpm_check_ak(&aik, &err) < 0)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(ql_tpm_public_key(&ek, &key, NULL), QL_OK);
        pem = ql_key_public_pem(key);
        assert_string_equal(pem, vector_text(c, "ek_pub_pem"));
        assert_int_equal(ql_make_credential(&ek, aik.name, aik.name_len, vector_text(c, "challenge"),
                                            QL_CHALLENGE_LEN, &blob, &blob_len, NULL),
                         QL_OK);
        assert_int_equal(ql_credential_split(blob, blob_len, &id, &id_len, &secret, &secret_len, NULL),
                         QL_OK);
        /* The same layout, to the byte, as the known blob: only the contents are random. */
        assert_int_equal(ql_base64_decode(vector_text(c, "blob"), strlen(vector_text(c, "blob")), known,
                                          sizeof known, &known_len, NULL),
                         QL_OK);
        assert_int_equal(blob_len, known_len);
        free(pem);
        free(blob);
        ql_key_free(key);
    }
    json_decref(v);
}

static void credential_split_refuses_every_truncation_and_one_byte_more(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json");
    const char *text = vector_text(json_array_get(json_object_get(v, "cases"), 0), "blob");
    uint8_t blob[QL_CREDENTIAL_MAX_LEN + 1];
    const uint8_t *id, *secret;
    size_t len, id_len, secret_len;

    (void)state;
    assert_int_equal(ql_base64_decode(text, strlen(text), blob, sizeof blob, &len, NULL), QL_OK);
    assert_int_equal(ql_credential_split(blob, len, &id, &id_len, &secret, &secret_len, NULL), QL_OK);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(ql_credential_split(blob, cut, &id, &id_len, &secret, &secret_len, NULL), QL_OK);
    blob[len] = 0;
    assert_int_not_equal(ql_credential_split(blob, len + 1, &id, &id_len, &secret, &secret_len, NULL), QL_OK);
    json_decref(v);
}

static void public_area_refuses_every_truncation_and_one_byte_more(void **state)
{
    json_t *v = load_vectors("agent/registration.json");
    const char *text = vector_text(json_array_get(json_object_get(v, "cases"), 0), "ek_tpm");
    uint8_t data[QL_PUBLIC_MAX_LEN];
    struct ql_tpm_public p;
    size_t len;

    (void)state;
    assert_int_equal(ql_base64_decode(text, strlen(text), data, sizeof data, &len, NULL), QL_OK);
    assert_int_equal(ql_tpm_public_parse(data, len, &p, NULL), QL_OK);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(ql_tpm_public_parse(data, cut, &p, NULL), QL_OK);
    data[len] = 0;
    assert_int_not_equal(ql_tpm_public_parse(data, len + 1, &p, NULL), QL_OK);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credential_has_the_known_id_object_for_a_known_seed),
        cmocka_unit_test(auth_tag_is_the_known_one),
        cmocka_unit_test(attestation_keys_are_judged_by_their_attributes),
        cmocka_unit_test(registered_keys_are_accepted_and_credentials_made_for_them),
        cmocka_unit_test(credential_split_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(public_area_refuses_every_truncation_and_one_byte_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
