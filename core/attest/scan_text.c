/* SPDX-License-Identifier: Apache-2.0 */
#include "scan_text.h"

#include <stdlib.h>
#include <string.h>

#include "encode.h"

int32_t ql_text_hex4(const char *at)
{
    int32_t v = 0;

    for (int i = 0; i < 4; i++) {
        int digit = ql_hex_digit(at[i]);

        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static size_t utf8_put(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* One escape of a checked string, at its backslash. @return characters it takes; its UTF-8 goes to out. */
static size_t unescape_one(const char *at, char *out, size_t *out_len)
{
    static const char plain[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    int32_t c;

    if (at[1] != 'u') {
        for (size_t i = 0; i + 1 < sizeof plain; i += 2)
            if (plain[i] == at[1])
                out[0] = plain[i + 1];
        *out_len = 1;
        return 2;
    }
    c = ql_text_hex4(at + 2);
    if (c >= 0xDC80 && c <= 0xDCFF) {
        out[0] = (char)(c & 0xFF); /* a byte that is no text */
        *out_len = 1;
        return 6;
    }
    if (c >= 0xD800 && c <= 0xDBFF) {
        *out_len =
            utf8_put((uint32_t)(0x10000 + ((c - 0xD800) << 10) + (ql_text_hex4(at + 8) - 0xDC00)), out);
        return 12;
    }
    *out_len = utf8_put((uint32_t)c, out);
    return 6;
}

size_t ql_text_unescape(const struct ql_text *t, char *out)
{
    const char *at = t->raw, *end = t->raw + t->raw_len;
    char *to = out;

    if (!t->escaped) {
        if (t->raw_len > 0)
            memcpy(out, t->raw, t->raw_len);
        return t->raw_len;
    }
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash ? slash : end) - at), wrote = 0;

        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (at == end)
            break;
        at += unescape_one(at, to, &wrote);
        to += wrote;
    }
    return (size_t)(to - out);
}

/* Next byte of the unescaped string through a buffer of one escape; -1 at the end. */
struct text_reader {
    const char *at, *end;
    char held[4];
    size_t held_len, held_at;
};

static int text_next(struct text_reader *r)
{
    if (r->held_at < r->held_len)
        return (unsigned char)r->held[r->held_at++];
    if (r->at == r->end)
        return -1;
    if (*r->at != '\\')
        return (unsigned char)*r->at++;
    r->at += unescape_one(r->at, r->held, &r->held_len);
    r->held_at = 1;
    return (unsigned char)r->held[0];
}

static struct text_reader text_reader_of(const struct ql_text *t)
{
    return (struct text_reader){.at = t->raw, .end = t->raw + t->raw_len};
}

bool ql_text_is(const struct ql_text *t, const char *text)
{
    struct text_reader r;
    int c;

    if (!t->raw)
        return false;
    if (!t->escaped)
        return strlen(text) == t->raw_len && memcmp(text, t->raw, t->raw_len) == 0;
    r = text_reader_of(t);
    while ((c = text_next(&r)) >= 0)
        if ((unsigned char)*text == 0 || (unsigned char)*text++ != c)
            return false;
    return *text == '\0';
}

char *ql_text_dup(const struct ql_text *t, size_t *ret_len)
{
    char *copy = malloc(t->raw_len + 1);
    size_t len;

    if (!copy)
        return NULL;
    len = ql_text_unescape(t, copy);
    copy[len] = '\0';
    if (ret_len)
        *ret_len = len;
    return copy;
}

uint32_t ql_text_hash(const struct ql_text *t)
{
    struct text_reader r = text_reader_of(t);
    uint32_t h = 2166136261u;
    int c;

    while ((c = text_next(&r)) >= 0)
        h = (h ^ (uint32_t)c) * 16777619u;
    return h;
}

bool ql_text_equal(const struct ql_text *a, const struct ql_text *b)
{
    struct text_reader ra = text_reader_of(a), rb = text_reader_of(b);
    int ca, cb;

    do {
        ca = text_next(&ra);
        cb = text_next(&rb);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}
