/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"

/* RFC 4648 section 10 */
static const struct {
    const char *plain, *base64, *hex;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "66"},
    {"fo", "Zm8=", "666f"},
    {"foo", "Zm9v", "666f6f"},
    {"foob", "Zm9vYg==", "666f6f62"},
    {"fooba", "Zm9vYmE=", "666f6f6261"},
    {"foobar", "Zm9vYmFy", "666f6f626172"},
};

static int decode(const char *text, uint8_t *out, size_t out_len, size_t *ret_len, struct ql_err *err)
{
    return ql_base64_decode(text, strlen(text), out, out_len, ret_len, err);
}

static void vectors_of_the_rfc_hold_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t len = strlen(vectors[i].plain), got = 99;
        char text[32];
        uint8_t out[32];

        assert_int_equal(ql_base64_encode(vectors[i].plain, len, text), QL_BASE64_LEN(len));
        assert_string_equal(text, vectors[i].base64);
        assert_int_equal(decode(text, out, len, &got, NULL), QL_OK);
        assert_int_equal(got, len);
        assert_memory_equal(out, vectors[i].plain, len);
        ql_hex_encode(vectors[i].plain, len, text);
        assert_string_equal(text, vectors[i].hex);
        assert_int_equal(ql_hex_decode(text, 2 * len, out, len, NULL), QL_OK);
        assert_memory_equal(out, vectors[i].plain, len);
    }
}

static void every_byte_survives(void **state)
{
    uint8_t all[256], back[256];
    char *text;
    size_t got;

    (void)state;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 167 + 13);
    for (size_t len = 0; len <= sizeof all; len++) {
        text = ql_base64_dup(all, len);
        assert_non_null(text);
        assert_int_equal(decode(text, back, len, &got, NULL), QL_OK);
        assert_int_equal(got, len);
        assert_memory_equal(back, all, len);
        free(text);
        text = ql_hex_dup(all, len);
        assert_non_null(text);
        assert_int_equal(ql_hex_decode_upto(text, 2 * len, back, len, &got, NULL), QL_OK);
        assert_memory_equal(back, all, len);
        free(text);
    }
}

static void only_the_alphabet_decodes(void **state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t out[4];
    size_t got;

    (void)state;
    for (int c = 0; c < 256; c++) {
        const char text[4] = {(char)c, 'A', 'A', 'A'};
        const char *at = c ? strchr(alphabet, c) : NULL;
        int r = ql_base64_decode(text, 4, out, sizeof out, &got, NULL);
        char hex[2] = {(char)c, '0'};

        assert_int_equal(r, at ? QL_OK : QL_EPARSE);
        if (at)
            assert_int_equal(out[0], (at - alphabet) << 2);
        at = c ? strchr("0123456789abcdefABCDEF", c) : NULL;
        r = ql_hex_decode(hex, 2, out, 1, NULL);
        assert_int_equal(r, at ? QL_OK : QL_EPARSE);
        if (at)
            assert_int_equal(out[0] >> 4, strtol((char[]){(char)c, '\0'}, NULL, 16));
    }
}

/* Eight characters are decoded at a time: a bad one shows in every place, and none disturbs its neighbours. */
static void every_character_counts_in_every_place(void **state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char digits[] = "0123456789abcdefABCDEF";
    struct ql_err err = QL_ERR_INIT;
    uint8_t out[24];
    size_t got;

    (void)state;
    for (size_t place = 0; place < 24; place++)
        for (int c = 0; c < 256; c++) {
            char text[25] = "Zm9vYmFyZm9vYmFyZm9vYmFy", hex[25] = "00ff11ee22dd33cc44bb55aa", named[32];
            char back[25];
            bool good = c && strchr(alphabet, c);

            text[place] = (char)c;
            hex[place] = (char)c;
            snprintf(named, sizeof named, "place %zu", place);
            if (c == '=' && place == 23)
                good = false; /* padding, but with bits before it that are not clear */
            assert_int_equal(ql_base64_decode(text, 24, out, sizeof out, &got, &err),
                             good ? QL_OK : QL_EPARSE);
            if (good) {
                ql_base64_encode(out, got, back);
                assert_string_equal(back, text);
            } else if (c != '=') {
                assert_non_null(strstr(err.text, named));
            }
            good = c && strchr(digits, c);
            assert_int_equal(ql_hex_decode(hex, 24, out, 12, &err), good ? QL_OK : QL_EPARSE);
            if (good) {
                ql_hex_encode(out, 12, back);
                hex[place] = (char)tolower(c);
                assert_string_equal(back, hex);
            } else {
                assert_non_null(strstr(err.text, named));
            }
        }
}

static void malformed_base64_is_refused(void **state)
{
    static const char *const bad[] = {
        "A",     "AA",   "AAA",  "A===",  "====",   "=AAA",       "A=AA", "AA=A", "AAAA====", "AAA=AAAA",
        "AA==A", " AAA", "AAA ", "AA\nA", "AAAA\n", "AAAAAA==\n", "Zg",   "Zm8",  "AAAAA",    "AA-_",
    };
    uint8_t out[16];
    size_t got = 77;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(decode(bad[i], out, sizeof out, &got, NULL), QL_EPARSE);
    assert_int_equal(got, 77);
}

static void stray_bits_are_refused(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t out[4];
    size_t got;

    (void)state;
    assert_int_equal(decode("Zh==", out, sizeof out, &got, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "stray bits"));
    assert_int_equal(decode("Zm9=", out, sizeof out, &got, &err), QL_EPARSE);
    assert_int_equal(decode("Zm8=", out, sizeof out, &got, &err), QL_OK);
}

static void place_of_a_bad_character_is_named(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t out[16];
    size_t got;

    (void)state;
    assert_int_equal(decode("AAAAA!AA", out, sizeof out, &got, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "place 5"));
    assert_int_equal(ql_hex_decode("00g0", 4, out, 2, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "place 2"));
}

static void room_is_a_limit(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t out[16], *dup = NULL;
    size_t got;

    (void)state;
    assert_int_equal(decode("Zm9vYmFy", out, 5, &got, &err), QL_ELIMIT);
    assert_string_equal(err.text, "base64 of 6 bytes, at most 5");
    assert_int_equal(ql_base64_decode_dup("Zm9vYmFy", 8, 5, &dup, &got, &err), QL_ELIMIT);
    assert_null(dup);
    assert_int_equal(ql_base64_decode_dup("Zm9vYmFy", 8, 6, &dup, &got, &err), QL_OK);
    assert_string_equal((char *)dup, "foobar");
    free(dup);
    assert_int_equal(ql_hex_decode_upto("001122", 6, out, 2, &got, &err), QL_ELIMIT);
    assert_int_equal(ql_hex_decode("001122", 6, out, 2, &err), QL_EPARSE);
    assert_int_equal(ql_hex_decode("0011", 4, out, 3, &err), QL_EPARSE);
    assert_int_equal(ql_hex_decode_upto("001", 3, out, 2, &got, &err), QL_EPARSE);
}

static void hex_digits_have_either_case_and_nothing_else_is_one(void **state)
{
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

    (void)state;
    for (int c = -128; c < 128; c++) {
        const char *at = c ? strchr(digits, c) : NULL, *high = c ? strchr(upper, c) : NULL;

        assert_int_equal(ql_hex_digit((char)c), at ? at - digits : high ? high - upper : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc_hold_both_ways),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(only_the_alphabet_decodes),
        cmocka_unit_test(every_character_counts_in_every_place),
        cmocka_unit_test(malformed_base64_is_refused),
        cmocka_unit_test(stray_bits_are_refused),
        cmocka_unit_test(place_of_a_bad_character_is_named),
        cmocka_unit_test(room_is_a_limit),
        cmocka_unit_test(hex_digits_have_either_case_and_nothing_else_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
