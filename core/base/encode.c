/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "error.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t ql_base64_encode(const void *data, size_t len, char *out)
{
    const uint8_t *in = data;
    char *o = out;
    size_t i;

    for (i = 0; len - i >= 3; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        *o++ = alphabet[v >> 6 & 63];
        *o++ = alphabet[v & 63];
    }
    if (len - i == 1) {
        *o++ = alphabet[in[i] >> 2];
        *o++ = alphabet[(in[i] & 3) << 4];
        *o++ = '=';
        *o++ = '=';
    } else if (len - i == 2) {
        *o++ = alphabet[in[i] >> 2];
        *o++ = alphabet[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *o++ = alphabet[(in[i + 1] & 15) << 2];
        *o++ = '=';
    }
    *o = '\0';
    return (size_t)(o - out);
}

char *ql_base64_dup(const void *data, size_t len)
{
    char *out = len < SIZE_MAX / 2 ? malloc(QL_BASE64_LEN(len) + 1) : NULL;

    if (out)
        ql_base64_encode(data, len, out);
    return out;
}

/* Values of the alphabet; 0xff for what is not in it. */
static const uint8_t *reverse_alphabet(void)
{
    static const uint8_t values[256] = {
#define N 255
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  62, N,  N,  N,  63,
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, N,  N,  N,  N,  N,  N,  N,  0,  1,  2,  3,  4,  5,  6,
        7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N,  N,  N,  N,  N,
        N,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
        49, 50, 51, N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
        N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
#undef N
    };

    return values;
}

/* Bytes that @p text_len characters stand for, given the padding at their end. */
static int decoded_len(const char *text, size_t text_len, size_t *ret, struct ql_err *err)
{
    size_t padding = 0;

    if (text_len % 4 != 0)
        return ql_fail(err, QL_EPARSE, "base64 of %zu characters is not a multiple of 4", text_len);
    if (text_len > 0 && text[text_len - 1] == '=')
        padding = text[text_len - 2] == '=' ? 2 : 1;
    *ret = text_len / 4 * 3 - padding;
    return QL_OK;
}

int ql_base64_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                     struct ql_err *err)
{
    const uint8_t *value = reverse_alphabet();
    size_t len, symbols;
    uint32_t bits = 0;
    unsigned have = 0;
    uint8_t *o = out;
    int r = decoded_len(text, text_len, &len, err);

    if (r < 0)
        return r;
    if (len > out_len)
        return ql_fail(err, QL_ELIMIT, "base64 of %zu bytes, at most %zu", len, out_len);
    symbols = text_len - (text_len / 4 * 3 - len);
    for (size_t i = 0; i < symbols; i++) {
        uint8_t v = value[(uint8_t)text[i]];

        if (v == 255)
            return ql_fail(err, QL_EPARSE, "character %zu is not base64", i);
        bits = bits << 6 | v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            *o++ = (uint8_t)(bits >> have);
        }
    }
    /* Bits that belong to no byte must be zero, or two texts would mean the same bytes. */
    if ((bits & ((UINT32_C(1) << have) - 1)) != 0)
        return ql_fail(err, QL_EPARSE, "stray bits at the end of base64");
    *ret_len = len;
    return QL_OK;
}

int ql_base64_decode_dup(const char *text, size_t text_len, size_t max_len, uint8_t **ret, size_t *ret_len,
                         struct ql_err *err)
{
    uint8_t *out;
    size_t len;
    int r = decoded_len(text, text_len, &len, err);

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

void ql_hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = data;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

char *ql_hex_dup(const void *data, size_t len)
{
    char *out = len < SIZE_MAX / 2 ? malloc(2 * len + 1) : NULL;

    if (out)
        ql_hex_encode(data, len, out);
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int ql_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, struct ql_err *err)
{
    if (text_len % 2 != 0 || text_len / 2 != out_len)
        return ql_fail(err, QL_EPARSE, "%zu hex digits, not %zu", text_len, 2 * out_len);
    for (size_t i = 0; i < out_len; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return ql_fail(err, QL_EPARSE, "character %zu is not a hex digit", 2 * i + (high < 0 ? 0 : 1));
        out[i] = (uint8_t)(high << 4 | low);
    }
    return QL_OK;
}

int ql_hex_decode_upto(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                       struct ql_err *err)
{
    int r;

    if (text_len % 2 != 0)
        return ql_fail(err, QL_EPARSE, "an odd number of hex digits (%zu)", text_len);
    if (text_len / 2 > out_len)
        return ql_fail(err, QL_ELIMIT, "hex of %zu bytes, at most %zu", text_len / 2, out_len);
    r = ql_hex_decode(text, text_len, out, text_len / 2, err);
    if (r == QL_OK)
        *ret_len = text_len / 2;
    return r;
}
