/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex.h"

#include <pcre2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPEAT_MAX = 65535, /* of PCRE2 */
    OUT_PER_BYTE = 8    /* the longest that one byte becomes: \x{0a} and its like */
};

struct mb_regex {
    const struct ql_host *host;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

/** One translation. */
struct translation {
    const struct ql_host *host;
    const char *in;
    size_t len, at;
    char *out;
    size_t out_len;
    unsigned depth;
    bool repeatable; /* what stands before can be repeated */
    bool ignore_case, dot_all;
    struct ql_err *err;
};

static int refuse(const struct translation *t, size_t at, const char *why)
{
    return t->host->fail(t->err, QL_EPARSE, "regular expression, position %zu: %s", at, why);
}

static void put(struct translation *t, const char *text)
{
    const size_t len = strlen(text);

    memcpy(t->out + t->out_len, text, len);
    t->out_len += len;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void put_literal(struct translation *t, unsigned char c)
{
    char text[12];

    if (is_letter((char)c) || is_digit((char)c) || c >= 0x80)
        (void)snprintf(text, sizeof text, "%c", c);
    else
        (void)snprintf(text, sizeof text, "\\x{%02x}", c);
    put(t, text);
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/**
 * An escape, `at` behind the backslash.
 * @param[out] ret_byte  the character that it stands for, below 0x100; -1: a class, which was put
 */
static int escape(struct translation *t, bool in_class, int *ret_byte)
{
    static const char from[] = "ntrvfa", to[] = "\n\t\r\v\f\a";
    const size_t start = t->at - 1;
    const char *found;
    char c, text[3] = "\\?";

    if (t->at == t->len)
        return refuse(t, start, "nothing after the backslash");
    c = t->in[t->at++];
    *ret_byte = -1;
    if (strchr("dwsDWS", c) && c != '\0') {
        text[1] = c;
        put(t, text);
        return QL_OK;
    }
    found = c != '\0' ? strchr(from, c) : NULL;
    if (found) {
        *ret_byte = (unsigned char)to[found - from];
        return QL_OK;
    }
    if (c == 'x') {
        const int high = t->len - t->at >= 2 ? hex_value(t->in[t->at]) : -1;
        const int low = high >= 0 ? hex_value(t->in[t->at + 1]) : -1;

        if (low < 0)
            return refuse(t, start, "\\x wants two hex digits");
        t->at += 2;
        *ret_byte = high * 16 + low;
        return QL_OK;
    }
    if (is_digit(c))
        return refuse(t, start, "references to groups and octal numbers are not offered");
    if (is_letter(c))
        return refuse(t, start,
                      in_class ? "this escape is not offered in a class" : "this escape is not offered");
    *ret_byte = (unsigned char)c;
    return QL_OK;
}

static void put_byte_escaped(struct translation *t, int byte)
{
    char text[12];

    (void)snprintf(text, sizeof text, "\\x{%02x}", (unsigned)byte);
    put(t, text);
}

/** One member of a class. @param[out] ret code point, -1: a shorthand such as \d, which was put already */
static int class_member(struct translation *t, long *ret)
{
    const unsigned char c = (unsigned char)t->in[t->at];
    const unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    long code = more == 3 ? c & 7 : more == 2 ? c & 15 : more == 1 ? c & 31 : c;
    int byte = -1, r;

    t->at++;
    if (c == '\\') {
        r = escape(t, true, &byte);
        *ret = byte;
        return r;
    }
    for (unsigned i = 0; i < more; i++) {
        if (t->at == t->len || ((unsigned char)t->in[t->at] & 0xc0) != 0x80)
            return refuse(t, t->at, "not UTF-8");
        code = code << 6 | ((unsigned char)t->in[t->at++] & 0x3f);
    }
    *ret = code;
    return QL_OK;
}

static void put_code(struct translation *t, long code)
{
    char text[24];

    (void)snprintf(text, sizeof text, "\\x{%lx}", (unsigned long)code);
    put(t, text);
}

/** `at` behind the opening bracket. */
static int class(struct translation *t)
{
    const size_t start = t->at - 1;
    bool first = true;

    put(t, "[");
    if (t->at < t->len && t->in[t->at] == '^') {
        put(t, "^");
        t->at++;
    }
    for (;; first = false) {
        const size_t member = t->at;
        long low, high;
        int r;

        if (t->at == t->len)
            return refuse(t, start, "the class has no end");
        if (t->in[t->at] == ']' && !first)
            break;
        r = class_member(t, &low);
        if (r < 0)
            return r;
        if (t->len - t->at < 2 || t->in[t->at] != '-' || t->in[t->at + 1] == ']') {
            if (low >= 0)
                put_code(t, low);
            continue;
        }
        t->at++;
        r = class_member(t, &high);
        if (r < 0)
            return r;
        if (low < 0 || high < 0 || high < low)
            return refuse(t, member, "bad range in a class");
        put_code(t, low);
        put(t, "-");
        put_code(t, high);
    }
    t->at++;
    put(t, "]");
    t->repeatable = true;
    return QL_OK;
}

/** `(?` at the very beginning. @return 0: no flags there */
static int leading_flags(struct translation *t)
{
    size_t at = 2;

    if (t->len < 4 || memcmp(t->in, "(?", 2) != 0)
        return QL_OK;
    while (at < t->len && (t->in[at] == 'i' || t->in[at] == 's'))
        at++;
    if (at == 2 || at == t->len || t->in[at] != ')')
        return QL_OK;
    for (size_t i = 2; i < at; i++) {
        t->ignore_case = t->ignore_case || t->in[i] == 'i';
        t->dot_all = t->dot_all || t->in[i] == 's';
    }
    t->at = at + 1;
    return QL_OK;
}

static int open_group(struct translation *t)
{
    const size_t start = t->at - 1;

    if (t->len - t->at >= 2 && memcmp(t->in + t->at, "?:", 2) == 0)
        t->at += 2;
    else if (t->at < t->len && t->in[t->at] == '?')
        return refuse(t, start, "of the groups with ? only (?: ) is offered, and (?i) (?s) at the beginning");
    if (++t->depth > MB_REGEX_DEPTH)
        return t->host->fail(t->err, QL_ELIMIT, "regular expression: groups nested deeper than %d",
                             MB_REGEX_DEPTH);
    put(t, "(?:");
    t->repeatable = false;
    return QL_OK;
}

static bool read_number(struct translation *t, size_t *at, unsigned *ret)
{
    bool any = false;

    for (*ret = 0; *at < t->len && is_digit(t->in[*at]); (*at)++) {
        *ret = *ret > REPEAT_MAX ? *ret : *ret * 10 + (unsigned)(t->in[*at] - '0');
        any = true;
    }
    return any;
}

/** `at` on a brace: a repetition, or the character. @return 1 for a repetition, put without its end */
static int braces(struct translation *t)
{
    size_t at = t->at + 1;
    unsigned low, high = 0;
    bool has_low, has_high = true, is_range = false;
    char text[32];

    has_low = read_number(t, &at, &low);
    if (at < t->len && t->in[at] == ',') {
        is_range = true;
        at++;
        has_high = read_number(t, &at, &high);
    } else if (!has_low) {
        return 0;
    }
    if (at == t->len || t->in[at] != '}')
        return 0;
    if (low > REPEAT_MAX || high > REPEAT_MAX || (is_range && has_high && high < low))
        return refuse(t, t->at, "bad number of repetitions");
    if (!t->repeatable)
        return refuse(t, t->at, "nothing to repeat");
    if (!is_range)
        (void)snprintf(text, sizeof text, "{%u}", low);
    else if (has_high)
        (void)snprintf(text, sizeof text, "{%u,%u}", low, high);
    else
        (void)snprintf(text, sizeof text, "{%u,}", low);
    put(t, text);
    t->at = at + 1;
    return 1;
}

/** `at` on one of * + ? {. */
static int repetition(struct translation *t)
{
    const char c = t->in[t->at], one[2] = {c, '\0'};

    if (c == '{') {
        const int r = braces(t);

        if (r < 0)
            return r;
        if (r == 0) {
            put_literal(t, '{');
            t->at++;
            t->repeatable = true;
            return QL_OK;
        }
    } else {
        if (!t->repeatable)
            return refuse(t, t->at, "nothing to repeat");
        put(t, one);
        t->at++;
    }
    t->repeatable = false;
    if (t->at < t->len && t->in[t->at] == '?') {
        put(t, "?");
        t->at++;
    } else if (t->at < t->len && t->in[t->at] == '+') {
        return refuse(t, t->at, "possessive repetition is not offered");
    }
    return QL_OK;
}

static int outside_escape(struct translation *t)
{
    int byte = -1, r;

    if (t->at < t->len && (t->in[t->at] == 'A' || t->in[t->at] == 'Z')) {
        put(t, t->in[t->at] == 'A' ? "\\A" : "\\z");
        t->at++;
        t->repeatable = false;
        return QL_OK;
    }
    r = escape(t, false, &byte);
    if (r == QL_OK && byte >= 0x80 && t->in[t->at - 1] == (char)byte)
        put_literal(t, (unsigned char)byte); /* a backslash before a character of several bytes */
    else if (r == QL_OK && byte >= 0)
        put_byte_escaped(t, byte);
    t->repeatable = true;
    return r;
}

static int step(struct translation *t)
{
    const char c = t->in[t->at];

    switch (c) {
    case '\\':
        t->at++;
        return outside_escape(t);
    case '[':
        t->at++;
        return class(t);
    case '(':
        t->at++;
        return open_group(t);
    case ')':
        if (t->depth == 0)
            return refuse(t, t->at, "a group ends that did not begin");
        t->depth--;
        put(t, ")");
        t->repeatable = true;
        break;
    case '|':
    case '^':
    case '$':
        put(t, c == '|' ? "|" : c == '^' ? "^" : "$");
        t->repeatable = false;
        break;
    case '.':
        put(t, ".");
        t->repeatable = true;
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        return repetition(t);
    default:
        put_literal(t, (unsigned char)c);
        /* A repetition goes with the whole character, its last byte. */
        t->repeatable = true;
        break;
    }
    t->at++;
    return QL_OK;
}

static int compile(struct mb_regex *re, const struct translation *t)
{
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_UCHAR text[128] = {0};
    int code = 0;
    size_t at = 0;

    if (!context)
        return t->host->fail(t->err, QL_ENOMEM, "out of memory");
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* the value is one of those it takes */
    if (t->ignore_case)
        options |= PCRE2_CASELESS;
    if (t->dot_all)
        options |= PCRE2_DOTALL;
    re->code = pcre2_compile((PCRE2_SPTR)t->out, t->out_len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!re->code) {
        (void)pcre2_get_error_message(code, text, sizeof text); /* an unknown code leaves it empty */
        return t->host->fail(t->err, QL_EPARSE, "regular expression: %s", (const char *)text);
    }
    re->match = pcre2_match_data_create(1, NULL);
    re->limits = pcre2_match_context_create(NULL);
    if (!re->match || !re->limits)
        return t->host->fail(t->err, QL_ENOMEM, "out of memory");
    (void)pcre2_set_match_limit(re->limits, MB_REGEX_STEPS);
    (void)pcre2_set_depth_limit(re->limits, MB_REGEX_STEPS);
    (void)pcre2_set_heap_limit(re->limits, MB_REGEX_HEAP_KIB);
    return QL_OK;
}

int mb_regex_new(const struct ql_host *host, const char *pattern, size_t len, const char *flags,
                 struct mb_regex **ret, struct ql_err *err)
{
    struct translation t = {.host = host, .in = pattern, .len = len, .err = err};
    struct mb_regex *re;
    int r;

    if (len > MB_REGEX_MAX)
        return host->fail(err, QL_ELIMIT, "regular expression of %zu bytes, at most %d", len, MB_REGEX_MAX);
    for (const char *f = flags; *f; f++) {
        if (*f != 'i' && *f != 's')
            return host->fail(err, QL_EPARSE, "regular expression: flags are i and s, found %c", *f);
        t.ignore_case = t.ignore_case || *f == 'i';
        t.dot_all = t.dot_all || *f == 's';
    }
    re = host->alloc(host, sizeof *re);
    t.out = host->alloc(host, len * OUT_PER_BYTE + 64);
    if (!re || !t.out) {
        host->free(host, re);
        host->free(host, t.out);
        return host->fail(err, QL_ENOMEM, "out of memory");
    }
    *re = (struct mb_regex){.host = host};
    r = leading_flags(&t);
    while (r == QL_OK && t.at < len)
        r = step(&t);
    if (r == QL_OK && t.depth > 0)
        r = refuse(&t, len, "a group has no end");
    if (r == QL_OK)
        r = compile(re, &t);
    host->free(host, t.out);
    if (r < 0) {
        mb_regex_free(re);
        return r;
    }
    *ret = re;
    return QL_OK;
}

void mb_regex_free(struct mb_regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_match_data_free(re->match);
    pcre2_match_context_free(re->limits);
    re->host->free(re->host, re);
}

int mb_regex_full(const struct mb_regex *re, const char *text, size_t len)
{
    const int r = pcre2_match(re->code, (PCRE2_SPTR)text, len, 0, 0, re->match, re->limits);

    if (r >= 0)
        return 1;
    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    return r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21 ? QL_EPARSE : QL_ELIMIT;
}
