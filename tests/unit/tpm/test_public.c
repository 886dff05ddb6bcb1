/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "encode.h"
#include "tpm/softquote.h"

/* Offsets in a TPM2B_PUBLIC with an empty policy. */
enum {
    AT_SIZE = 0,
    AT_TYPE = 2,
    AT_NAME_ALG = 4,
    AT_ATTRIBUTES = 6,
    AT_POLICY_LEN = 10,
    AT_SYMMETRIC = 12,
    AT_SCHEME = 14,
    AT_SCHEME_HASH = 16,
    AT_RSA_BITS = 18,
    AT_RSA_EXPONENT = 20,
    AT_RSA_LEN = 24,
    AT_RSA_MODULUS = 26,
    AT_CURVE = 18,
    AT_KDF = 20,
    AT_ECC_X = 24
};

static struct soft_ak rsa, ecc, p521;

static int keys_make(void **state)
{
    (void)state;
    soft_ak_make(&rsa, 0);
    soft_ak_make(&ecc, QL_P256);
    soft_ak_make(&p521, QL_P521);
    return 0;
}

static int keys_done(void **state)
{
    (void)state;
    soft_ak_done(&rsa);
    soft_ak_done(&ecc);
    soft_ak_done(&p521);
    return 0;
}

/** One change of a public area. */
struct change {
    size_t at, len;
    const char *bytes;
};

/* Parse, and where that works check as an AK. */
static int judge(const struct soft_ak *ak, struct change c, struct ql_err *err)
{
    uint8_t *copy = malloc(ak->blob_len);
    struct ql_tpm_public p;
    int r;

    assert_non_null(copy);
    memcpy(copy, ak->blob, ak->blob_len);
    memcpy(copy + c.at, c.bytes, c.len);
    r = ql_tpm_public_parse(copy, ak->blob_len, &p, err);
    if (r == QL_OK)
        r = ql_tpm_check_ak(&p, err);
    free(copy);
    return r;
}

static void public_area_is_decoded_field_by_field(void **state)
{
    const struct ql_tpm_public *p = &rsa.area;
    uint8_t digest[32];

    (void)state;
    assert_true(p->is_rsa);
    assert_int_equal(p->rsa_bits, 2048);
    assert_int_equal(p->name_alg, QL_SHA256);
    assert_int_equal(p->attributes, 0x00050072);
    assert_int_equal(p->scheme, QL_RSASSA);
    assert_int_equal(p->scheme_hash, QL_SHA256);
    assert_int_equal(p->symmetric, 0x0010);
    assert_int_equal(p->exponent, 0);
    assert_int_equal(p->x_len, 256);
    assert_int_equal(p->y_len, 0);
    /* The name covers TPMT_PUBLIC, without the size in front. */
    assert_int_equal(ql_digest_once(QL_SHA256, rsa.blob + 2, rsa.blob_len - 2, digest), QL_OK);
    assert_int_equal(p->name_len, 34);
    assert_memory_equal(p->name, "\x00\x0b", 2);
    assert_memory_equal(p->name + 2, digest, 32);
    assert_false(ecc.area.is_rsa);
    assert_int_equal(ecc.area.curve, QL_P256);
    assert_int_equal(ecc.area.x_len, 32);
    assert_int_equal(ecc.area.y_len, 32);
    assert_string_equal(ql_tpm_enc_alg(&rsa.area), "rsa2048");
    assert_string_equal(ql_tpm_enc_alg(&ecc.area), "ecc256");
    assert_string_equal(ql_tpm_enc_alg(&p521.area), "ecc521");
}

static void public_area_gives_back_the_key(void **state)
{
    const struct soft_ak *const keys[] = {&rsa, &ecc, &p521};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(keys); i++) {
        struct ql_key *key = NULL;

        assert_int_equal(ql_tpm_public_key(&keys[i]->area, &key, NULL), QL_OK);
        assert_true(ql_key_equal(key, keys[i]->key));
        ql_key_free(key);
    }
}

static void attestation_key_is_refused_for_each_rule(void **state)
{
    static const struct {
        struct change change;
        const char *why;
    } cases[] = {
        {{AT_ATTRIBUTES, 4, "\x00\x05\x00\x70"}, "attribute fixedTPM must be set"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x00\x62"}, "attribute fixedParent must be set"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x00\x52"}, "attribute sensitiveDataOrigin must be set"},
        {{AT_ATTRIBUTES, 4, "\x00\x04\x00\x72"}, "attribute restricted must be set"},
        {{AT_ATTRIBUTES, 4, "\x00\x01\x00\x72"}, "attribute sign must be set"},
        {{AT_ATTRIBUTES, 4, "\x00\x07\x00\x72"}, "attribute decrypt must be clear"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x00\x76"}, "attribute stClear must be clear"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x08\x72"}, "attribute encryptedDuplication must be clear"},
        {{AT_ATTRIBUTES, 4, "\x80\x05\x00\x72"}, "reserved attributes are set"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x00\x73"}, "reserved attributes are set"},
        {{AT_ATTRIBUTES, 4, "\x00\x05\x10\x72"}, "reserved attributes are set"},
        {{AT_SCHEME, 4, "\x00\x18\x00\x0b"}, "ECC scheme on an RSA key"},
        {{AT_SCHEME_HASH, 2, "\x00\x12"}, "scheme with hash 0x0012"},
        {{AT_RSA_EXPONENT, 4, "\x00\x00\x00\x03"}, "RSA exponent 3"},
        {{AT_RSA_EXPONENT, 4, "\x00\x01\x00\x02"}, "RSA exponent 65538"},
        {{AT_RSA_MODULUS, 1, "\x00"}, "bits"},
        {{AT_RSA_BITS, 2, "\x04\x00"}, "RSA modulus of 256 bytes in a key of 1024 bits"},
        {{AT_NAME_ALG, 2, "\x00\x12"}, "name algorithm 0x0012"},
        {{AT_NAME_ALG, 2, "\x00\x10"}, "name algorithm 0x0010"},
        {{AT_SIZE, 2, "\x01\x19"}, "not one whole TPM2B_PUBLIC"},
        {{AT_SIZE, 2, "\x00\x00"}, "not one whole TPM2B_PUBLIC"},
        {{AT_TYPE, 2, "\x00\x08"}, ""},
        {{AT_RSA_LEN, 2, "\x00\xff"}, "not one whole TPM2B_PUBLIC"},
    };

    (void)state;
    assert_int_equal(judge(&rsa, (struct change){0, 0, ""}, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct ql_err err = QL_ERR_INIT;

        if (judge(&rsa, cases[i].change, &err) == QL_OK)
            fail_msg("accepted: %s", cases[i].why);
        if (!strstr(err.text, cases[i].why))
            fail_msg("%s, wanted %s", err.text, cases[i].why);
    }
}

static void attestation_key_may_have_schemes_that_quotes_may_not(void **state)
{
    (void)state;
    /* Such a key may register; its quotes are refused. */
    assert_int_equal(judge(&rsa, (struct change){AT_SCHEME, 4, "\x00\x16\x00\x0b"}, NULL), QL_OK);
    assert_int_equal(judge(&ecc, (struct change){AT_SCHEME, 4, "\x00\x1c\x00\x0b"}, NULL), QL_OK);
    assert_int_equal(judge(&ecc, (struct change){AT_SCHEME, 4, "\x00\x14\x00\x0b"}, NULL), QL_ERANGE);
}

static void points_off_their_curve_are_refused(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t other = ecc.blob[AT_ECC_X + 2] ^ 1;

    (void)state;
    assert_int_equal(judge(&ecc, (struct change){0, 0, ""}, NULL), QL_OK);
    assert_int_equal(judge(&ecc, (struct change){AT_ECC_X + 2, 1, (const char *)&other}, &err), QL_ECRYPTO);
    assert_int_equal(judge(&ecc, (struct change){AT_CURVE, 2, "\x00\x10"}, &err), QL_EUNSUPPORTED);
    assert_string_equal(err.text, "curve 0x0010");
    assert_int_equal(judge(&ecc, (struct change){AT_CURVE, 2, "\x00\x04"}, &err), QL_EPARSE);
    assert_string_equal(err.text, "coordinates of 32 and 32 bytes on a curve of 48");
}

static void null_scheme_or_a_symmetric_algorithm_is_no_attestation_key(void **state)
{
    struct ql_tpm_public p = rsa.area;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    p.scheme = 0x0010;
    assert_int_equal(ql_tpm_check_ak(&p, &err), QL_ERANGE);
    assert_string_equal(err.text, "attestation key: scheme 0x0010 does not sign");
    p = rsa.area;
    p.symmetric = 0x0006;
    assert_int_equal(ql_tpm_check_ak(&p, &err), QL_ERANGE);
}

static void modulus_shorter_than_the_key_claims_is_refused(void **state)
{
    struct ql_tpm_public p = rsa.area;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    /* 3072 bits claimed, 2048 behind leading zeros. */
    memmove(p.x + 128, p.x, 256);
    memset(p.x, 0, 128);
    p.x_len = 384;
    p.rsa_bits = 3072;
    assert_int_equal(ql_tpm_check_ak(&p, &err), QL_ERANGE);
    assert_string_equal(err.text, "attestation key: RSA modulus of 2048 bits in a key of 3072");
}

static void endorsement_key_is_refused_for_each_rule(void **state)
{
    struct ql_tpm_public ek = rsa.area;
    struct ql_err err = QL_ERR_INIT;
    const struct {
        uint32_t attributes;
        unsigned symmetric, bits, mode;
    } bad[] = {{0x000300b0, 6, 128, 0x43}, {0x000300a2, 6, 128, 0x43}, {0x00030092, 6, 128, 0x43},
               {0x000200b2, 6, 128, 0x43}, {0x000100b2, 6, 128, 0x43}, {0x000700b2, 6, 128, 0x43},
               {0x800300b2, 6, 128, 0x43}, {0x000300b2, 0x10, 0, 0},   {0x000300b2, 0x13, 128, 0x43},
               {0x000300b2, 6, 512, 0x43}, {0x000300b2, 6, 128, 0x42}};

    (void)state;
    ek.scheme = 0x0010;
    ek.attributes = 0x000300b2;
    ek.symmetric = 6;
    ek.symmetric_bits = 128;
    ek.symmetric_mode = 0x43;
    assert_int_equal(ql_tpm_check_ek(&ek, NULL), QL_OK);
    ek.attributes = 0x000300f2; /* the high range */
    assert_int_equal(ql_tpm_check_ek(&ek, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        ek.attributes = bad[i].attributes;
        ek.symmetric = bad[i].symmetric;
        ek.symmetric_bits = bad[i].bits;
        ek.symmetric_mode = bad[i].mode;
        if (ql_tpm_check_ek(&ek, &err) != QL_ERANGE)
            fail_msg("case %zu", i);
    }
    assert_int_equal(ql_tpm_check_ek(&rsa.area, &err), QL_ERANGE); /* an AK is no EK */
}

static void text_may_be_base64_or_hex(void **state)
{
    char *base64 = ql_base64_dup(ecc.blob, ecc.blob_len), *hex = ql_hex_dup(ecc.blob, ecc.blob_len),
         *prefixed = NULL, *upper = NULL;
    const char *texts[4];
    struct ql_tpm_public p;

    (void)state;
    assert_true(asprintf(&prefixed, "0x%s", hex) > 0);
    upper = strdup(hex);
    for (char *c = upper; *c; c++)
        *c = (char)(*c >= 'a' ? *c - 'a' + 'A' : *c);
    texts[0] = base64;
    texts[1] = hex;
    texts[2] = prefixed;
    texts[3] = upper;
    for (size_t i = 0; i < 4; i++) {
        uint8_t *raw = NULL;
        size_t raw_len;

        assert_int_equal(ql_tpm_public_from_text(texts[i], strlen(texts[i]), &p, &raw, &raw_len, NULL),
                         QL_OK);
        assert_int_equal(raw_len, ecc.blob_len);
        assert_memory_equal(raw, ecc.blob, raw_len);
        assert_memory_equal(p.name, ecc.area.name, p.name_len);
        free(raw);
    }
    assert_int_not_equal(ql_tpm_public_from_text("", 0, &p, NULL, NULL, NULL), QL_OK);
    assert_int_not_equal(ql_tpm_public_from_text("0x", 2, &p, NULL, NULL, NULL), QL_OK);
    assert_int_not_equal(ql_tpm_public_from_text(base64, strlen(base64) - 1, &p, NULL, NULL, NULL), QL_OK);
    free(base64);
    free(hex);
    free(prefixed);
    free(upper);
}

static void public_areas_refuse_every_truncation_and_one_byte_more(void **state)
{
    const struct soft_ak *const keys[] = {&rsa, &ecc, &p521};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(keys); i++)
        for (size_t len = 0; len <= keys[i]->blob_len + 1; len++) {
            uint8_t *copy = calloc(1, len > 0 ? len : 1);
            struct ql_tpm_public p;

            assert_non_null(copy);
            memcpy(copy, keys[i]->blob, len < keys[i]->blob_len ? len : keys[i]->blob_len);
            assert_int_equal(ql_tpm_public_parse(copy, len, &p, NULL) == QL_OK, len == keys[i]->blob_len);
            free(copy);
        }
}

static void no_byte_of_a_public_area_changes_without_changing_its_name(void **state)
{
    (void)state;
    for (size_t at = 0; at < ecc.blob_len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct ql_tpm_public p;

            ecc.blob[at] ^= (uint8_t)(1u << bit);
            if (ql_tpm_public_parse(ecc.blob, ecc.blob_len, &p, NULL) == QL_OK)
                assert_memory_not_equal(p.name, ecc.area.name, 34);
            ecc.blob[at] ^= (uint8_t)(1u << bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_area_is_decoded_field_by_field),
        cmocka_unit_test(public_area_gives_back_the_key),
        cmocka_unit_test(attestation_key_is_refused_for_each_rule),
        cmocka_unit_test(attestation_key_may_have_schemes_that_quotes_may_not),
        cmocka_unit_test(points_off_their_curve_are_refused),
        cmocka_unit_test(null_scheme_or_a_symmetric_algorithm_is_no_attestation_key),
        cmocka_unit_test(modulus_shorter_than_the_key_claims_is_refused),
        cmocka_unit_test(endorsement_key_is_refused_for_each_rule),
        cmocka_unit_test(text_may_be_base64_or_hex),
        cmocka_unit_test(public_areas_refuse_every_truncation_and_one_byte_more),
        cmocka_unit_test(no_byte_of_a_public_area_changes_without_changing_its_name),
    };

    return cmocka_run_group_tests(tests, keys_make, keys_done);
}
