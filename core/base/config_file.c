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

enum {
    DIGITS_MAX = 9,
    DEPTH_MAX = 32
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

static void skip_string(struct scan *s)
{
    step(s);
    while (s->at < s->len && peek(s, 0) != '"') {
        if (peek(s, 0) == '\\' && s->len - s->at >= 2)
            step(s);
        step(s);
    }
    if (s->at < s->len)
        s->at++;
}

/* A word: name or number. Numbers are what begins with a digit. */
static int check_word(struct scan *s, struct ql_err *err)
{
    const char *start = s->text + s->at;
    size_t len = 0, digits = 0;
    bool number = isdigit((unsigned char)*start), hex = number && start[0] == '0' && (peek(s, 1) | 32) == 'x';

    while (s->at < s->len && (isalnum((unsigned char)peek(s, 0)) || peek(s, 0) == '_' || peek(s, 0) == '.')) {
        if (isxdigit((unsigned char)peek(s, 0)))
            digits++;
        len++;
        s->at++;
    }
    if (number && !memchr(start, '.', len) && digits > (hex ? (size_t)8 : (size_t)DIGITS_MAX))
        return ql_fail(err, QL_ERANGE,
                       "%s:%u: integer %.*s has ten or more digits: write it as text, in quotes", s->path,
                       s->line, len > 40 ? 40 : (int)len, start);
    return QL_OK;
}

static int check_char(struct scan *s, struct ql_err *err)
{
    char c = peek(s, 0);

    if (c == '@')
        return ql_fail(err, QL_EPARSE, "%s:%u: includes are not taken; use the conf.d folder", s->path,
                       s->line);
    if (c == '\0')
        return ql_fail(err, QL_EPARSE, "%s:%u: NUL byte", s->path, s->line);
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
            skip_string(&s);
        else if (isalnum((unsigned char)c))
            r = check_word(&s, err);
        else
            r = check_char(&s, err);
        if (r < 0)
            return r;
    }
    return memchr(text, '\0', len) ? ql_fail(err, QL_EPARSE, "%s: NUL byte", path) : QL_OK;
}

int ql_config_file_parse(const char *path, const char *text, size_t len, struct ql_config_file *ret,
                         struct ql_err *err)
{
    ql_auto_free char *copy = NULL;
    struct ql_config_file f = {0};
    int r;

    if (len > QL_CONFIG_FILE_MAX)
        return ql_fail(err, QL_ELIMIT, "%s is larger than %d bytes", path, QL_CONFIG_FILE_MAX);
    r = check_text(path, text, len, err);
    if (r < 0)
        return r;
    copy = strndup(text, len);
    f.path = strdup(path);
    if (!copy || !f.path) {
        free(f.path);
        return ql_fail_nomem(err);
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
    ql_auto_free uint8_t *text = NULL;
    size_t len;
    int r = ql_file_read(path, QL_CONFIG_FILE_MAX, &text, &len, err);

    return r < 0 ? r : ql_config_file_parse(path, (const char *)text, len, ret, err);
}

void ql_config_file_done(struct ql_config_file *f)
{
    free(f->path);
    config_destroy(&f->config);
    memset(f, 0, sizeof *f);
}
