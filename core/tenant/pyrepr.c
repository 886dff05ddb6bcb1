/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "buf.h"
#include "json.h"
#include "pyrepr.h"

enum {
    OUTPUT_MAX = 256 * 1024 * 1024
};

/* Single quotes, unless the text holds some and no double ones. */
static void add_text(struct ql_buf *out, const char *text, size_t len)
{
    char quote = memchr(text, '\'', len) && !memchr(text, '"', len) ? '"' : '\'';

    (void)ql_buf_add_u8(out,
                        (uint8_t)quote); /* a failed append poisons the buffer, which the caller checks */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == (unsigned char)quote || c == '\\')
            (void)ql_buf_addf(out, "\\%c", c);
        else if (c == '\n')
            (void)ql_buf_add_text(out, "\\n");
        else if (c == '\r')
            (void)ql_buf_add_text(out, "\\r");
        else if (c == '\t')
            (void)ql_buf_add_text(out, "\\t");
        else if (c < 0x20 || c == 0x7f)
            (void)ql_buf_addf(out, "\\x%02x", c);
        else
            (void)ql_buf_add_u8(out, c);
    }
    (void)ql_buf_add_u8(out, (uint8_t)quote);
}

static void add_value(struct ql_buf *out, const json_t *value, unsigned depth);

static void add_object(struct ql_buf *out, const json_t *value, unsigned depth)
{
    const char *key, *separator = "", *next = ", ";
    json_t *member;

    (void)ql_buf_add_text(out, "{");
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
        (void)ql_buf_add_text(out, separator);
        add_text(out, key, strlen(key));
        (void)ql_buf_add_text(out, ": ");
        add_value(out, member, depth + 1);
        separator = next;
    }
    (void)ql_buf_add_text(out, "}");
}

static void add_array(struct ql_buf *out, const json_t *value, unsigned depth)
{
    (void)ql_buf_add_text(out, "[");
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i > 0)
            (void)ql_buf_add_text(out, ", ");
        add_value(out, json_array_get(value, i), depth + 1);
    }
    (void)ql_buf_add_text(out, "]");
}

static void add_value(struct ql_buf *out, const json_t *value, unsigned depth)
{
    if (depth > QL_JSON_DEPTH) {
        out->failed = true;
        return;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(out, value, depth);
        return;
    case JSON_ARRAY:
        add_array(out, value, depth);
        return;
    case JSON_STRING:
        add_text(out, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        (void)ql_buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL:
        (void)ql_buf_addf(out, "%.17g", json_real_value(value));
        return;
    case JSON_TRUE:
        (void)ql_buf_add_text(out, "True");
        return;
    case JSON_FALSE:
        (void)ql_buf_add_text(out, "False");
        return;
    case JSON_NULL:
        (void)ql_buf_add_text(out, "None");
        return;
    }
    out->failed = true;
}

char *ql_pyrepr(const json_t *value)
{
    ql_auto_buf struct ql_buf out = ql_buf_init(OUTPUT_MAX);
    size_t len;

    add_value(&out, value, 0);
    return (char *)ql_buf_take(&out, &len);
}
