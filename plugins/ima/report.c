/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT "ima.more_failures"

bool ima_findings_open(const struct ima_findings *f)
{
    return f->count < f->max;
}

void ima_find(struct ima_findings *f, const char *event_id, json_t *context)
{
    if (f->count++ >= f->max) {
        f->left_out++;
        json_decref(context);
        return;
    }
    if (!context || f->report->fail(f->report, event_id, NULL, 1, context) < 0)
        f->failed = true;
    json_decref(context);
}

void ima_find_text(struct ima_findings *f, const char *event_id, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ima_find(f, event_id, len < 0 ? NULL : json_pack("{s:s}", "message", text));
}

void ima_findings_close(struct ima_findings *f)
{
    json_t *context;

    if (f->left_out == 0)
        return;
    context = json_pack("{s:s, s:I}", "message", "further failures of the measurement list are left out",
                        "count", (json_int_t)f->left_out);
    if (!context || f->report->fail(f->report, LEFT_OUT, NULL, 1, context) < 0)
        f->failed = true;
    json_decref(context);
}

/* Length of the well-formed UTF-8 sequence at the start, 0: none. */
static size_t utf8_len(struct ima_bytes b)
{
    const uint8_t *p = b.at;
    const size_t len = p[0] < 0x80   ? 1
                       : p[0] < 0xc2 ? 0
                       : p[0] < 0xe0 ? 2
                       : p[0] < 0xf0 ? 3
                       : p[0] < 0xf5 ? 4
                                     : 0;

    if (len == 0 || len > b.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

static struct ima_bytes cut(struct ima_bytes b, bool *was_cut)
{
    *was_cut = b.len > IMA_SHOWN_LINE;
    if (*was_cut)
        b.len = IMA_SHOWN_LINE;
    return b;
}

json_t *ima_json_text(const char *before, struct ima_bytes b)
{
    const size_t before_len = strlen(before);
    bool was_cut;
    struct ima_bytes rest = cut(b, &was_cut);
    char *text = malloc(before_len + 4 * rest.len + 8), *to = text;
    json_t *j;

    if (!text)
        return NULL;
    memcpy(to, before, before_len);
    to += before_len;
    while (rest.len > 0) {
        const size_t len = *rest.at == 0 ? 0 : utf8_len(rest);

        if (len > 0) {
            memcpy(to, rest.at, len);
            to += len;
        } else {
            to += snprintf(to, 5, "\\x%02x", *rest.at);
        }
        rest.at += len > 0 ? len : 1;
        rest.len -= len > 0 ? len : 1;
    }
    if (was_cut) {
        memcpy(to, "...", 3);
        to += 3;
    }
    j = json_stringn(text, (size_t)(to - text));
    free(text);
    return j;
}

json_t *ima_json_repr(struct ima_bytes b)
{
    bool was_cut;
    const struct ima_bytes shown = cut(b, &was_cut);
    const bool has_single = b.len > 0 && memchr(b.at, '\'', b.len),
               has_double = b.len > 0 && memchr(b.at, '"', b.len);
    const char quote = has_single && !has_double ? '"' : '\'';
    char *text = malloc(4 * shown.len + 8), *to = text;
    json_t *j;

    if (!text)
        return NULL;
    *to++ = 'b';
    *to++ = quote;
    for (size_t i = 0; i < shown.len; i++) {
        const uint8_t c = shown.at[i];
        const char *named = c == '\t'   ? "\\t"
                            : c == '\n' ? "\\n"
                            : c == '\r' ? "\\r"
                            : c == '\\' ? "\\\\"
                                        : NULL;

        if (c == (uint8_t)quote)
            named = quote == '\'' ? "\\'" : "\\\"";
        if (named) {
            memcpy(to, named, 2);
            to += 2;
        } else if (c >= ' ' && c <= '~') {
            *to++ = (char)c;
        } else {
            to += snprintf(to, 5, "\\x%02x", c);
        }
    }
    if (was_cut) {
        memcpy(to, "...", 3);
        to += 3;
    }
    *to++ = quote;
    j = json_stringn(text, (size_t)(to - text));
    free(text);
    return j;
}

json_t *ima_json_hex(struct ima_bytes b)
{
    static const char digits[] = "0123456789abcdef";
    bool was_cut;
    const struct ima_bytes shown = cut(b, &was_cut);
    char *text = malloc(2 * shown.len + 8);
    json_t *j;

    if (!text)
        return NULL;
    for (size_t i = 0; i < shown.len; i++) {
        text[2 * i] = digits[shown.at[i] >> 4];
        text[2 * i + 1] = digits[shown.at[i] & 15];
    }
    if (was_cut)
        memcpy(text + 2 * shown.len, "...", 3);
    j = json_stringn(text, 2 * shown.len + (was_cut ? 3 : 0));
    free(text);
    return j;
}
