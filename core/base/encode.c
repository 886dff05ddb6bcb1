/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "error.h"

/*
 * Keys and payloads pass through here, so characters are computed and not looked up: neither branch nor address depends
 * on the bytes. Only whether and where a text is malformed shows. Eight characters are computed at a time, one in each
 * byte of a word; what is left over at the end, and the place of a bad character, by the plain functions below.
 */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 0xff in each byte of @p x that is at least @p least, else 0; every byte of x and least at most 0x80 and x below. */
static uint64_t each_from(uint64_t x, unsigned least)
{
    return ((x + EACH(0x80 - least)) & EACH(0x80)) / 0x80 * 0xff;
}

static uint64_t each_within(uint64_t x, unsigned lo, unsigned hi)
{
    return each_from(x, lo) & ~each_from(x, hi + 1);
}

/* The first character becomes the highest byte. */
static uint64_t load8(const char *text)
{
    uint64_t x;

    memcpy(&x, text, sizeof x);
    return be64toh(x);
}

/* 8 characters to 6 bytes; false when one is none of base64's, padding included. */
static bool base64_decode8(const char *text, uint8_t *out)
{
    uint64_t x = load8(text), low = x & EACH(0x7f);
    uint64_t upper = each_within(low, 'A', 'Z'), lower = each_within(low, 'a', 'z');
    uint64_t digit = each_within(low, '0', '9'), plus = each_within(low, '+', '+'),
             slash = each_within(low, '/', '/');
    uint64_t known = upper | lower | digit | plus | slash;
    uint64_t v = ((low & upper) - (EACH('A') & upper)) | ((low & lower) - (EACH('a' - 26) & lower)) |
                 ((low & digit) + (EACH(52 - '0') & digit)) | (EACH(62) & plus) | (EACH(63) & slash);

    if (low != x || ~known != 0)
        return false;
    /* 8 times 6 bits move together: pairs, fours, all. */
    v = (v >> 2 & UINT64_C(0x0fc00fc00fc00fc0)) | (v & UINT64_C(0x003f003f003f003f));
    v = (v >> 4 & UINT64_C(0x00fff00000fff000)) | (v & UINT64_C(0x00000fff00000fff));
    v = (v >> 8 & UINT64_C(0x0000ffffff000000)) | (v & UINT64_C(0x0000000000ffffff));
    v = htobe64(v << 16);
    memcpy(out, &v, 6);
    return true;
}

static void base64_encode6(const uint8_t *in, char *out)
{
    uint64_t v = 0;

    memcpy(&v, in, 6);
    v = be64toh(v) >> 16;
    v = (v << 8 & UINT64_C(0x00ffffff00000000)) | (v & UINT64_C(0x0000000000ffffff));
    v = (v << 4 & UINT64_C(0x0fff00000fff0000)) | (v & UINT64_C(0x00000fff00000fff));
    v = (v << 2 & UINT64_C(0x3f003f003f003f00)) | (v & UINT64_C(0x003f003f003f003f));
    /* A letter's place in ASCII, corrected where the next run of the alphabet begins. */
    v = v + EACH('A') + (each_from(v, 26) & EACH(6)) - (each_from(v, 52) & EACH(75)) -
        (each_from(v, 62) & EACH(15)) + (each_from(v, 63) & EACH(3));
    v = htobe64(v);
    memcpy(out, &v, sizeof v);
}

static bool hex_decode8(const char *text, uint8_t *out)
{
    uint64_t x = load8(text), low = x & EACH(0x7f), folded = low | EACH(0x20);
    uint64_t digit = each_within(low, '0', '9'), letter = each_within(folded, 'a', 'f');
    uint64_t v = ((low & digit) - (EACH('0') & digit)) | ((folded & letter) - (EACH('a' - 10) & letter));

    if (low != x || ~(digit | letter) != 0)
        return false;
    v = (v >> 4 | v) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v >> 8 | v) & UINT64_C(0x0000ffff0000ffff);
    v = (v >> 16 | v) & UINT64_C(0x00000000ffffffff);
    v = htobe64(v << 32);
    memcpy(out, &v, 4);
    return true;
}

static void hex_encode4(const uint8_t *in, char *out)
{
    uint64_t v = 0;

    memcpy(&v, in, 4);
    v = be64toh(v) >> 32;
    v = (v << 16 | v) & UINT64_C(0x0000ffff0000ffff);
    v = (v << 8 | v) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v << 4 | v) & EACH(0x0f);
    v = v + EACH('0') + (each_from(v, 10) & EACH('a' - '0' - 10));
    v = htobe64(v);
    memcpy(out, &v, sizeof v);
}

/* All ones when lo <= c <= hi, else 0; all arguments below 256. */
static unsigned within(unsigned c, unsigned lo, unsigned hi)
{
    return 0u - (((lo - c - 1) & (c - hi - 1)) >> 31);
}

static char base64_char(unsigned v)
{
    return (char)((within(v, 0, 25) & (v + 'A')) | (within(v, 26, 51) & (v - 26 + 'a')) |
                  (within(v, 52, 61) & (v - 52 + '0')) | (within(v, 62, 62) & '+') |
                  (within(v, 63, 63) & '/'));
}

/* 0 to 63; 64 for a character outside the alphabet. */
static unsigned base64_value(char ch)
{
    unsigned c = (unsigned char)ch;
    unsigned upper = within(c, 'A', 'Z'), lower = within(c, 'a', 'z'), digit = within(c, '0', '9');
    unsigned plus = within(c, '+', '+'), slash = within(c, '/', '/');

    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) |
           (slash & 63) | (~(upper | lower | digit | plus | slash) & 64);
}

static char hex_char(unsigned v)
{
    return (char)((within(v, 0, 9) & (v + '0')) | (within(v, 10, 15) & (v - 10 + 'a')));
}

/* 0 to 15; 16 for anything but a hex digit. */
static unsigned hex_value(char ch)
{
    unsigned c = (unsigned char)ch;
    unsigned digit = within(c, '0', '9'), lower = within(c, 'a', 'f'), upper = within(c, 'A', 'F');

    return (digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10)) |
           (~(digit | lower | upper) & 16);
}

size_t ql_base64_encode(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;
    size_t at = 0;

    for (; len >= 6; len -= 6, p += 6, at += 8)
        base64_encode6(p, out + at);
    for (; len >= 3; len -= 3, p += 3) {
        out[at++] = base64_char(p[0] >> 2);
        out[at++] = base64_char((p[0] & 3u) << 4 | p[1] >> 4);
        out[at++] = base64_char((p[1] & 15u) << 2 | p[2] >> 6);
        out[at++] = base64_char(p[2] & 63u);
    }
    if (len > 0) {
        unsigned second = len > 1 ? p[1] : 0;

        out[at++] = base64_char(p[0] >> 2);
        out[at++] = base64_char((p[0] & 3u) << 4 | second >> 4);
        out[at++] = '=';
        if (len > 1)
            out[at - 1] = base64_char((second & 15u) << 2);
        out[at++] = '=';
    }
    out[at] = '\0';
    return at;
}

char *ql_base64_dup(const void *data, size_t len)
{
    char *text;

    if (len > SIZE_MAX / 2)
        return NULL;
    text = malloc(QL_BASE64_LEN(len) + 1);
    if (text)
        (void)ql_base64_encode(data, len, text); /* the length is known */
    return text;
}

/* Bytes that @p text_len characters stand for. */
static int base64_measure(const char *text, size_t text_len, size_t *ret, struct ql_err *err)
{
    size_t len = text_len / 4 * 3;

    if (text_len % 4 != 0)
        return ql_fail(err, QL_EPARSE,
                       "base64 of %zu characters is not a multiple of 4 (padding is required)", text_len);
    if (text_len > 0 && text[text_len - 1] == '=')
        len -= text[text_len - 2] == '=' ? 2 : 1;
    *ret = len;
    return QL_OK;
}

int ql_base64_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                     struct ql_err *err)
{
    size_t len = 0, at = 0, from = 0;
    int r = base64_measure(text, text_len, &len, err);

    if (r < 0)
        return r;
    if (len > out_len)
        return ql_fail(err, QL_ELIMIT, "base64 of %zu bytes, at most %zu", len, out_len);
    /* The last four may hold padding. */
    for (; text_len - from > 8 && base64_decode8(text + from, out + at); from += 8)
        at += 6;
    for (size_t i = from; i < text_len; i += 4) {
        size_t have = len - at < 3 ? len - at : 3; /* bytes of this group of four */
        uint32_t bits = 0;

        for (size_t j = 0; j < 4; j++) {
            unsigned v = j <= have ? base64_value(text[i + j]) : 0;

            if (v > 63)
                return ql_fail(err, QL_EPARSE, "base64 has a character that is not allowed at place %zu",
                               i + j);
            bits = bits << 6 | v;
        }
        if (have < 3 && (bits & (UINT32_C(0xffffff) >> (8 * have))) != 0)
            return ql_fail(err, QL_EPARSE, "base64 has stray bits in its last symbol at place %zu", i + have);
        for (size_t j = 0; j < have; j++)
            out[at++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    *ret_len = len;
    return QL_OK;
}

int ql_base64_decode_dup(const char *text, size_t text_len, size_t max_len, uint8_t **ret, size_t *ret_len,
                         struct ql_err *err)
{
    uint8_t *out;
    size_t len = 0;
    int r = base64_measure(text, text_len, &len, err);

    if (r < 0)
        return r;
    if (len > max_len)
        return ql_fail(err, QL_ELIMIT, "base64 of %zu bytes, at most %zu", len, max_len);
    out = malloc(len + 1);
    if (!out)
        return ql_fail_nomem(err);
    r = ql_base64_decode(text, text_len, out, len, ret_len, err);
    if (r < 0) {
        free(out);
        return r;
    }
    out[len] = '\0';
    *ret = out;
    return QL_OK;
}

int ql_hex_digit(char c)
{
    unsigned value = hex_value(c);

    return value > 15 ? -1 : (int)value;
}

void ql_hex_encode(const void *data, size_t len, char *out)
{
    const uint8_t *p = data;
    size_t from = 0;

    for (; len - from >= 4; from += 4)
        hex_encode4(p + from, out + 2 * from);
    for (size_t i = from; i < len; i++) {
        out[2 * i] = hex_char(p[i] >> 4);
        out[2 * i + 1] = hex_char(p[i] & 15u);
    }
    out[2 * len] = '\0';
}

char *ql_hex_dup(const void *data, size_t len)
{
    char *text;

    if (len > SIZE_MAX / 4)
        return NULL;
    text = malloc(2 * len + 1);
    if (text)
        ql_hex_encode(data, len, text);
    return text;
}

int ql_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, struct ql_err *err)
{
    size_t from = 0;

    if (text_len % 2 != 0 || text_len / 2 != out_len)
        return ql_fail(err, QL_EPARSE, "hex of %zu digits, expected %zu", text_len, 2 * out_len);
    while (out_len - from >= 4 && hex_decode8(text + 2 * from, out + from))
        from += 4;
    for (size_t i = from; i < out_len; i++) {
        unsigned high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

        if ((high | low) > 15)
            return ql_fail(err, QL_EPARSE, "hex has a character that is not a digit at place %zu",
                           2 * i + (high > 15 ? 0 : 1));
        out[i] = (uint8_t)(high << 4 | low);
    }
    return QL_OK;
}

int ql_hex_decode_upto(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                       struct ql_err *err)
{
    int r;

    if (text_len % 2 != 0)
        return ql_fail(err, QL_EPARSE, "hex of %zu digits: the number is odd", text_len);
    if (text_len / 2 > out_len)
        return ql_fail(err, QL_ELIMIT, "hex of %zu bytes, at most %zu", text_len / 2, out_len);
    r = ql_hex_decode(text, text_len, out, text_len / 2, err);
    if (r == QL_OK)
        *ret_len = text_len / 2;
    return r;
}
