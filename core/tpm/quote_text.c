/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "quote_text.h"

/*
 * A decoder by table, several times faster than the one in base that keeps no secret's bits in addresses: nothing in a
 * quote is secret, and with all PCRs its text is as costly to decode as half an RSA check.
 */
enum {
    X = 0x40 /* a character that base64 does not have */
};

/* clang-format off */
static const uint8_t value_of[256] = {
     X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
     X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
     X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X, 62,  X,  X,  X, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61,  X,  X,  X,  X,  X,  X,
     X,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,  X,  X,  X,  X,  X,
     X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,  X,  X,  X,  X,  X,
    [128 ... 255] = X,
};
/* clang-format on */

/* The last four characters may be padded; bits beyond the bytes must be clear. @return bytes written, 0: malformed */
static size_t decode_last(const uint8_t *at, uint8_t *out)
{
    size_t have = at[3] != '=' ? 3 : at[2] != '=' ? 2 : 1;
    uint8_t v[4] = {value_of[at[0]], value_of[at[1]], have > 1 ? value_of[at[2]] : 0,
                    have > 2 ? value_of[at[3]] : 0};
    uint32_t bits = (uint32_t)v[0] << 18 | (uint32_t)v[1] << 12 | (uint32_t)v[2] << 6 | v[3];

    if (((v[0] | v[1] | v[2] | v[3]) & X) || (bits & (UINT32_C(0xffffff) >> (8 * have))))
        return 0;
    for (size_t i = 0; i < have; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return have;
}

static int decode(const char *text, size_t len, uint8_t *out, size_t room, size_t *ret_len, const char *what,
                  struct ql_err *err)
{
    const uint8_t *at = (const uint8_t *)text;
    uint8_t *to = out;
    uint8_t seen = 0, tail[3];
    size_t last;

    if (len == 0 || len % 4 != 0)
        return ql_fail(err, QL_EPARSE, "quote: %s of %zu characters is no base64", what, len);
    if (len / 4 * 3 > room + 2)
        return ql_fail(err, QL_ELIMIT, "quote: %s of %zu characters, at most %zu bytes", what, len, room);
    for (const uint8_t *end = at + len - 4; at < end; at += 4, to += 3) {
        uint8_t a = value_of[at[0]], b = value_of[at[1]], c = value_of[at[2]], d = value_of[at[3]];

        seen |= a | b | c | d;
        to[0] = (uint8_t)(a << 2 | b >> 4);
        to[1] = (uint8_t)(b << 4 | c >> 2);
        to[2] = (uint8_t)(c << 6 | d);
    }
    last = decode_last(at, tail);
    if ((seen & X) || last == 0)
        return ql_fail(err, QL_EPARSE, "quote: %s is not strict base64", what);
    if ((size_t)(to - out) + last > room)
        return ql_fail(err, QL_ELIMIT, "quote: %s of %zu bytes, at most %zu", what, (size_t)(to - out) + last,
                       room);
    memcpy(to, tail, last);
    *ret_len = (size_t)(to - out) + last;
    return QL_OK;
}

int ql_quote_text_read(const char *text, size_t len, struct ql_quote_text *ret, struct ql_err *err)
{
    const char *end = text + len, *first, *second;
    int r;

    if (len > QL_QUOTE_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "quote of %zu characters, at most %d", len, QL_QUOTE_MAX_LEN);
    if (len == 0 || text[0] != 'r')
        return ql_fail(err, QL_EPARSE, "quote does not begin with r");
    text++;
    first = memchr(text, ':', (size_t)(end - text));
    second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return ql_fail(err, QL_EPARSE, "quote does not have three parts");
    /* A fourth part is a colon in the third, which base64 does not have. */
    r = decode(text, (size_t)(first - text), ret->attest, sizeof ret->attest, &ret->attest_len, "attestation",
               err);
    if (r == QL_OK)
        r = decode(first + 1, (size_t)(second - first - 1), ret->signature, sizeof ret->signature,
                   &ret->signature_len, "signature", err);
    if (r == QL_OK)
        r = decode(second + 1, (size_t)(end - second - 1), ret->blob, sizeof ret->blob, &ret->blob_len,
                   "PCR values", err);
    return r;
}
