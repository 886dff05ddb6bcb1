/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

enum {
    NUMBER_MAX = 512 /* characters of a number; beyond it no value can matter */
};

/* Length of the well-formed UTF-8 sequence at `s`, 0: none. */
static size_t utf8_step(const uint8_t *s, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    uint32_t c;

    if (n <= 1)
        return n;
    if (n > left)
        return 0;
    c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : n;
}

const char *ima_shown(const uint8_t *s, size_t len, char out[IMA_SHOWN_MAX])
{
    size_t at = 0, n = 0;

    while (at < len) {
        size_t step = utf8_step(s + at, len - at), take = step > 0 ? step : 1;

        if (take > IMA_SHOWN_MAX - 4 - n) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (step == 0 || (step == 1 && (s[at] < 0x20 || s[at] == 0x7f)))
            out[n++] = '?';
        else
            for (size_t i = 0; i < step; i++)
                out[n++] = (char)s[at + i];
        at += take;
    }
    out[n] = 0;
    return out;
}

struct ima_json ima_json_of(const struct ql_host *host, const uint8_t *text, size_t len, struct ql_err *err)
{
    return (struct ima_json){.host = host, .start = text, .at = text, .end = text + len, .err = err};
}

void ima_json_done(struct ima_json *r)
{
    r->host->free(r->host, r->scratch);
    r->scratch = NULL;
    r->scratch_room = 0;
}

bool ima_json_fail(struct ima_json *r, int code, const char *fmt, ...)
{
    char why[400];
    size_t line = 1, column = 1;
    va_list args;

    if (r->failed)
        return false;
    r->failed = true;
    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args); /* too long: cut */
    va_end(args);
    for (const uint8_t *p = r->start; p < r->at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    r->host->fail(r->err, code, "%s (line %zu, column %zu)", why, line, column);
    return false;
}

static void skip_blanks(struct ima_json *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

char ima_json_peek(struct ima_json *r)
{
    if (r->failed)
        return 0;
    skip_blanks(r);
    if (r->at == r->end)
        return 0;
    return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? '0' : (char)*r->at;
}

bool ima_json_enter(struct ima_json *r, char open)
{
    char c = ima_json_peek(r);

    if (r->failed)
        return false;
    if (c != open)
        return ima_json_fail(r, QL_EPARSE, "'%c' expected", open);
    if (r->depth == IMA_JSON_DEPTH)
        return ima_json_fail(r, QL_ELIMIT, "nested deeper than %d", IMA_JSON_DEPTH);
    r->depth++;
    r->at++;
    r->is_fresh = true;
    return true;
}

bool ima_json_more(struct ima_json *r, char close)
{
    char c = ima_json_peek(r);
    bool is_fresh = r->is_fresh;

    if (r->failed)
        return false;
    r->is_fresh = false;
    if (c == close) {
        r->at++;
        r->depth--;
        return false;
    }
    if (is_fresh)
        return true;
    if (c != ',')
        return ima_json_fail(r, QL_EPARSE, "',' or '%c' expected", close);
    r->at++;
    return true;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_u16(struct ima_json *r, uint32_t *ret)
{
    uint32_t v = 0;

    if (r->end - r->at < 4)
        return ima_json_fail(r, QL_EPARSE, "string is cut short");
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_value(r->at[i]);

        if (digit < 0)
            return ima_json_fail(r, QL_EPARSE, "\\u needs four hex digits");
        v = v << 4 | (uint32_t)digit;
    }
    r->at += 4;
    *ret = v;
    return true;
}

static size_t put_char(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c >= 0xdc80 && c <= 0xdcff) { /* a byte that is not UTF-8, as Python carries it */
        out[0] = (uint8_t)(c & 0xff);
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Behind the backslash. At most 4 bytes are written. */
static bool read_escape(struct ima_json *r, uint8_t *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known;
    uint32_t c = 0, low = 0;

    if (r->at == r->end)
        return ima_json_fail(r, QL_EPARSE, "string is cut short");
    known = *r->at ? strchr(from, *r->at) : NULL;
    if (known) {
        r->at++;
        out[(*n)++] = (uint8_t)to[known - from];
        return true;
    }
    if (*r->at != 'u')
        return ima_json_fail(r, QL_EPARSE, "unknown escape in a string");
    r->at++;
    if (!read_u16(r, &c))
        return false;
    if (c >= 0xd800 && c <= 0xdbff && r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == 'u') {
        const uint8_t *back = r->at;

        r->at += 2;
        if (!read_u16(r, &low))
            return false;
        if (low >= 0xdc00 && low <= 0xdfff)
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        else
            r->at = back;
    }
    *n += put_char(out + *n, c);
    return true;
}

/* One character that needs a look: escape, control, or beyond ASCII. @return false: failed, or the closing quote */
static bool read_special(struct ima_json *r, uint8_t *out, size_t *n)
{
    size_t step;

    if (*r->at == '\\') {
        r->at++;
        return read_escape(r, out, n);
    }
    if (*r->at < 0x20)
        return ima_json_fail(r, QL_EPARSE, "control character in a string");
    step = utf8_step(r->at, (size_t)(r->end - r->at));
    if (step == 0)
        return ima_json_fail(r, QL_EPARSE, "not UTF-8");
    memcpy(out + *n, r->at, step);
    *n += step;
    r->at += step;
    return true;
}

/* Where the closing quote stands, or NULL. Escapes are only stepped over. */
static const uint8_t *closing_quote(const uint8_t *at, const uint8_t *end)
{
    for (; at < end; at++) {
        if (*at == '"')
            return at;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

bool ima_json_string(struct ima_json *r, const uint8_t **s, size_t *len)
{
    char c = ima_json_peek(r);
    const uint8_t *first, *quote;
    size_t n;

    if (r->failed)
        return false;
    if (c != '"')
        return ima_json_fail(r, QL_EPARSE, "a string expected");
    first = ++r->at;
    while (r->at < r->end && is_plain(*r->at))
        r->at++;
    if (r->at < r->end && *r->at == '"') {
        *s = first;
        *len = (size_t)(r->at++ - first);
        return true;
    }
    quote = closing_quote(r->at, r->end);
    if (!quote)
        return ima_json_fail(r, QL_EPARSE, "string is cut short");
    if ((size_t)(quote - first) >
        r->scratch_room) { /* what is decoded is never longer than what is written */
        size_t room = (size_t)(quote - first) * 2;

        r->host->free(r->host, r->scratch);
        r->scratch_room = 0;
        r->scratch = r->host->alloc(r->host, room);
        if (!r->scratch)
            return ima_json_fail(r, QL_ENOMEM, "no memory for a string of %zu bytes", room / 2);
        r->scratch_room = room;
    }
    n = (size_t)(r->at - first);
    memcpy(r->scratch, first, n);
    while (r->at < quote)
        if (is_plain(*r->at))
            r->scratch[n++] = *r->at++;
        else if (!read_special(r, r->scratch, &n))
            return false;
    if (r->at != quote)
        return ima_json_fail(r, QL_EPARSE, "string is malformed");
    r->at++;
    *s = r->scratch;
    *len = n;
    return true;
}

bool ima_json_key(struct ima_json *r, const uint8_t **s, size_t *len)
{
    if (!ima_json_string(r, s, len))
        return false;
    if (ima_json_peek(r) != ':')
        return ima_json_fail(r, QL_EPARSE, "':' expected");
    r->at++;
    return true;
}

static void digits(struct ima_json *r)
{
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
}

/* Digits, at least one. */
static bool some_digits(struct ima_json *r)
{
    const uint8_t *first = r->at;

    digits(r);
    return r->at > first || ima_json_fail(r, QL_EPARSE, "malformed number");
}

bool ima_json_number(struct ima_json *r, double *ret, bool *is_integer)
{
    char text[NUMBER_MAX + 1];
    const uint8_t *first;
    size_t len;

    if (ima_json_peek(r) != '0')
        return ima_json_fail(r, QL_EPARSE, "a number expected");
    first = r->at;
    if (*r->at == '-')
        r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (!some_digits(r))
        return false;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!some_digits(r))
            return false;
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!some_digits(r))
            return false;
    }
    len = (size_t)(r->at - first);
    if (len > NUMBER_MAX)
        return ima_json_fail(r, QL_ELIMIT, "number of %zu characters, at most %d", len, NUMBER_MAX);
    memcpy(text, first, len);
    text[len] = 0;
    *ret = strtod(text, NULL);
    *is_integer = isfinite(*ret) && *ret == floor(*ret);
    return true;
}

static bool skip_word(struct ima_json *r)
{
    static const char *const words[] = {"true", "false", "null"};

    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(r->end - r->at) >= n && memcmp(r->at, words[i], n) == 0) {
            r->at += n;
            return true;
        }
    }
    return ima_json_fail(r, QL_EPARSE, r->at == r->end ? "text is cut short" : "a value expected");
}

static bool skip_scalar(struct ima_json *r, char c)
{
    const uint8_t *s;
    size_t len;
    double v;
    bool is_integer;

    if (c == '"')
        return ima_json_string(r, &s, &len);
    return c == '0' ? ima_json_number(r, &v, &is_integer) : skip_word(r);
}

bool ima_json_skip(struct ima_json *r, const uint8_t **ret, size_t *len)
{
    uint64_t is_object = 0; /* one bit a level: no recursion */
    unsigned base = r->depth;
    const uint8_t *first, *s;
    size_t n;

    (void)ima_json_peek(r); /* blanks before the value are not part of it */
    first = r->at;
    do {
        char c = ima_json_peek(r);

        if (c == '{' || c == '[') {
            if (!ima_json_enter(r, c))
                return false;
            is_object = is_object << 1 | (c == '{');
        } else if (!skip_scalar(r, c)) {
            return false;
        }
        while (r->depth > base && !ima_json_more(r, is_object & 1 ? '}' : ']')) {
            if (r->failed)
                return false;
            is_object >>= 1;
        }
        if (r->depth > base && is_object & 1 && !ima_json_key(r, &s, &n))
            return false;
    } while (r->depth > base);
    if (ret)
        *ret = first;
    if (len)
        *len = (size_t)(r->at - first);
    return !r->failed;
}

bool ima_json_end(struct ima_json *r)
{
    if (r->failed)
        return false;
    skip_blanks(r);
    return r->at == r->end || ima_json_fail(r, QL_EPARSE, "more text behind the end");
}
