/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "scan.h"
#include "utf8.h"

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
    if (left < 6 || (c = ql_text_hex4(at + 2)) <= 0)
        return 0; /* \u0000 too: no text of ours holds NUL */
    if (c >= 0xDC80 && c <= 0xDCFF && s->bytes)
        return 6;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return 0;
    if (c < 0xD800 || c > 0xDBFF)
        return 6;
    if (left < 12 || at[6] != '\\' || at[7] != 'u' || (c = ql_text_hex4(at + 8)) < 0xDC00 || c > 0xDFFF)
        return 0;
    return 12;
}

/* An escape of six characters that stands for a byte. */
static bool is_foreign(const char *at)
{
    const int32_t c = ql_text_hex4(at + 2);

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
            step = ql_utf8_step(s->text + s->at, s->len - s->at);
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
    struct key k = {.hash = ql_text_hash(text), .text = *text};

    for (size_t i = s->levels[s->depth - 1].first_key; i < s->key_count; i++)
        if (s->keys[i].hash == k.hash && ql_text_equal(&s->keys[i].text, text))
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
