/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of characters, and the escapes that they share with the rest. */
#include <stdio.h>
#include <string.h>

#include "pyregex_parts.h"

/* Python's word characters are letters and numbers of all kinds and '_', without marks; its blanks have U+001C to U+001F. */
#define WORD        "\\p{L}\\p{N}_"
#define BLANK       "\\s\\x1c-\\x1f\\x85"
#define ASCII_BLANK "\\x09-\\x0d\\x20"

const char *ima_py_class(char name, bool is_ascii)
{
    switch (name) {
    case 'd':
        return is_ascii ? "[0-9]" : "\\p{Nd}";
    case 'D':
        return is_ascii ? "[^0-9]" : "\\P{Nd}";
    case 's':
        return is_ascii ? "[" ASCII_BLANK "]" : "[" BLANK "]";
    case 'S':
        return is_ascii ? "[^" ASCII_BLANK "]" : "[^" BLANK "]";
    case 'w':
        return is_ascii ? "[A-Za-z0-9_]" : "[" WORD "]";
    default:
        return is_ascii ? "[^A-Za-z0-9_]" : "[^" WORD "]";
    }
}

/* The same within brackets; NULL: only a set of its own can say it. */
static const char *class_within(char name, bool is_ascii)
{
    switch (name) {
    case 'd':
        return is_ascii ? "0-9" : "\\p{Nd}";
    case 's':
        return is_ascii ? ASCII_BLANK : BLANK;
    case 'w':
        return is_ascii ? "A-Za-z0-9_" : WORD;
    default:
        return NULL;
    }
}

uint32_t ima_py_hex(struct translate *t, unsigned count)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < count; i++) {
        uint32_t c = ima_py_peek(t);

        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v << 4 | ((c | 0x20) - 'a' + 10);
        else
            ima_py_fail(t, QL_EPARSE, "incomplete escape");
        (void)ima_py_next(t); /* looked at above */
    }
    if (v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        ima_py_fail(t, QL_EPARSE, "escape of what is no character");
    return v;
}

bool ima_py_common_escape(struct translate *t, uint32_t c, struct escape *ret)
{
    static const char from[] = "abfnrtv\\";
    static const uint32_t to[] = {7, 8, 12, 10, 13, 9, 11, '\\'};
    const char *known = c > 0 && c < 0x80 ? strchr(from, (int)c) : NULL;

    *ret = (struct escape){0};
    if (c == 'd' || c == 'D' || c == 's' || c == 'S' || c == 'w' || c == 'W') {
        ret->class_name = (char)c;
        return true;
    }
    if (c == 'x' || c == 'u' || c == 'U') {
        ret->c = ima_py_hex(t, c == 'x' ? 2 : c == 'u' ? 4 : 8);
        return true;
    }
    if (known) {
        ret->c = to[known - from];
        return true;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        ima_py_fail(t, QL_EPARSE, c == 'N' ? "characters by name are not supported" : "bad escape");
        return true;
    }
    if (c >= '0' && c <= '9')
        return false;
    ret->c = c;
    return true;
}

static struct escape set_escape(struct translate *t)
{
    uint32_t c = ima_py_next(t);
    struct escape e;

    if (c == UINT32_MAX) {
        ima_py_fail(t, QL_EPARSE, "unterminated character set");
        return (struct escape){0};
    }
    if (ima_py_common_escape(t, c, &e))
        return e;
    e.c = c - '0';
    if (c > '7')
        ima_py_fail(t, QL_EPARSE, "bad escape");
    for (unsigned i = 0; i < 2 && ima_py_peek(t) >= '0' && ima_py_peek(t) <= '7'; i++)
        e.c = e.c << 3 | (ima_py_next(t) - '0');
    if (e.c > 0377)
        ima_py_fail(t, QL_EPARSE, "octal escape outside of \\0 to \\377");
    return e;
}

static struct escape set_item(struct translate *t)
{
    uint32_t c = ima_py_next(t);

    if (c == UINT32_MAX)
        ima_py_fail(t, QL_EPARSE, "unterminated character set");
    return c == '\\' ? set_escape(t) : (struct escape){.c = c};
}

/* Parts that need brackets of their own, as further alternatives. */
struct apart {
    bool has_plain; /* brackets hold something */
    char names[4];  /* of D, S, W */
    unsigned count;
};

static void put_item(struct translate *t, struct escape e, unsigned flags, struct apart *apart)
{
    const char *within = class_within(e.class_name, flags & FLAG_A);

    if (e.class_name && !within) {
        if (!strchr(apart->names, e.class_name) && apart->count < 3)
            apart->names[apart->count++] = e.class_name;
        return;
    }
    apart->has_plain = true;
    if (within)
        ima_py_put(t, within);
    else
        ima_py_put_literal(t, e.c);
}

void ima_py_set(struct translate *t, unsigned flags)
{
    bool is_negated = ima_py_take(t, '^'), is_first = true;
    struct apart apart = {0};

    /* Negated: not one of these, and then any character. */
    ima_py_put(t, is_negated ? "(?:(?!(?:[" : "(?:[");
    while (t->code == 0 && (is_first || ima_py_peek(t) != ']')) {
        struct escape low = set_item(t), high;
        const uint8_t *here = t->at;

        is_first = false;
        if (t->code == 0 && ima_py_take(t, '-')) {
            if (ima_py_peek(t) == ']') {
                t->at = here; /* a '-' at the end is itself */
                put_item(t, low, flags, &apart);
                (void)ima_py_next(t); /* that '-' */
                put_item(t, (struct escape){.c = '-'}, flags, &apart);
                continue;
            }
            high = set_item(t);
            if (t->code == 0 && (low.class_name || high.class_name || high.c < low.c))
                ima_py_fail(t, QL_EPARSE, "bad character range");
            put_item(t, low, flags, &apart);
            ima_py_put(t, "-");
            put_item(t, high, flags, &apart);
            continue;
        }
        put_item(t, low, flags, &apart);
    }
    (void)ima_py_take(t, ']'); /* seen above, or failed */
    if (!apart.has_plain)
        ima_py_put(t, "^\\x{0}-\\x{10ffff}"); /* brackets that hold nothing */
    ima_py_put(t, "]");
    for (unsigned i = 0; i < apart.count; i++) {
        ima_py_put(t, "|");
        ima_py_put(t, ima_py_class(apart.names[i], flags & FLAG_A));
    }
    ima_py_put(t, is_negated ? "))(?s:.))" : ")");
}
