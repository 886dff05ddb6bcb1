/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "config_file.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "secret.h"

enum {
    DIGITS_MAX = 9, /**< of a decimal that always fits into 32 bits; with the 0x 10 for hex */
    DEPTH_MAX = 32, /**< nesting; the grammar needs 4 */
    SHOWN_MAX = 40  /**< characters of a refused number that the message repeats */
};

/** Where a scan over the text is. */
struct scan {
    const char *path, *text;
    size_t len, at;
    unsigned line, depth;
};

static char peek(const struct scan *s, size_t ahead)
{
    return ahead < s->len - s->at ? s->text[s->at + ahead] : '\0';
}

static void step(struct scan *s)
{
    if (s->text[s->at] == '\n')
        s->line++;
    s->at++;
}

static void skip_line(struct scan *s)
{
    while (s->at < s->len && s->text[s->at] != '\n')
        s->at++;
}

static void skip_block(struct scan *s)
{
    s->at += 2;
    while (s->at < s->len && !(peek(s, 0) == '*' && peek(s, 1) == '/'))
        step(s);
    s->at = s->len - s->at >= 2 ? s->at + 2 : s->len;
}

/* \x00 is refused: libconfig drops it without a word. */
static int skip_string(struct scan *s, struct ql_err *err)
{
    step(s);
    while (s->at < s->len && peek(s, 0) != '"') {
        if (peek(s, 0) == '\\' && s->len - s->at >= 2) {
            if ((peek(s, 1) | 32) == 'x' && peek(s, 2) == '0' && peek(s, 3) == '0')
                return ql_fail(err, QL_EPARSE, "%s:%u: NUL character in a text", s->path, s->line);
            step(s);
        }
        step(s);
    }
    if (s->at < s->len)
        s->at++;
    return QL_OK;
}

/* Names may hold digits, '-' and '*': what begins with a letter is no number. */
static void skip_name(struct scan *s)
{
    while (s->at < s->len &&
           (isalnum((unsigned char)peek(s, 0)) || (peek(s, 0) != '\0' && strchr("_*-", peek(s, 0)))))
        s->at++;
}

static size_t span(const char *text, size_t len, int (*is)(int))
{
    size_t n = 0;

    while (n < len && is((unsigned char)text[n]))
        n++;
    return n;
}

/*
 * Integers that libconfig's releases read in different ways: 1.5 wraps what does not fit into 32 bits, later ones widen
 * it; a leading zero means octal to some.
 */
static int check_number(struct scan *s, struct ql_err *err)
{
    const char *start = s->text + s->at, *why = NULL;
    size_t left = s->len - s->at;
    bool hex = left > 2 && start[0] == '0' && (start[1] | 32) == 'x';
    size_t len = hex ? 2 + span(start + 2, left - 2, isxdigit) : span(start, left, isdigit);

    s->at += len;
    if (!hex && (peek(s, 0) == '.' || (peek(s, 0) | 32) == 'e')) {
        while (isalnum((unsigned char)peek(s, 0)) || peek(s, 0) == '.')
            s->at++;
        return QL_OK;
    }
    if (len > DIGITS_MAX + (hex ? 1 : 0))
        why = "has ten or more digits";
    else if (hex &&
             strtoul(start, NULL, 16) > INT32_MAX) /* ends at the first other character; the text has a NUL */
        why = "has more than 31 bits";
    else if (!hex && len > 1 && *start == '0')
        why = "begins with a zero";
    return why ? ql_fail(err, QL_ERANGE, "%s:%u: integer %.*s %s: write it as text, in quotes", s->path,
                         s->line, (int)(len < SHOWN_MAX ? len : SHOWN_MAX), start, why)
               : QL_OK;
}

static int check_char(struct scan *s, struct ql_err *err)
{
    char c = peek(s, 0);

    if (c == '@')
        return ql_fail(err, QL_EPARSE, "%s:%u: includes are not taken; use the conf.d folder", s->path,
                       s->line);
    if ((c == '{' || c == '(' || c == '[') && ++s->depth > DEPTH_MAX)
        return ql_fail(err, QL_ELIMIT, "%s:%u: nested deeper than %d", s->path, s->line, DEPTH_MAX);
    if ((c == '}' || c == ')' || c == ']') && s->depth > 0)
        s->depth--;
    step(s);
    return QL_OK;
}

static int check_text(const char *path, const char *text, size_t len, struct ql_err *err)
{
    struct scan s = {.path = path, .text = text, .len = len, .line = 1};

    while (s.at < len) {
        char c = peek(&s, 0);
        int r = QL_OK;

        if (c == '#' || (c == '/' && peek(&s, 1) == '/'))
            skip_line(&s);
        else if (c == '/' && peek(&s, 1) == '*')
            skip_block(&s);
        else if (c == '"')
            r = skip_string(&s, err);
        else if (isdigit((unsigned char)c))
            r = check_number(&s, err);
        else if (isalpha((unsigned char)c) || c == '*')
            skip_name(&s);
        else
            r = check_char(&s, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

/* Settings may be secrets: copies of the file are wiped. */
static void wipe_freep(char **text)
{
    if (*text)
        ql_wipe(*text, strlen(*text));
    free(*text);
}

int ql_config_file_parse(const char *path, const char *text, size_t len, struct ql_config_file *ret,
                         struct ql_err *err)
{
    ql_auto(wipe_freep) char *copy = NULL;
    struct ql_config_file f = {0};
    int r;

    if (len > QL_CONFIG_FILE_MAX)
        return ql_fail(err, QL_ELIMIT, "%s is larger than %d bytes", path, QL_CONFIG_FILE_MAX);
    if (!ql_utf8_ok(text, len))
        return ql_fail(err, QL_EPARSE, "%s: holds a NUL byte or is not UTF-8", path);
    copy = strndup(text, len);
    f.path = strdup(path);
    if (!copy || !f.path) {
        free(f.path);
        return ql_fail_nomem(err);
    }
    r = check_text(path, copy, len, err);
    if (r < 0) {
        free(f.path);
        return r;
    }
    config_init(&f.config);
    if (config_read_string(&f.config, copy) != CONFIG_TRUE) {
        r = ql_fail(err, QL_EPARSE, "%s:%d: %s", path, config_error_line(&f.config),
                    config_error_text(&f.config));
        ql_config_file_done(&f);
        return r;
    }
    *ret = f;
    return QL_OK;
}

int ql_config_file_read(const char *path, struct ql_config_file *ret, struct ql_err *err)
{
    uint8_t *text = NULL;
    size_t len;
    int r = ql_file_read(path, QL_CONFIG_FILE_MAX, &text, &len, err);

    if (r < 0)
        return r;
    r = ql_config_file_parse(path, (const char *)text, len, ret, err);
    ql_wipe(text, len);
    free(text);
    return r;
}

void ql_config_file_done(struct ql_config_file *f)
{
    free(f->path);
    config_destroy(&f->config);
    memset(f, 0, sizeof *f);
}
