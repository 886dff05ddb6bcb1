/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "json.h"
#include "utf8.h"

enum {
    DUMP_DEPTH = 2 * QL_JSON_DEPTH, /**< nesting of a value of our own, which wraps parsed ones */
    REAL_DIGITS = 17                /**< significant digits that tell any two doubles apart */
};

static void add_escape(struct ql_buf *out, uint32_t unit)
{
    (void)ql_buf_addf(out, "\\u%04x", (unsigned)unit); /* here and below a failed append poisons the buffer */
}

/* One character of UTF-8 as jansson holds it; beyond the basic plane as a pair of surrogates. */
static void add_wide(struct ql_buf *out, const unsigned char *p, size_t len)
{
    uint32_t code = p[0] & (0xffu >> (len + 1));

    for (size_t i = 1; i < len; i++)
        code = code << 6 | (p[i] & 0x3fu);
    if (code < 0x10000) {
        add_escape(out, code);
        return;
    }
    code -= 0x10000;
    add_escape(out, 0xd800 + (code >> 10));
    add_escape(out, 0xdc00 + (code & 0x3ff));
}

static void add_string(struct ql_buf *out, const char *text, size_t len)
{
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";

    (void)ql_buf_add_u8(out, '"');
    for (size_t at = 0; at < len;) {
        size_t step = ql_utf8_step(text + at, len - at);
        char c = text[at];
        const char *found = c != '\0' ? strchr(special, c) : NULL;

        if (step > 1)
            add_wide(out, (const unsigned char *)text + at, step);
        else if (found)
            (void)ql_buf_addf(out, "\\%c", letter[found - special]);
        else if (step == 0 && (unsigned char)c >= 0x80)
            add_escape(out, 0xdc00u + (unsigned char)c); /* a byte that is no text, as Python writes it */
        else if (step == 0 || c < 0x20 || c == 0x7f)
            add_escape(out, (unsigned char)c);
        else
            (void)ql_buf_add_u8(out, (uint8_t)c);
        at += step > 0 ? step : 1;
    }
    (void)ql_buf_add_u8(out, '"');
}

/* Python's repr: the fewest digits that read back as the same double; plain between 1e-4 and 1e16. */
static void add_real(struct ql_buf *out, double v)
{
    char text[64], *mantissa_end;
    int exponent, digits = 0;

    do
        (void)snprintf(text, sizeof text, "%.*e", digits, v);
    while (strtod(text, NULL) != v && ++digits < REAL_DIGITS);
    mantissa_end = strchr(text, 'e');
    exponent = mantissa_end ? (int)strtol(mantissa_end + 1, NULL, 10) : 0; /* written by snprintf() above */
    if (exponent < -4 || exponent >= 16)
        (void)ql_buf_add_text(out, text);
    else
        (void)ql_buf_addf(out, "%.*f", digits > exponent ? digits - exponent : 1, v);
}

/** What stands between elements and behind keys. */
struct spelling {
    const char *comma, *colon;
};

static void add_value(struct ql_buf *out, const struct spelling *s, const json_t *j, unsigned depth);

static void add_object(struct ql_buf *out, const struct spelling *s, const json_t *j, unsigned depth)
{
    const char *separator = "";
    const char *key;
    size_t key_len;
    json_t *value;

    (void)ql_buf_add_u8(out, '{');
    /* Keys are only looked at, which jansson's iterators do not say in their types. */
    json_object_keylen_foreach((json_t *)(uintptr_t)j, key, key_len, value)
    {
        (void)ql_buf_add_text(out, separator);
        add_string(out, key, key_len);
        (void)ql_buf_add_text(out, s->colon);
        add_value(out, s, value, depth + 1);
        separator = s->comma;
    }
    (void)ql_buf_add_u8(out, '}');
}

static void add_array(struct ql_buf *out, const struct spelling *s, const json_t *j, unsigned depth)
{
    (void)ql_buf_add_u8(out, '[');
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (i > 0)
            (void)ql_buf_add_text(out, s->comma);
        add_value(out, s, json_array_get(j, i), depth + 1);
    }
    (void)ql_buf_add_u8(out, ']');
}

static void add_value(struct ql_buf *out, const struct spelling *s, const json_t *j, unsigned depth)
{
    if (depth > DUMP_DEPTH || !j) {
        out->failed = true;
        return;
    }
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        add_object(out, s, j, depth);
        break;
    case JSON_ARRAY:
        add_array(out, s, j, depth);
        break;
    case JSON_STRING:
        add_string(out, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        (void)ql_buf_addf(out, "%lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        add_real(out, json_real_value(j));
        break;
    case JSON_TRUE:
        (void)ql_buf_add_text(out, "true");
        break;
    case JSON_FALSE:
        (void)ql_buf_add_text(out, "false");
        break;
    case JSON_NULL:
        (void)ql_buf_add_text(out, "null");
        break;
    }
}

static char *write_text(const json_t *j, const struct spelling *s)
{
    ql_auto(ql_buf_wipe) struct ql_buf out = ql_buf_init(SIZE_MAX / 4);

    add_value(&out, s, j, 0);
    return (char *)ql_buf_take(&out, NULL);
}

char *ql_json_text_spaced(const json_t *j)
{
    return write_text(j, &(const struct spelling){", ", ": "});
}

char *ql_json_text_bytes(const json_t *j)
{
    return write_text(j, &(const struct spelling){",", ":"});
}
