/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "credential.h"
#include "credential_parts.h"
#include "encode.h"
#include "key.h"
#include "reader.h"

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

static void credential_is_the_one_that_a_tpm_activated(void **state)
{
    json_t *v = load_vectors("agent/registration.json"), *cases = json_object_get(v, "cases");
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i), *steps = json_object_get(c, "steps");
        ql_auto_buf struct ql_buf made = ql_buf_init(QL_CREDENTIAL_MAX_LEN);
        uint8_t seed[QL_DIGEST_MAX], known[QL_CREDENTIAL_MAX_LEN];
        struct ql_tpm_public ek, aik;
        size_t seed_len, known_len;

        parse_public(vector_text(c, "ek_tpm"), &ek);
        parse_public(vector_text(c, "aik_tpm"), &aik);
        seed_len = unhex(vector_text(steps, "seed_hex"), seed, sizeof seed);
        known_len = unhex(vector_text(steps, "credential_blob_hex"), known, sizeof known);
        assert_int_equal(ql_credential_protect(&ek, seed, seed_len, aik.name, aik.name_len,
                                               vector_text(c, "challenge"), QL_CHALLENGE_LEN, &made, NULL),
                         QL_OK);
        assert_int_equal(made.len, known_len);
        assert_memory_equal(made.data, known, known_len);
        tried++;
    }
    assert_int_equal(tried, 5);
    json_decref(v);
}

static void auth_tag_is_the_known_one(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json"), *cases = json_object_get(v, "cases");
    char tag[QL_AUTH_TAG_LEN + 1];
    json_t *registered;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);

        assert_int_equal(ql_auth_tag(vector_text(c, "key"), vector_text(c, "agent_id"), tag), QL_OK);
        assert_string_equal(tag, vector_text(c, "auth_tag"));
    }
    registered = load_vectors("agent/registration.json");
    cases = json_object_get(registered, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        char key[QL_CHALLENGE_KEY_LEN + 1];

        /* The key is the challenge's base64, as text; the TPM gave that challenge back. */
        assert_int_equal(ql_base64_encode(vector_text(c, "challenge"), QL_CHALLENGE_LEN, key),
                         QL_CHALLENGE_KEY_LEN);
        assert_string_equal(key, vector_text(c, "key"));
        assert_int_equal(ql_auth_tag(key, vector_text(c, "agent_id"), tag), QL_OK);
        assert_string_equal(tag, vector_text(c, "auth_tag"));
    }
    json_decref(registered);
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

/* The other end's seed, for an RSA EK: OAEP with the EK's hash and the label "IDENTITY" with its NUL. */
static void unwrap_rsa(EVP_PKEY *ek, const uint8_t *secret, size_t secret_len, uint8_t *seed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ek, NULL);
    uint8_t plain[512];
    size_t len = sizeof plain;

    assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup("IDENTITY", 9), 9), 1);
    assert_int_equal(EVP_PKEY_decrypt(ctx, plain, &len, secret, secret_len), 1);
    assert_int_equal(len, 32);
    memcpy(seed, plain, 32);
    EVP_PKEY_CTX_free(ctx);
}

/* For an ECC EK: ECDH with the ephemeral point, then KDFe over SHA-256. */
static void unwrap_ecc(EVP_PKEY *ek, const struct ql_tpm_public *area, const uint8_t *secret,
                       size_t secret_len, uint8_t *seed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, ek, NULL);
    struct ql_reader r = ql_reader_of(secret, secret_len);
    size_t x_len, y_len, z_len = 32;
    const uint8_t *x = ql_reader_tpm2b(&r, &x_len), *y = ql_reader_tpm2b(&r, &y_len);
    uint8_t message[4 + 32 + 9 + 32 + 32] = {0, 0, 0, 1};
    struct ql_key *ephemeral = NULL;

    assert_true(ql_reader_done(&r));
    assert_int_equal(x_len, 32);
    assert_int_equal(y_len, 32);
    assert_int_equal(ql_key_from_ec(QL_P256, x, x_len, y, y_len, &ephemeral, NULL), QL_OK);
    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, ql_key_native(ephemeral)), 1);
    assert_int_equal(EVP_PKEY_derive(ctx, message + 4, &z_len), 1);
    assert_int_equal(z_len, 32);
    memcpy(message + 36, "IDENTITY", 9);
    memcpy(message + 45, x, 32);
    memcpy(message + 77, area->x, 32);
    assert_int_equal(ql_digest_once(QL_SHA256, message, sizeof message, seed), QL_OK);
    ql_key_free(ephemeral);
    EVP_PKEY_CTX_free(ctx);
}

/* The owner of the EK finds the very credential: with the seed that it gets, the ID object is what it must be. */
static void assert_opens(const struct ql_tpm_public *ek, const struct ql_key *private,
                         const struct ql_tpm_public *aik, const char *challenge, const uint8_t *blob,
                         size_t blob_len)
{
    ql_auto_buf struct ql_buf made = ql_buf_init(QL_CREDENTIAL_MAX_LEN);
    const uint8_t *id, *secret;
    size_t id_len, secret_len;
    uint8_t seed[32];

    assert_int_equal(ql_credential_split(blob, blob_len, &id, &id_len, &secret, &secret_len, NULL), QL_OK);
    if (ek->is_rsa)
        unwrap_rsa(ql_key_native(private), secret, secret_len, seed);
    else
        unwrap_ecc(ql_key_native(private), ek, secret, secret_len, seed);
    assert_int_equal(ql_credential_protect(ek, seed, sizeof seed, aik->name, aik->name_len, challenge,
                                           QL_CHALLENGE_LEN, &made, NULL),
                     QL_OK);
    assert_int_equal(made.len, id_len);
    assert_memory_equal(made.data, id, id_len);
}

static void credentials_open_for_the_owner_of_the_ek(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json"), *cases = json_object_get(v, "cases");
    unsigned rsa = 0, ecc = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *pem = vector_text(c, "ek_private_pem"), *known = vector_text(c, "blob");
        char challenge[QL_CHALLENGE_LEN + 1], key_text[QL_CHALLENGE_KEY_LEN + 1];
        uint8_t known_blob[QL_CREDENTIAL_MAX_LEN], *blob = NULL;
        struct ql_tpm_public ek, aik;
        struct ql_key *private = NULL;
        size_t len;

        parse_public(vector_text(c, "ek_tpm"), &ek);
        parse_public(vector_text(c, "aik_tpm"), &aik);
        assert_int_equal(ql_key_from_private_pem(pem, strlen(pem), NULL, &private, NULL), QL_OK);
        assert_int_equal(ql_base64_decode(known, strlen(known), known_blob, sizeof known_blob, &len, NULL),
                         QL_OK);
        assert_opens(&ek, private, &aik, vector_text(c, "challenge"), known_blob, len);
        ql_challenge_new(challenge, key_text);
        assert_int_equal(strlen(key_text), QL_CHALLENGE_KEY_LEN);
        assert_int_equal(
            ql_make_credential(&ek, aik.name, aik.name_len, challenge, QL_CHALLENGE_LEN, &blob, &len, NULL),
            QL_OK);
        assert_opens(&ek, private, &aik, challenge, blob, len);
        (ek.is_rsa ? rsa++ : ecc++);
        free(blob);
        ql_key_free(private);
    }
    assert_true(rsa > 0 && ecc > 0);
    json_decref(v);
}

static void credential_for_what_is_no_ek_is_refused(void **state)
{
    json_t *v = load_vectors("agent/makecredential.json");
    const json_t *c = json_array_get(json_object_get(v, "cases"), 0);
    struct ql_tpm_public ek, aik;
    uint8_t *blob = NULL, secret[129] = {0};
    size_t len;

    (void)state;
    parse_public(vector_text(c, "ek_tpm"), &ek);
    parse_public(vector_text(c, "aik_tpm"), &aik);
    assert_int_equal(ql_make_credential(&aik, aik.name, aik.name_len, "x", 1, &blob, &len, NULL), QL_ERANGE);
    assert_int_equal(
        ql_make_credential(&ek, aik.name, aik.name_len, secret, sizeof secret, &blob, &len, NULL), QL_ELIMIT);
    assert_null(blob);
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

static void credential_split_wants_magic_version_and_bounds(void **state)
{
    static const uint8_t good[] = {0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1, 0, 1, 'i', 0, 1, 's'};
    uint8_t blob[12 + 200 + 1] = {0};
    const uint8_t *id, *secret;
    size_t id_len, secret_len;

    (void)state;
    assert_int_equal(ql_credential_split(good, sizeof good, &id, &id_len, &secret, &secret_len, NULL), QL_OK);
    assert_int_equal(id_len, 1);
    assert_int_equal(*id, 'i');
    assert_int_equal(*secret, 's');
    for (size_t at = 0; at < 11; at++) {
        uint8_t bad[sizeof good];

        memcpy(bad, good, sizeof good);
        bad[at] ^= 2;
        assert_int_equal(ql_credential_split(bad, sizeof bad, &id, &id_len, &secret, &secret_len, NULL),
                         at == 10 ? QL_OK : QL_EPARSE);
    }
    /* An ID object larger than TPM2B_ID_OBJECT has room for. */
    memcpy(blob, good, 8);
    blob[9] = 132;
    blob[10 + 132 + 1] = 1;
    assert_int_equal(ql_credential_split(blob, 12 + 132 + 1, &id, &id_len, &secret, &secret_len, NULL),
                     QL_OK);
    memset(blob + 8, 0, sizeof blob - 8);
    blob[9] = 133;
    blob[10 + 133 + 1] = 1;
    assert_int_equal(ql_credential_split(blob, 12 + 133 + 1, &id, &id_len, &secret, &secret_len, NULL),
                     QL_EPARSE);
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
        cmocka_unit_test(credential_is_the_one_that_a_tpm_activated),
        cmocka_unit_test(auth_tag_is_the_known_one),
        cmocka_unit_test(attestation_keys_are_judged_by_their_attributes),
        cmocka_unit_test(registered_keys_are_accepted_and_credentials_made_for_them),
        cmocka_unit_test(credentials_open_for_the_owner_of_the_ek),
        cmocka_unit_test(credential_for_what_is_no_ek_is_refused),
        cmocka_unit_test(credential_split_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(credential_split_wants_magic_version_and_bounds),
        cmocka_unit_test(public_area_refuses_every_truncation_and_one_byte_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
