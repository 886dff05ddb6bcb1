/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "encode.h"
#include "quote_text.h"
#include "tpm/softquote.h"

static const char nonce[] = "abcdefghij0123456789";

/** The three parts of a software quote, as bytes that a test may change. */
struct raw {
    struct soft_ak ak;
    struct ql_quote_text text;
    char *wire;
};

static void raw_make(struct raw *r, unsigned curve, uint32_t mask)
{
    struct soft_said said = soft_said(nonce, mask);

    soft_ak_make(&r->ak, curve);
    r->wire = soft_quote(&r->ak, &said);
    assert_int_equal(ql_quote_text_read(r->wire, strlen(r->wire), &r->text, NULL), QL_OK);
}

static void raw_done(struct raw *r)
{
    soft_ak_done(&r->ak);
    free(r->wire);
}

/* Call with exact heap copies, so that a sanitizer sees the first byte read beyond. */
typedef int (*read_fn)(const uint8_t *data, size_t len);

static int read_attest(const uint8_t *data, size_t len)
{
    struct ql_attest_quote q;

    return ql_attest_quote_read(data, len, &q, NULL);
}

static int read_signature(const uint8_t *data, size_t len)
{
    struct ql_signature s;

    return ql_signature_read(data, len, &s, NULL);
}

static int read_blob(const uint8_t *data, size_t len)
{
    struct ql_pcr_blob b;

    return ql_pcr_blob_read(data, len, &b, NULL);
}

static void refuses_prefixes_and_more(read_fn read, const uint8_t *data, size_t len)
{
    uint8_t *copy;

    for (size_t cut = 0; cut <= len + 1; cut++) {
        copy = malloc(cut > 0 ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, data, cut < len ? cut : len);
        if (cut > len)
            copy[len] = 0;
        assert_int_equal(read(copy, cut) == QL_OK, cut == len);
        free(copy);
    }
}

static void parts_refuse_every_truncation_and_one_byte_more(void **state)
{
    static const unsigned curves[] = {0, QL_P256};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(curves); i++) {
        struct raw r;

        raw_make(&r, curves[i], 0x10fff);
        refuses_prefixes_and_more(read_attest, r.text.attest, r.text.attest_len);
        refuses_prefixes_and_more(read_signature, r.text.signature, r.text.signature_len);
        refuses_prefixes_and_more(read_blob, r.text.blob, r.text.blob_len);
        raw_done(&r);
    }
}

static void attest_is_read_field_by_field(void **state)
{
    struct ql_attest_quote q;
    struct raw r;

    (void)state;
    raw_make(&r, QL_P256, 0x810400);
    assert_int_equal(ql_attest_quote_read(r.text.attest, r.text.attest_len, &q, NULL), QL_OK);
    assert_int_equal(q.head.magic, QL_TPM_MAGIC);
    assert_int_equal(q.head.type, QL_TPM_ATTEST_QUOTE);
    assert_int_equal(q.head.extra_len, strlen(nonce));
    assert_memory_equal(q.head.extra, nonce, strlen(nonce));
    assert_int_equal(q.head.clock.clock, 1000);
    assert_int_equal(q.head.clock.reset_count, 2);
    assert_int_equal(q.head.clock.restart_count, 1);
    assert_true(q.head.clock.safe);
    assert_true(q.head.firmware_version == 0x2019102300163636);
    assert_int_equal(q.selection_count, 1);
    assert_int_equal(q.bank, QL_SHA256);
    assert_int_equal(q.mask, 0x810400);
    assert_int_equal(q.digest_len, 32);
    raw_done(&r);
}

/* Offsets in a TPMS_ATTEST with a name of 34 bytes and a nonce of 20. */
enum {
    AT_NAME_LEN = 6,
    AT_EXTRA_LEN = 42,
    AT_SAFE = 80,
    AT_COUNT = 89,
    AT_SELECT_LEN = 95,
    AT_SELECT = 96,
    AT_DIGEST_LEN = 99
};

static void attest_refuses_values_that_no_tpm_sends(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{AT_NAME_LEN, 0xff},    {AT_NAME_LEN + 1, 35}, {AT_EXTRA_LEN, 0xff}, {AT_EXTRA_LEN + 1, 21},
                 {AT_SAFE, 2},           {AT_COUNT, 0x80},      {AT_COUNT + 3, 2},    {AT_COUNT + 3, 0},
                 {AT_SELECT_LEN, 0},     {AT_SELECT_LEN, 4},    {AT_SELECT_LEN, 255}, {AT_DIGEST_LEN, 1},
                 {AT_DIGEST_LEN + 1, 31}};
    struct raw r;

    (void)state;
    raw_make(&r, QL_P256, 0x10400);
    assert_int_equal(r.text.attest[AT_SAFE], 1);
    assert_int_equal(r.text.attest[AT_SELECT_LEN], 3);
    assert_int_equal(r.text.attest[AT_DIGEST_LEN + 1], 32);
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        uint8_t was = r.text.attest[cases[i].at];

        r.text.attest[cases[i].at] = cases[i].value;
        if (read_attest(r.text.attest, r.text.attest_len) == QL_OK)
            fail_msg("byte %zu as %u was read", cases[i].at, cases[i].value);
        r.text.attest[cases[i].at] = was;
    }
    raw_done(&r);
}

static void blob_refuses_any_change_of_its_frame(void **state)
{
    struct ql_pcr_blob b;
    size_t refused = 0;
    struct raw r;

    (void)state;
    raw_make(&r, QL_P256, 0x100ff); /* nine values: two lists, the second with one */
    assert_int_equal(ql_pcr_blob_read(r.text.blob, r.text.blob_len, &b, NULL), QL_OK);
    assert_int_equal(b.count, 9);
    assert_int_equal(b.bank, QL_SHA256);
    assert_int_equal(b.mask, 0x100ff);
    assert_memory_equal(b.values[8], "\x09\x09\x09\x09", 4);
    /* Whatever is no PCR value: count, bank, selection, padding, list counts, sizes. */
    for (size_t at = 0; at < r.text.blob_len; at++) {
        bool is_value = false;

        for (size_t v = 0; v < b.count; v++)
            is_value = is_value || (r.text.blob + at >= b.values[v] && r.text.blob + at < b.values[v] + 32);
        if (is_value)
            continue;
        for (unsigned bit = 0; bit < 8; bit++) {
            r.text.blob[at] ^= (uint8_t)(1u << bit);
            if (read_blob(r.text.blob, r.text.blob_len) == QL_OK) {
                struct ql_pcr_blob other;

                /* Only a selection of as many other PCRs reads: that is for the signed selection to refuse. */
                assert_int_equal(ql_pcr_blob_read(r.text.blob, r.text.blob_len, &other, NULL), QL_OK);
                fail_msg("bit %u of byte %zu changed: still read, mask 0x%06x", bit, at, other.mask);
            }
            refused++;
            r.text.blob[at] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(refused > 5000);
    raw_done(&r);
}

static void blob_of_no_pcr_is_read_as_none(void **state)
{
    uint8_t blob[QL_PCR_BLOB_BASE] = {1, 0, 0, 0, QL_SHA256, 0, 3};
    struct ql_pcr_blob b;

    (void)state;
    assert_int_equal(ql_pcr_blob_read(blob, sizeof blob, &b, NULL), QL_OK);
    assert_int_equal(b.count, 0);
    assert_int_equal(b.mask, 0);
}

static void blobs_of_every_bank_and_size_are_read_back(void **state)
{
    static const enum ql_hash banks[] = {QL_SHA1, QL_SHA256, QL_SHA384, QL_SHA512};
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX];

    (void)state;
    for (size_t i = 0; i < QL_PCR_COUNT; i++)
        memset(pcr[i], (int)i + 1, QL_DIGEST_MAX);
    for (size_t i = 0; i < QL_ARRAY_LEN(banks); i++)
        for (unsigned count = 1; count <= QL_PCR_COUNT; count++) {
            uint32_t mask = (UINT32_C(1) << count) - 1;
            struct ql_quote_text text;
            struct ql_pcr_blob b;
            char *wire = NULL;

            assert_int_equal(ql_quote_encode((const uint8_t *)"a", 1, (const uint8_t *)"s", 1, banks[i], mask,
                                             pcr, count, &wire, NULL),
                             QL_OK);
            assert_int_equal(ql_quote_text_read(wire, strlen(wire), &text, NULL), QL_OK);
            assert_int_equal(text.blob_len, 136 + 532 * ((count + 7) / 8));
            assert_int_equal(ql_pcr_blob_read(text.blob, text.blob_len, &b, NULL), QL_OK);
            assert_int_equal(b.count, count);
            assert_int_equal(b.mask, mask);
            for (size_t v = 0; v < count; v++)
                assert_memory_equal(b.values[v], pcr[v], ql_hash_len(banks[i]));
            free(wire);
        }
}

static void encode_refuses_masks_and_counts_that_differ(void **state)
{
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX] = {0};
    char *wire = NULL;

    (void)state;
    assert_int_equal(ql_quote_encode(pcr[0], 1, pcr[0], 1, QL_SHA256, 0x3, pcr, 1, &wire, NULL), QL_ERANGE);
    assert_int_equal(ql_quote_encode(pcr[0], 1, pcr[0], 1, QL_SHA256, 0x1000000, pcr, 1, &wire, NULL),
                     QL_ERANGE);
    assert_int_equal(ql_quote_encode(pcr[0], 1, pcr[0], 1, (enum ql_hash)0x12, 0x1, pcr, 1, &wire, NULL),
                     QL_ERANGE);
    assert_null(wire);
}

static void signature_of_unknown_scheme_is_named(void **state)
{
    static const uint8_t null_scheme[] = {0, 0x10}, hmac[] = {0, 5, 0, 0x0b, 1, 2, 3};
    struct ql_signature s;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_signature_read(null_scheme, sizeof null_scheme, &s, &err), QL_EUNSUPPORTED);
    assert_string_equal(err.text, "signature scheme 0x0010");
    assert_int_equal(ql_signature_read(hmac, sizeof hmac, &s, NULL), QL_EUNSUPPORTED);
}

static void text_decodes_as_the_strict_decoder_does(void **state)
{
    static const char symbols[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=: \n-_\x80\xff";
    char wire[256];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t random[40], expected[64];
        size_t len, expected_len = 0;
        struct ql_quote_text text;
        char *at = wire;
        bool strict;
        int r;

        ql_random(random, sizeof random);
        *at++ = 'r';
        at += ql_base64_encode(random + 2, 1 + random[0] % 30, at);
        len = (size_t)(at - wire);
        /* Two in three are changed in one place. */
        if (random[1] % 3)
            wire[1 + random[32] % (len - 1)] = symbols[random[33] % (sizeof symbols - 1)];
        memcpy(at, ":AAAA:AAAA", 11);
        strict = !memchr(wire, ':', len) &&
                 ql_base64_decode(wire + 1, len - 1, expected, sizeof expected, &expected_len, NULL) == QL_OK;
        r = ql_quote_text_read(wire, strlen(wire), &text, NULL);
        if ((r == QL_OK) != strict)
            fail_msg("%s: %d", wire, r);
        if (!strict)
            continue;
        assert_int_equal(text.attest_len, expected_len);
        assert_memory_equal(text.attest, expected, expected_len);
        assert_int_equal(text.signature_len, 3);
        assert_int_equal(text.blob_len, 3);
    }
}

static void text_has_a_limit_for_each_part(void **state)
{
    static const struct {
        size_t part, len, room;
    } cases[] = {{0, QL_ATTEST_MAX_LEN, QL_ATTEST_MAX_LEN},
                 {1, QL_SIGNATURE_MAX_LEN, QL_SIGNATURE_MAX_LEN},
                 {2, QL_PCR_BLOB_MAX_LEN, QL_PCR_BLOB_MAX_LEN}};
    uint8_t *zeros = calloc(1, 8192);
    char *wire = malloc(QL_QUOTE_MAX_LEN + 64);

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++)
        for (size_t more = 0; more < 5; more++) {
            struct ql_quote_text text;
            char *at = wire;

            *at++ = 'r';
            for (size_t part = 0; part < 3; part++) {
                at += ql_base64_encode(zeros, part == cases[i].part ? cases[i].len + more : 3, at);
                *at++ = part < 2 ? ':' : '\0';
            }
            assert_int_equal(ql_quote_text_read(wire, strlen(wire), &text, NULL),
                             more == 0 ? QL_OK : QL_ELIMIT);
        }
    memset(wire, 'r', QL_QUOTE_MAX_LEN + 1);
    {
        struct ql_quote_text text;

        assert_int_equal(ql_quote_text_read(wire, QL_QUOTE_MAX_LEN + 1, &text, NULL), QL_ELIMIT);
    }
    free(wire);
    free(zeros);
}

static void text_has_three_parts_and_nothing_empty(void **state)
{
    static const char *const texts[] = {"",
                                        "r",
                                        "r:",
                                        "r::",
                                        ":AAAA:AAAA:AAAA",
                                        "rAAAA",
                                        "rAAAA:AAAA",
                                        "r:AAAA:AAAA",
                                        "rAAAA::AAAA",
                                        "rAAAA:AAAA:",
                                        "dAAAA:AAAA:AAAA",
                                        "rAAAA:AAAA:AAAA:",
                                        "rAAAA:AAAA:AAAA:AAAA",
                                        "RAAAA:AAAA:AAAA",
                                        "rAAAA:AAAA:AAAA\n",
                                        " rAAAA:AAAA:AAAA",
                                        "rAAA:AAAA:AAAA",
                                        "rAAAA:AAAA:A===",
                                        "rAA=A:AAAA:AAAA",
                                        "rAAAA:AAB=:AAAA",
                                        "rAAAA:AB==:AAAA"};
    struct ql_quote_text text;

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(texts); i++)
        if (ql_quote_text_read(texts[i], strlen(texts[i]), &text, NULL) != QL_EPARSE)
            fail_msg("%s was read", texts[i]);
    assert_int_equal(ql_quote_text_read("rAAAA:AAA=:AA==", 15, &text, NULL), QL_OK);
    assert_int_equal(text.attest_len, 3);
    assert_int_equal(text.signature_len, 2);
    assert_int_equal(text.blob_len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_refuse_every_truncation_and_one_byte_more),
        cmocka_unit_test(attest_is_read_field_by_field),
        cmocka_unit_test(attest_refuses_values_that_no_tpm_sends),
        cmocka_unit_test(blob_refuses_any_change_of_its_frame),
        cmocka_unit_test(blob_of_no_pcr_is_read_as_none),
        cmocka_unit_test(blobs_of_every_bank_and_size_are_read_back),
        cmocka_unit_test(encode_refuses_masks_and_counts_that_differ),
        cmocka_unit_test(signature_of_unknown_scheme_is_named),
        cmocka_unit_test(text_decodes_as_the_strict_decoder_does),
        cmocka_unit_test(text_has_a_limit_for_each_part),
        cmocka_unit_test(text_has_three_parts_and_nothing_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
