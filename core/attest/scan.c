/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "scan.h"

/** A key of an object that is still open, for the duplicate check. */
struct key {
    uint32_t hash;
    struct ql_text text;
};

struct level {
    bool is_object;
    size_t first_key; /* index into keys */
};

struct scanner {
    const char *text;
    size_t len, at;
    struct level levels[QL_SCAN_DEPTH];
    unsigned depth;
    struct key *keys;
    size_t key_count, key_room;
    bool bytes; /* lone \udcXX are taken */
    ql_scan_fn fn;
    void *arg;
    struct ql_err *err;
};

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/*
 * Some byte of the eight is a quote, a backslash, a control character or not ASCII. May also say so of a
 * plain group.
 */
static bool needs_care(const char *at)
{
    uint64_t x, quote, slash;

    memcpy(&x, at, sizeof x);
    quote = x ^ (ONES * '"');
    slash = x ^ (ONES * '\\');
    return ((x | (x - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & HIGHS) != 0;
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

/* Four hex digits; negative: none. */
static int32_t hex4(const char *at)
{
    int32_t v = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);

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
    c = hex4(at + 2);
    if (c >= 0xDC80 && c <= 0xDCFF) {
        out[0] = (char)(c & 0xFF); /* a byte that is no text */
        *out_len = 1;
        return 6;
    }
    if (c >= 0xD800 && c <= 0xDBFF) {
        *out_len = utf8_put((uint32_t)(0x10000 + ((c - 0xD800) << 10) + (hex4(at + 8) - 0xDC00)), out);
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

static uint32_t text_hash(const struct ql_text *t)
{
    struct text_reader r = text_reader_of(t);
    uint32_t h = 2166136261u;
    int c;

    while ((c = text_next(&r)) >= 0)
        h = (h ^ (uint32_t)c) * 16777619u;
    return h;
}

static bool text_equal(const struct ql_text *a, const struct ql_text *b)
{
    struct text_reader ra = text_reader_of(a), rb = text_reader_of(b);
    int ca, cb;

    do {
        ca = text_next(&ra);
        cb = text_next(&rb);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}

static int wrong(struct scanner *s, const char *what)
{
    return ql_fail(s->err, QL_EPARSE, "JSON: %s at byte %zu", what, s->at);
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->len && (s->text[s->at] == ' ' || s->text[s->at] == '\t' || s->text[s->at] == '\n' ||
                              s->text[s->at] == '\r'))
        s->at++;
}

/* A character beyond ASCII. @return its length, 0: not well-formed UTF-8 */
static size_t utf8_len(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t len = p[0] >= 0xC2 && p[0] <= 0xDF   ? 2
                 : (p[0] & 0xF0) == 0xE0        ? 3
                 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4
                                                : 0;

    if (len == 0 || left < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0; /* longer than needed, a surrogate, or beyond U+10FFFF */
    return len;
}

/* Escape at s->at. @return its length, 0: refused */
static size_t escape_len(const struct scanner *s)
{
    const char *at = s->text + s->at;
    size_t left = s->len - s->at;
    int32_t c;

    if (left < 2)
        return 0;
    if (at[1] != 'u')
        return at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) ? 2 : 0;
    if (left < 6 || (c = hex4(at + 2)) <= 0)
        return 0; /* \u0000 too: no text of ours holds NUL */
    if (c >= 0xDC80 && c <= 0xDCFF && s->bytes)
        return 6;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return 0;
    if (c < 0xD800 || c > 0xDBFF)
        return 6;
    if (left < 12 || at[6] != '\\' || at[7] != 'u' || (c = hex4(at + 8)) < 0xDC00 || c > 0xDFFF)
        return 0;
    return 12;
}

/* An escape of six characters that stands for a byte. */
static bool is_foreign(const char *at)
{
    const int32_t c = hex4(at + 2);

    return c >= 0xDC80 && c <= 0xDCFF;
}

/* String at s->at, which stands on the quote. */
static int scan_string(struct scanner *s, struct ql_text *ret)
{
    size_t from = s->at + 1;
    bool escaped = false, foreign = false;

    s->at = from;
    for (;;) {
        size_t step = 1;
        unsigned char c;

        while (s->len - s->at >= 8 && !needs_care(s->text + s->at))
            s->at += 8;
        if (s->at == s->len)
            return wrong(s, "string without end");
        c = (unsigned char)s->text[s->at];
        if (c == '"')
            break;
        if (c < 0x20)
            return wrong(s, "control character in a string");
        if (c == '\\') {
            step = escape_len(s);
            if (step == 0)
                return wrong(s, "escape that is not allowed");
            escaped = true;
            foreign = foreign || (step == 6 && is_foreign(s->text + s->at));
        } else if (c >= 0x80) {
            step = utf8_len(s->text + s->at, s->len - s->at);
            if (step == 0)
                return wrong(s, "bad UTF-8");
        }
        s->at += step;
    }
    *ret = (struct ql_text){
        .raw = s->text + from, .raw_len = s->at - from, .escaped = escaped, .foreign = foreign};
    s->at++;
    return QL_OK;
}

static bool is_digit(const struct scanner *s)
{
    return s->at < s->len && s->text[s->at] >= '0' && s->text[s->at] <= '9';
}

static size_t skip_digits(struct scanner *s)
{
    size_t from = s->at;

    while (is_digit(s))
        s->at++;
    return s->at - from;
}

static int scan_number(struct scanner *s, struct ql_scan_event *e)
{
    char digits[QL_SCAN_NUMBER_MAX + 1];
    size_t from = s->at;
    bool real = false;

    if (s->text[s->at] == '-')
        s->at++;
    if (s->at < s->len && s->text[s->at] == '0')
        s->at++;
    else if (skip_digits(s) == 0)
        return wrong(s, "number without digits");
    if (is_digit(s))
        return wrong(s, "number with leading zero");
    if (s->at < s->len && s->text[s->at] == '.') {
        s->at++;
        real = true;
        if (skip_digits(s) == 0)
            return wrong(s, "number without digits");
    }
    if (s->at < s->len && (s->text[s->at] == 'e' || s->text[s->at] == 'E')) {
        s->at++;
        real = true;
        if (s->at < s->len && (s->text[s->at] == '+' || s->text[s->at] == '-'))
            s->at++;
        if (skip_digits(s) == 0)
            return wrong(s, "number without digits");
    }
    if (s->at - from > QL_SCAN_NUMBER_MAX)
        return ql_fail(s->err, QL_ELIMIT, "JSON: number of %zu characters, at most %d", s->at - from,
                       QL_SCAN_NUMBER_MAX);
    memcpy(digits, s->text + from, s->at - from);
    digits[s->at - from] = '\0';
    errno = 0;
    if (real) {
        e->kind = QL_SCAN_REAL;
        e->real = strtod(digits, NULL);
        if (isinf(e->real))
            return wrong(s, "real number too large");
    } else {
        e->kind = QL_SCAN_INTEGER;
        e->integer = strtoll(digits, NULL, 10); /* the form has been checked, the range comes in errno */
        if (errno == ERANGE)
            return wrong(s, "integer of more than 64 bits");
    }
    return QL_OK;
}

static int scan_word(struct scanner *s, struct ql_scan_event *e)
{
    static const struct {
        const char *word;
        enum ql_scan_kind kind;
    } words[] = {{"true", QL_SCAN_TRUE}, {"false", QL_SCAN_FALSE}, {"null", QL_SCAN_NULL}};

    for (size_t i = 0; i < QL_ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i].word);

        if (s->len - s->at < len || memcmp(s->text + s->at, words[i].word, len) != 0)
            continue;
        s->at += len;
        if (s->at < s->len && ((s->text[s->at] | 0x20) >= 'a' && (s->text[s->at] | 0x20) <= 'z'))
            break;
        e->kind = words[i].kind;
        return QL_OK;
    }
    return wrong(s, "unexpected character");
}

static int emit(struct scanner *s, struct ql_scan_event *e, size_t from)
{
    e->depth = s->depth;
    e->at = from;
    e->end = s->at;
    return s->fn(s->arg, e, s->err);
}

static int open_container(struct scanner *s, bool is_object)
{
    struct ql_scan_event e = {.kind = is_object ? QL_SCAN_OBJECT : QL_SCAN_ARRAY};

    if (s->depth == QL_SCAN_DEPTH)
        return ql_fail(s->err, QL_ELIMIT, "JSON: nested more than %d deep at byte %zu", QL_SCAN_DEPTH, s->at);
    s->levels[s->depth++] = (struct level){.is_object = is_object, .first_key = s->key_count};
    s->at++;
    return emit(s, &e, s->at - 1);
}

static int close_container(struct scanner *s)
{
    const struct level *l = &s->levels[s->depth - 1];
    struct ql_scan_event e = {.kind = l->is_object ? QL_SCAN_OBJECT_END : QL_SCAN_ARRAY_END};
    int r;

    s->at++;
    r = emit(s, &e, s->at - 1);
    s->key_count = l->first_key;
    s->depth--;
    return r;
}

static int remember_key(struct scanner *s, const struct ql_text *text)
{
    struct key k = {.hash = text_hash(text), .text = *text};

    for (size_t i = s->levels[s->depth - 1].first_key; i < s->key_count; i++)
        if (s->keys[i].hash == k.hash && text_equal(&s->keys[i].text, text))
            return wrong(s, "key that the object has already");
    if (s->key_count == s->key_room) {
        size_t room = s->key_room ? s->key_room * 4 : 64;
        struct key *grown;

        if (s->key_count >= QL_SCAN_KEYS_MAX)
            return ql_fail(s->err, QL_ELIMIT, "JSON: more than %d keys in open objects", QL_SCAN_KEYS_MAX);
        grown = realloc(s->keys, room * sizeof *grown);
        if (!grown)
            return ql_fail_nomem(s->err);
        s->keys = grown;
        s->key_room = room;
    }
    s->keys[s->key_count++] = k;
    return QL_OK;
}

static int scan_key(struct scanner *s)
{
    struct ql_scan_event e = {.kind = QL_SCAN_KEY};
    size_t from = s->at;
    int r;

    if (s->at == s->len || s->text[s->at] != '"')
        return wrong(s, "no key");
    r = scan_string(s, &e.text);
    if (r == QL_OK)
        r = remember_key(s, &e.text);
    if (r == QL_OK)
        r = emit(s, &e, from);
    if (r != QL_OK)
        return r;
    skip_blanks(s);
    if (s->at == s->len || s->text[s->at] != ':')
        return wrong(s, "no colon behind a key");
    s->at++;
    skip_blanks(s);
    return QL_OK;
}

/* A value. Containers are only opened: what stands in them is walked by the loop of walk(). */
static int scan_value(struct scanner *s)
{
    struct ql_scan_event e = {.kind = QL_SCAN_STRING};
    size_t from = s->at;
    char c;
    int r;

    if (s->at == s->len)
        return wrong(s, "document ends early");
    c = s->text[s->at];
    if (c == '{' || c == '[')
        return open_container(s, c == '{');
    if (c == '"')
        r = scan_string(s, &e.text);
    else if (c == '-' || (c >= '0' && c <= '9'))
        r = scan_number(s, &e);
    else
        r = scan_word(s, &e);
    return r == QL_OK ? emit(s, &e, from) : r;
}

/* Behind a value or an opening bracket, until the outermost container is closed. */
static int walk(struct scanner *s)
{
    bool first = true; /* nothing stands in the container yet */
    int r = QL_OK;

    while (r == QL_OK && s->depth > 0) {
        bool is_object = s->levels[s->depth - 1].is_object;
        unsigned depth = s->depth;

        skip_blanks(s);
        if (s->at == s->len)
            return wrong(s, "document ends early");
        if (s->text[s->at] == (is_object ? '}' : ']')) {
            r = close_container(s);
            first = false;
            continue;
        }
        if (!first) {
            if (s->text[s->at] != ',')
                return wrong(s, "no comma between values");
            s->at++;
            skip_blanks(s);
        }
        r = is_object ? scan_key(s) : QL_OK;
        if (r == QL_OK)
            r = scan_value(s);
        first = s->depth > depth;
    }
    return r;
}

static int scan(const char *text, size_t len, bool bytes, ql_scan_fn fn, void *arg, struct ql_err *err)
{
    struct scanner s = {.text = text, .len = len, .bytes = bytes, .fn = fn, .arg = arg, .err = err};
    int r;

    skip_blanks(&s);
    if (s.at == len || (text[s.at] != '{' && text[s.at] != '['))
        return wrong(&s, "neither object nor array");
    r = scan_value(&s);
    if (r == QL_OK)
        r = walk(&s);
    free(s.keys);
    if (r != QL_OK)
        return r;
    skip_blanks(&s);
    return s.at == len ? QL_OK : wrong(&s, "something behind the document");
}

int ql_scan(const char *text, size_t len, ql_scan_fn fn, void *arg, struct ql_err *err)
{
    return scan(text, len, false, fn, arg, err);
}

int ql_scan_bytes(const char *text, size_t len, ql_scan_fn fn, void *arg, struct ql_err *err)
{
    return scan(text, len, true, fn, arg, err);
}
