/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static const char HEX[] = "0123456789abcdef";

void mb_text_init(struct mb_text *t)
{
    t->p = t->room;
    t->len = 0;
    t->cap = sizeof t->room;
    t->failed = false;
}

void mb_text_done(struct mb_text *t)
{
    if (t->p != t->room)
        free(t->p);
    mb_text_init(t);
}

/** Make room for @p more bytes. @return where they go, NULL: no memory */
static char *reserve(struct mb_text *t, size_t more)
{
    size_t cap = t->cap;
    char *p;

    if (t->failed)
        return NULL;
    if (more <= t->cap - t->len)
        return t->p + t->len;
    while (more > cap - t->len) {
        if (cap > SIZE_MAX / 2) {
            t->failed = true;
            return NULL;
        }
        cap *= 2;
    }
    p = t->p == t->room ? malloc(cap) : realloc(t->p, cap);
    if (!p) {
        t->failed = true;
        return NULL;
    }
    if (t->p == t->room)
        memcpy(p, t->room, t->len);
    t->p = p;
    t->cap = cap;
    return p + t->len;
}

void mb_text_add(struct mb_text *t, const char *text, size_t len)
{
    char *to = reserve(t, len);

    if (!to || len == 0)
        return;
    memcpy(to, text, len);
    t->len += len;
}

void mb_textf(struct mb_text *t, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n > 0)
        mb_text_add(t, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/** Four bytes as eight hex digits, in the machine's own order of bytes. */
static uint64_t eight_digits(uint32_t four)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = four, letters;

    /* One nibble a byte, the high one of each pair first. */
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 & UINT64_C(0x000f000f000f000f)) | (x & UINT64_C(0x000f000f000f000f)) << 8;
    letters = (x + 6 * ones) >> 4 & ones; /* 1 where the nibble is 10 or more */
    x += '0' * ones + ('a' - '0' - 10) * letters;
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(x) : x;
}

void mb_text_hex(struct mb_text *t, const uint8_t *bytes, size_t len)
{
    char *to = len > SIZE_MAX / 2 ? NULL : reserve(t, 2 * len);
    size_t at = 0;

    if (!to)
        return;
    for (; at + 4 <= len; at += 4) {
        const uint64_t digits = eight_digits(mb_u32(bytes + at));

        memcpy(to + 2 * at, &digits, 8);
    }
    for (; at < len; at++) {
        to[2 * at] = HEX[bytes[at] >> 4];
        to[2 * at + 1] = HEX[bytes[at] & 15];
    }
    t->len += 2 * len;
}

void mb_text_guid(struct mb_text *t, const uint8_t *guid)
{
    static const uint8_t order[MB_GUID_LEN] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    char *to = reserve(t, 36);

    if (!to)
        return;
    for (size_t i = 0; i < MB_GUID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = HEX[guid[order[i]] >> 4];
        *to++ = HEX[guid[order[i]] & 15];
    }
    t->len += 36;
}

/** Add one code point that is no surrogate and at most 0x10ffff. */
static void add_code(struct mb_text *t, uint32_t c)
{
    char b[4];
    size_t n;

    if (c < 0x80) {
        b[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (char)(0xc0 | c >> 6);
        b[1] = (char)(0x80 | (c & 0x3f));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (char)(0xe0 | c >> 12);
        b[1] = (char)(0x80 | (c >> 6 & 0x3f));
        b[2] = (char)(0x80 | (c & 0x3f));
        n = 3;
    } else {
        b[0] = (char)(0xf0 | c >> 18);
        b[1] = (char)(0x80 | (c >> 12 & 0x3f));
        b[2] = (char)(0x80 | (c >> 6 & 0x3f));
        b[3] = (char)(0x80 | (c & 0x3f));
        n = 4;
    }
    mb_text_add(t, b, n);
}

static bool is_tail(uint8_t b)
{
    return (b & 0xc0) == 0x80;
}

/** @return bytes of the well-formed sequence at @p p (no overlong form, no surrogate, at most 0x10ffff), 0: none */
static size_t sequence_len(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]) || (p[0] == 0xe0 && p[1] < 0xa0) ||
            (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]) || (p[0] == 0xf0 && p[1] < 0x90) ||
            (p[0] == 0xf4 && p[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

void mb_text_utf8(struct mb_text *t, const uint8_t *bytes, size_t len)
{
    size_t from = 0, at = 0;

    while (at < len) {
        const size_t n = sequence_len(bytes + at, len - at);

        if (n > 0) {
            at += n;
            continue;
        }
        mb_text_add(t, (const char *)bytes + from, at - from);
        add_code(t, 0xfffd);
        from = ++at;
    }
    if (from < len)
        mb_text_add(t, (const char *)bytes + from, len - from);
}

size_t mb_text_utf16(struct mb_text *t, const uint8_t *bytes, size_t units)
{
    for (size_t i = 0; i < units; i++) {
        const uint32_t c = mb_u16(bytes + 2 * i);
        const uint32_t next = i + 1 < units ? mb_u16(bytes + 2 * i + 2) : 0;

        if (c == 0)
            return i;
        if (c >= 0xd800 && c <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
            add_code(t, 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00));
            i++;
        } else {
            add_code(t, c >= 0xd800 && c <= 0xdfff ? 0xfffd : c);
        }
    }
    return units;
}

json_t *mb_text_json(struct mb_text *t)
{
    json_t *value = t->failed ? NULL : json_stringn_nocheck(t->p, t->len);

    mb_text_done(t);
    return value;
}

json_t *mb_json_hex(const uint8_t *bytes, size_t len)
{
    struct mb_text t;

    mb_text_init(&t);
    mb_text_hex(&t, bytes, len);
    return mb_text_json(&t);
}

json_t *mb_json_guid(const uint8_t *guid)
{
    struct mb_text t;

    mb_text_init(&t);
    mb_text_guid(&t, guid);
    return mb_text_json(&t);
}

json_t *mb_json_utf8(const uint8_t *bytes, size_t len)
{
    struct mb_text t;

    mb_text_init(&t);
    mb_text_utf8(&t, bytes, len > 0 && bytes[len - 1] == 0 ? len - 1 : len);
    return mb_text_json(&t);
}

json_t *mb_json_utf16(const uint8_t *bytes, size_t units)
{
    struct mb_text t;

    mb_text_init(&t);
    (void)mb_text_utf16(&t, bytes, units); /* where it ended does not matter */
    return mb_text_json(&t);
}

json_t *mb_json_u64(uint64_t n)
{
    char digits[24];

    if (n <= INT64_MAX)
        return json_integer((json_int_t)n);
    snprintf(digits, sizeof digits, "%" PRIu64, n);
    return json_string_nocheck(digits);
}

json_t *mb_json_yes(bool yes)
{
    return json_string_nocheck(yes ? "Yes" : "No");
}

bool mb_put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new_nocheck(object, key, value) == 0;
}

json_t *mb_finish(json_t *value, bool ok)
{
    if (ok)
        return value;
    json_decref(value);
    return NULL;
}
