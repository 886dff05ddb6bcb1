/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyregex_parts.h"

enum {
    WIDTH_MAX = 1000000 /* saturates: no look-behind is that wide */
};

/* ---- reader and writer ---- */

int ima_py_fail(struct translate *t, int code, const char *why)
{
    size_t place = 0;

    if (t->code != 0)
        return t->code;
    for (const uint8_t *p = t->start; p < t->at; p++)
        place += *p >> 6 != 2;
    t->code = t->host->fail(t->err, code, "at character %zu: %s", place, why);
    return t->code;
}

static bool grow(struct translate *t, struct ima_pyregex_buf *b, size_t len)
{
    size_t room = b->room ? b->room : 256;
    uint8_t *wide;

    if (len <= b->room - b->len)
        return true;
    while (room - b->len < len)
        room *= 2;
    wide = t->host->realloc(t->host, b->data, room);
    if (!wide) {
        ima_py_fail(t, QL_ENOMEM, "no memory");
        return false;
    }
    b->data = wide;
    b->room = room;
    return true;
}

static void add(struct translate *t, struct ima_pyregex_buf *b, const void *data, size_t len)
{
    if (len > 0 && grow(t, b, len)) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}

void ima_py_put(struct translate *t, const char *text)
{
    add(t, &t->out->text, text, strlen(text));
}

static size_t utf8(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
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

void ima_py_put_literal(struct translate *t, uint32_t c)
{
    char text[16];

    /* Letters and digits as they are; all others by number, so that none has a meaning. */
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '_')
        snprintf(text, sizeof text, "%c", (int)c);
    else
        snprintf(text, sizeof text, "\\x{%x}", c & 0x1fffff);
    ima_py_put(t, text);
}

static uint32_t decode(const uint8_t *at, const uint8_t *end, size_t *step)
{
    uint32_t c = *at;
    size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

    *step = 0;
    if (n == 0 || n > (size_t)(end - at))
        return UINT32_MAX;
    if (n > 1)
        c &= 0x7fu >> n;
    for (size_t i = 1; i < n; i++) {
        if (at[i] >> 6 != 2)
            return UINT32_MAX;
        c = c << 6 | (at[i] & 0x3f);
    }
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return UINT32_MAX;
    *step = n;
    return c;
}

uint32_t ima_py_peek(const struct translate *t)
{
    size_t step;

    return t->code != 0 || t->at == t->end ? UINT32_MAX : decode(t->at, t->end, &step);
}

uint32_t ima_py_next(struct translate *t)
{
    size_t step = 0;
    uint32_t c;

    if (t->code != 0 || t->at == t->end)
        return UINT32_MAX;
    c = decode(t->at, t->end, &step);
    if (step == 0)
        ima_py_fail(t, QL_EPARSE, "not UTF-8");
    t->at += step;
    return c;
}

bool ima_py_take(struct translate *t, char c)
{
    if (t->code != 0 || t->at == t->end || *t->at != (uint8_t)c)
        return false;
    t->at++;
    return true;
}

/* ---- shape of a top-level alternative ---- */

static void shape_reset(struct translate *t)
{
    t->shape = SHAPE_HEAD;
    t->is_head_closed = false;
    t->head_at = t->tail_at = t->out->literals.len;
    t->head_len = t->tail_len = 0;
    t->alternative_at = t->out->text.len;
}

static void shape_complex(struct translate *t)
{
    t->shape = SHAPE_COMPLEX;
    t->is_head_closed = true;
}

static void shape_literal(struct translate *t, uint32_t c)
{
    uint8_t bytes[4];
    size_t n = utf8(c, bytes);

    if (t->shape == SHAPE_HEAD && !t->is_head_closed) {
        add(t, &t->out->literals, bytes, n);
        t->head_len = t->out->literals.len - t->head_at;
    } else if (t->shape == SHAPE_STAR || t->shape == SHAPE_TAIL) {
        if (t->shape == SHAPE_STAR)
            t->tail_at = t->out->literals.len;
        t->shape = SHAPE_TAIL;
        add(t, &t->out->literals, bytes, n);
        t->tail_len = t->out->literals.len - t->tail_at;
    } else {
        shape_complex(t);
    }
}

static void shape_star(struct translate *t)
{
    if (t->shape == SHAPE_HEAD && !t->is_head_closed)
        t->shape = SHAPE_STAR;
    else if (t->shape == SHAPE_TAIL)
        t->shape = SHAPE_TAIL_ANY;
    else if (t->shape != SHAPE_STAR && t->shape != SHAPE_TAIL_ANY)
        shape_complex(t);
}

static void shape_end(struct translate *t)
{
    if (t->shape == SHAPE_HEAD || t->shape == SHAPE_TAIL)
        t->shape = SHAPE_END;
    else
        shape_complex(t);
}

static enum ima_pyregex_kind shape_kind(const struct translate *t)
{
    switch (t->shape) {
    case SHAPE_HEAD:
    case SHAPE_STAR:
        return IMA_PY_PREFIX;
    case SHAPE_TAIL:
    case SHAPE_TAIL_ANY:
        return IMA_PY_CONTAINS;
    case SHAPE_END:
        return t->tail_len > 0 ? IMA_PY_SUFFIX : IMA_PY_EXACT;
    case SHAPE_COMPLEX:
        break;
    }
    return IMA_PY_COMPLEX;
}

static void alternative_done(struct translate *t)
{
    struct ima_pyregex *o = t->out;

    if (o->count == o->room) {
        size_t room = o->room ? o->room * 2 : 4;
        struct ima_pyregex_alternative *wide =
            t->host->realloc(t->host, o->alternatives, room * sizeof *wide);

        if (!wide) {
            ima_py_fail(t, QL_ENOMEM, "no memory");
            return;
        }
        o->alternatives = wide;
        o->room = room;
    }
    o->alternatives[o->count++] = (struct ima_pyregex_alternative){
        .kind = shape_kind(t),
        .at = t->alternative_at,
        .len = o->text.len - t->alternative_at,
        .head_at = t->head_at,
        .head_len = t->head_len,
        .tail_at = t->tail_at,
        .tail_len = t->tail_len,
    };
}

/* ---- grammar ---- */

/* What the last item was: decides whether it may be repeated, and what that makes of the shape. */
enum item {
    ITEM_NONE,
    ITEM_ANCHOR, /* cannot be repeated */
    ITEM_LITERAL,
    ITEM_DOT, /* '.' where it stops at line feeds */
    ITEM_OTHER,
    ITEM_REPEATED,
    ITEM_END /* $ or \Z */
};

struct sequence {
    enum item last;
    uint32_t literal;
    size_t last_at; /* of the last item in the text */
    struct width last_width, width;
};

static struct width plus(struct width a, struct width b)
{
    uint32_t low = a.low + b.low, high = a.high + b.high;

    return (struct width){.low = low < WIDTH_MAX ? low : WIDTH_MAX,
                          .high = high < WIDTH_MAX ? high : WIDTH_MAX};
}

static uint32_t times(uint32_t a, uint32_t b)
{
    uint64_t product = (uint64_t)a * b;

    return product < WIDTH_MAX ? (uint32_t)product : WIDTH_MAX;
}

static struct width alternation(struct translate *t, unsigned flags);

/* The item before is complete and was not repeated. */
static void settle(struct translate *t, const struct sequence *s, unsigned flags)
{
    if (t->depth > 0)
        return;
    if (s->last == ITEM_LITERAL && !(flags & FLAG_I))
        shape_literal(t, s->literal);
    else if (s->last == ITEM_END)
        shape_end(t);
    else if (s->last != ITEM_NONE && s->last != ITEM_REPEATED)
        shape_complex(t);
}

static void begin(struct translate *t, struct sequence *s, enum item item, struct width width)
{
    s->width = plus(s->width, s->last_width);
    s->last = item;
    s->last_at = t->out->text.len;
    s->last_width = width;
}

static unsigned group_number(struct translate *t, uint32_t number)
{
    /* The expression's own group is base + 1 and is open; those before it are never set when this one is tried. */
    if (number <= t->base)
        return 0;
    if (number == t->base + 1) {
        ima_py_fail(t, QL_EPARSE, "cannot refer to an open group");
        return 0;
    }
    return number - t->base - 1;
}

static void put_reference(struct translate *t, uint32_t number)
{
    unsigned own = group_number(t, number);
    char text[32];

    t->has_references = true;
    if (own > t->groups || number == 0)
        ima_py_fail(t, QL_EPARSE, "invalid group reference");
    else if (own > 0 && !t->is_closed[own])
        ima_py_fail(t, QL_EPARSE, "cannot refer to an open group");
    else if (t->behind > 0)
        ima_py_fail(t, QL_EPARSE, "group reference in a look-behind is not supported");
    if (own == 0)
        snprintf(text, sizeof text, "(?:(?!))");
    else
        snprintf(text, sizeof text, "(?:\\g{%u})", own);
    ima_py_put(t, text);
}

static void put_boundary(struct translate *t, bool is_boundary, unsigned flags)
{
    const char *word = ima_py_class('w', flags & FLAG_A);
    char text[256];

    if (is_boundary)
        snprintf(text, sizeof text, "(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))", word, word, word, word);
    else /* of nothing at all, Python says no */
        snprintf(text, sizeof text, "(?:(?!\\A\\z)(?:(?<=%s)(?=%s)|(?<!%s)(?!%s)))", word, word, word, word);
    ima_py_put(t, text);
}

static void literal(struct translate *t, struct sequence *s, uint32_t c)
{
    begin(t, s, ITEM_LITERAL, (struct width){1, 1});
    s->literal = c;
    ima_py_put_literal(t, c);
}

/* Behind a backslash and digits from 1 to 9. */
static void number_escape(struct translate *t, struct sequence *s, uint32_t c)
{
    uint32_t digits[3] = {c}, count = 1;

    if (ima_py_peek(t) >= '0' && ima_py_peek(t) <= '9') {
        digits[count++] = ima_py_next(t);
        if (digits[0] <= '7' && digits[1] <= '7' && ima_py_peek(t) >= '0' && ima_py_peek(t) <= '7')
            digits[count++] = ima_py_next(t);
    }
    if (count == 3) {
        uint32_t v = (digits[0] - '0') << 6 | (digits[1] - '0') << 3 | (digits[2] - '0');

        if (v > 0377)
            ima_py_fail(t, QL_EPARSE, "octal escape outside of \\0 to \\377");
        literal(t, s, v);
        return;
    }
    begin(t, s, ITEM_OTHER, (struct width){0, WIDTH_MAX});
    put_reference(t, count == 2 ? (digits[0] - '0') * 10 + (digits[1] - '0') : digits[0] - '0');
}

static void escape(struct translate *t, struct sequence *s, unsigned flags)
{
    uint32_t c = ima_py_next(t), v = 0;
    struct escape e;

    if (c == UINT32_MAX) {
        ima_py_fail(t, QL_EPARSE, "bad escape (end of pattern)");
    } else if (c == 'A') {
        begin(t, s, ITEM_ANCHOR, (struct width){0, 0});
        ima_py_put(t, "\\A");
    } else if (c == 'Z') {
        begin(t, s, ITEM_ANCHOR, (struct width){0, 0});
        ima_py_put(t, "\\z");
    } else if (c == 'b' || c == 'B') {
        begin(t, s, ITEM_ANCHOR, (struct width){0, 0});
        put_boundary(t, c == 'b', flags);
    } else if (c == '0') {
        for (unsigned i = 0; i < 2 && ima_py_peek(t) >= '0' && ima_py_peek(t) <= '7'; i++)
            v = v << 3 | (ima_py_next(t) - '0');
        literal(t, s, v);
    } else if (c >= '1' && c <= '9') {
        number_escape(t, s, c);
    } else if (ima_py_common_escape(t, c, &e) && e.class_name) {
        begin(t, s, ITEM_OTHER, (struct width){1, 1});
        ima_py_put(t, ima_py_class(e.class_name, flags & FLAG_A));
    } else {
        literal(t, s, e.c);
    }
}

static bool is_word_char(uint32_t c, bool is_first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

/* A group's name up to @p close. Python takes any identifier; here ASCII ones of at most 63 characters. */
static bool read_name(struct translate *t, char close, char out[64])
{
    size_t n = 0;

    while (t->code == 0 && ima_py_peek(t) != (uint32_t)close) {
        uint32_t c = ima_py_next(t);

        if (!is_word_char(c, n == 0) || n == 63) {
            ima_py_fail(t, QL_EPARSE, "bad group name");
            return false;
        }
        out[n++] = (char)c;
    }
    out[n] = 0;
    if (n == 0)
        ima_py_fail(t, QL_EPARSE, "missing group name");
    return ima_py_take(t, close);
}

/* Number of a named group over the whole list; 0: none. Names are kept with their numbers before them. */
static uint32_t find_name(const struct ima_pyregex_list *l, const char *name)
{
    for (unsigned i = 0; i < l->name_count; i++) {
        char *at = NULL;
        const unsigned long number = strtoul(l->names[i].text, &at, 16); /* as add_name() wrote it */

        if (*at == ' ' && strcmp(at + 1, name) == 0)
            return (uint32_t)number;
    }
    return 0;
}

static void add_name(struct translate *t, const char *name, uint32_t number)
{
    struct ima_pyregex_list *l = t->list;

    if (find_name(l, name) != 0)
        ima_py_fail(t, QL_EPARSE, "redefinition of a group name");
    else if (l->name_count == IMA_PYREGEX_NAMES)
        ima_py_fail(t, QL_ELIMIT, "too many named groups");
    else if (snprintf(l->names[l->name_count].text, sizeof l->names[0].text, "%x %s", number, name) >=
             (int)sizeof l->names[0].text)
        ima_py_fail(t, QL_ELIMIT, "group name is too long");
    else
        l->name_count++;
}

static void close_group(struct translate *t)
{
    if (t->code == 0 && !ima_py_take(t, ')'))
        ima_py_fail(t, QL_EPARSE, "missing ), unterminated subpattern");
    ima_py_put(t, ")");
}

static struct width inner(struct translate *t, unsigned flags)
{
    struct width w = {0, 0};

    if (t->depth == IMA_PYREGEX_DEPTH) {
        ima_py_fail(t, QL_ELIMIT, "groups are nested too deep");
        return w;
    }
    t->depth++;
    w = alternation(t, flags);
    t->depth--;
    close_group(t);
    return w;
}

static void capture(struct translate *t, struct sequence *s, const char *name, unsigned flags)
{
    unsigned own;

    if (t->groups == IMA_PYREGEX_GROUPS) {
        ima_py_fail(t, QL_ELIMIT, "too many groups");
        return;
    }
    own = ++t->groups;
    if (name)
        add_name(t, name, t->base + 1 + own);
    ima_py_put(t, "(");
    s->last_width = inner(t, flags);
    t->is_closed[own] = true;
}

static void look(struct translate *t, struct sequence *s, const char *open, bool is_behind, unsigned flags)
{
    struct width w;

    t->behind += is_behind;
    ima_py_put(t, "(?:");
    ima_py_put(t, open);
    w = inner(t, flags);
    ima_py_put(t, ")");
    t->behind -= is_behind;
    if (is_behind && t->code == 0 && w.low != w.high)
        ima_py_fail(t, QL_EPARSE, "look-behind requires fixed-width pattern");
    s->last_width = (struct width){0, 0};
}

static unsigned condition_number(struct translate *t)
{
    uint32_t number = 0, digits = 0;
    char name[64];

    while (ima_py_peek(t) >= '0' && ima_py_peek(t) <= '9' && digits++ < 6)
        number = number * 10 + (ima_py_next(t) - '0');
    if (digits == 0 && read_name(t, ')', name)) {
        number = find_name(t->list, name);
        if (number == 0)
            ima_py_fail(t, QL_EPARSE, "unknown group name");
    } else if (t->code == 0 && (!ima_py_take(t, ')') || number == 0)) {
        ima_py_fail(t, QL_EPARSE, "bad group number");
    }
    /* Its own group is still open, those before it failed: never set. */
    return number > t->base + 1 ? number - t->base - 1 : 0;
}

static struct width sequence(struct translate *t, unsigned flags);

static void condition(struct translate *t, struct sequence *s, unsigned flags)
{
    unsigned own = condition_number(t);
    struct width yes, no = {0, 0};
    char text[32];

    t->has_references = true;
    if (own > t->highest_condition)
        t->highest_condition = own;
    if (own > 0)
        snprintf(text, sizeof text, "(?(%u)", own);
    else
        snprintf(text, sizeof text, "(?(?!)");
    ima_py_put(t, text);
    if (t->depth == IMA_PYREGEX_DEPTH) {
        ima_py_fail(t, QL_ELIMIT, "groups are nested too deep");
        return;
    }
    t->depth++;
    yes = sequence(t, flags);
    if (ima_py_take(t, '|')) {
        ima_py_put(t, "|");
        no = sequence(t, flags);
        if (ima_py_peek(t) == '|')
            ima_py_fail(t, QL_EPARSE, "conditional backref with more than two branches");
    }
    t->depth--;
    close_group(t);
    s->last_width = (struct width){.low = yes.low < no.low ? yes.low : no.low,
                                   .high = yes.high > no.high ? yes.high : no.high};
}

static unsigned flag_of(struct translate *t, uint32_t c)
{
    switch (c) {
    case 'i':
        return FLAG_I;
    case 'm':
        return FLAG_M;
    case 's':
        return FLAG_S;
    case 'x':
        return FLAG_X;
    case 'a':
        return FLAG_A;
    case 'u':
        return 0;
    case 'L':
        ima_py_fail(t, QL_EPARSE, "flag L is not for text");
        return 0;
    default:
        ima_py_fail(t, QL_EPARSE, "unknown extension or flag");
        return 0;
    }
}

/* (?flags-flags:…): those of PCRE2 are written, the others act here. */
static void flag_group(struct translate *t, struct sequence *s, unsigned flags, uint32_t c)
{
    unsigned on = 0, off = 0, inside;
    bool is_off = c == '-', is_a = false, is_u = false;
    char text[32];

    if (!is_off)
        on = flag_of(t, c);
    is_a = c == 'a';
    is_u = c == 'u';
    while (t->code == 0 && ima_py_peek(t) != ':') {
        c = ima_py_next(t);
        if (c == ')' && !is_off) {
            ima_py_fail(t, QL_EPARSE, "global flags not at the start of the expression");
        } else if (c == '-' && !is_off) {
            is_off = true;
            continue;
        }
        is_a |= c == 'a';
        is_u |= c == 'u';
        if (is_off && (c == 'a' || c == 'u'))
            ima_py_fail(t, QL_EPARSE, "cannot turn off flags a and u");
        *(is_off ? &off : &on) |= flag_of(t, c);
    }
    if (t->code == 0 && ((is_off && off == 0) || (on & off) || (is_a && is_u)))
        ima_py_fail(t, QL_EPARSE, "flags do not fit each other");
    (void)ima_py_take(t, ':'); /* seen above, or failed */
    inside = (flags | on) & ~off;
    if (is_u)
        inside &= ~(unsigned)FLAG_A;
    snprintf(text, sizeof text, "(?%s%s%s-%s%s%s:", inside & FLAG_I ? "i" : "", inside & FLAG_M ? "m" : "",
             inside & FLAG_S ? "s" : "", inside & FLAG_I ? "" : "i", inside & FLAG_M ? "" : "m",
             inside & FLAG_S ? "" : "s");
    ima_py_put(t, text);
    s->last_width = inner(t, inside);
}

static void named(struct translate *t, struct sequence *s, unsigned flags)
{
    uint32_t number;
    char name[64];

    if (ima_py_take(t, '<')) {
        if (read_name(t, '>', name))
            capture(t, s, name, flags);
    } else if (ima_py_take(t, '=')) {
        if (!read_name(t, ')', name))
            return;
        number = find_name(t->list, name);
        if (number == 0)
            ima_py_fail(t, QL_EPARSE, "unknown group name");
        else
            put_reference(t, number);
        s->last_width = (struct width){0, WIDTH_MAX};
    } else {
        ima_py_fail(t, QL_EPARSE, "unknown extension ?P");
    }
}

/* Behind "(?". */
static void extension(struct translate *t, struct sequence *s, unsigned flags)
{
    uint32_t c = ima_py_next(t);

    if (c == ':') {
        ima_py_put(t, "(?:");
        s->last_width = inner(t, flags);
    } else if (c == '=' || c == '!') {
        look(t, s, c == '=' ? "(?=" : "(?!", false, flags);
    } else if (c == '<' && (ima_py_peek(t) == '=' || ima_py_peek(t) == '!')) {
        c = ima_py_next(t);
        look(t, s, c == '=' ? "(?<=" : "(?<!", true, flags);
    } else if (c == '>') {
        ima_py_put(t, "(?>");
        s->last_width = inner(t, flags);
    } else if (c == '(') {
        condition(t, s, flags);
    } else if (c == 'P') {
        named(t, s, flags);
    } else if (c == UINT32_MAX) {
        ima_py_fail(t, QL_EPARSE, "unexpected end of pattern");
    } else if (c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        flag_group(t, s, flags, c);
    } else {
        ima_py_fail(t, QL_EPARSE, "unknown extension");
    }
}

static void skip_comment(struct translate *t)
{
    uint32_t c = ima_py_next(t);

    while (c != ')' && c != UINT32_MAX)
        c = ima_py_next(t);
    if (c != ')')
        ima_py_fail(t, QL_EPARSE, "missing ), unterminated comment");
}

static void group(struct translate *t, struct sequence *s, unsigned flags)
{
    bool is_extension = ima_py_take(t, '?');

    if (is_extension && ima_py_take(t, '#')) {
        skip_comment(t);
        return;
    }
    if (t->depth == 0) {
        settle(t, s, flags);
        shape_complex(t);
    }
    begin(t, s, ITEM_OTHER, (struct width){0, 0});
    if (is_extension)
        extension(t, s, flags);
    else
        capture(t, s, NULL, flags);
}

static bool read_count(struct translate *t, uint32_t *ret)
{
    bool is_given = false;
    uint32_t v = 0;

    while (ima_py_peek(t) >= '0' && ima_py_peek(t) <= '9') {
        v = v * 10 + (ima_py_next(t) - '0');
        is_given = true;
        if (v > IMA_PYREGEX_REPEAT)
            ima_py_fail(t, QL_ELIMIT, "repeated more than 65535 times");
    }
    *ret = v;
    return is_given;
}

/* @return false: '{' is itself */
static bool read_braces(struct translate *t, uint32_t *low, uint32_t *high)
{
    const uint8_t *back = t->at;
    bool has_low, has_high;

    if (ima_py_peek(t) == '}')
        return false;
    has_low = read_count(t, low);
    *high = *low;
    has_high = has_low;
    if (ima_py_take(t, ',')) {
        has_high = read_count(t, high);
    } else if (!has_low) {
        t->at = back;
        return false;
    }
    if (!ima_py_take(t, '}')) {
        t->at = back;
        return false;
    }
    if (!has_low)
        *low = 0;
    if (!has_high)
        *high = UINT32_MAX;
    if (*high < *low)
        ima_py_fail(t, QL_EPARSE, "min repeat greater than max repeat");
    return true;
}

/* What a repetition does to the shape. */
static void shape_repeat(struct translate *t, const struct sequence *s, uint32_t low, uint32_t high,
                         unsigned flags)
{
    if (t->depth > 0)
        return;
    if (s->last == ITEM_DOT && low == 0 && high == UINT32_MAX) {
        shape_star(t);
        return;
    }
    if (s->last == ITEM_LITERAL && low > 0 && !(flags & FLAG_I) && t->shape == SHAPE_HEAD &&
        !t->is_head_closed)
        shape_literal(t, s->literal);
    shape_complex(t);
}

static void repeat(struct translate *t, struct sequence *s, uint32_t low, uint32_t high, unsigned flags)
{
    char text[48];
    bool is_lazy, is_possessive;

    if (s->last == ITEM_NONE || s->last == ITEM_ANCHOR || s->last == ITEM_END) {
        ima_py_fail(t, QL_EPARSE, "nothing to repeat");
        return;
    }
    if (s->last == ITEM_REPEATED) {
        ima_py_fail(t, QL_EPARSE, "multiple repeat");
        return;
    }
    is_lazy = ima_py_take(t, '?');
    is_possessive = !is_lazy && ima_py_take(t, '+');
    if (is_possessive) {
        if (t->depth == 0)
            shape_repeat(t,
                         &(struct sequence){.last = s->last == ITEM_LITERAL ? ITEM_LITERAL : ITEM_OTHER,
                                            .literal = s->literal},
                         low, high, flags);
    } else {
        shape_repeat(t, s, low, high, flags);
    }
    if (high == UINT32_MAX)
        snprintf(text, sizeof text, "{%u,}%s", low, is_lazy ? "?" : is_possessive ? "+" : "");
    else
        snprintf(text, sizeof text, "{%u,%u}%s", low, high, is_lazy ? "?" : is_possessive ? "+" : "");
    ima_py_put(t, text);
    s->last_width.low = times(s->last_width.low, low);
    s->last_width.high = s->last_width.high == 0 ? 0 : times(s->last_width.high, high);
    s->last = ITEM_REPEATED;
}

static bool is_blank(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

/* @return true: the character began a repetition */
static bool repetition(struct translate *t, struct sequence *s, uint32_t c, unsigned flags)
{
    uint32_t low = 0, high = 0;

    if (c == '*')
        repeat(t, s, 0, UINT32_MAX, flags);
    else if (c == '+')
        repeat(t, s, 1, UINT32_MAX, flags);
    else if (c == '?')
        repeat(t, s, 0, 1, flags);
    else if (c == '{' && read_braces(t, &low, &high))
        repeat(t, s, low, high, flags);
    else
        return false;
    return true;
}

static void item(struct translate *t, struct sequence *s, uint32_t c, unsigned flags)
{
    bool is_at_start = s->last == ITEM_NONE && t->depth == 0;

    settle(t, s, flags);
    switch (c) {
    case '\\':
        escape(t, s, flags);
        break;
    case '[':
        begin(t, s, ITEM_OTHER, (struct width){1, 1});
        ima_py_set(t, flags);
        break;
    case '.':
        begin(t, s, flags & FLAG_S ? ITEM_OTHER : ITEM_DOT, (struct width){1, 1});
        ima_py_put(t, ".");
        break;
    case '^':
        begin(t, s, ITEM_ANCHOR, (struct width){0, 0});
        ima_py_put(t, "^");
        break;
    case '$':
        begin(t, s, ITEM_END, (struct width){0, 0});
        ima_py_put(t, "$");
        break;
    default:
        literal(t, s, c);
    }
    /* Matching begins at the start anyway: an anchor there changes nothing. */
    if (is_at_start && s->last == ITEM_ANCHOR && (c == '^' || (c == '\\' && t->at[-1] == 'A')))
        s->last = ITEM_NONE;
}

static struct width sequence(struct translate *t, unsigned flags)
{
    struct sequence s = {0};

    while (t->code == 0) {
        uint32_t c = ima_py_peek(t);

        if (c == '|' || c == ')' || (c == UINT32_MAX && t->at == t->end))
            break;
        c = ima_py_next(t);
        if ((flags & FLAG_X) && is_blank(c))
            continue;
        if ((flags & FLAG_X) && c == '#') {
            while (c != '\n' && c != UINT32_MAX)
                c = ima_py_next(t);
            continue;
        }
        if (c == '(')
            group(t, &s, flags);
        else if (!repetition(t, &s, c, flags))
            item(t, &s, c, flags);
    }
    settle(t, &s, flags);
    return plus(s.width, s.last_width);
}

static struct width alternation(struct translate *t, unsigned flags)
{
    struct width all = sequence(t, flags);

    while (t->code == 0 && ima_py_take(t, '|')) {
        struct width one;

        if (t->depth == 0) {
            alternative_done(t);
            ima_py_put(t, "|");
            shape_reset(t);
        } else {
            ima_py_put(t, "|");
        }
        one = sequence(t, flags);
        all.low = one.low < all.low ? one.low : all.low;
        all.high = one.high > all.high ? one.high : all.high;
    }
    return all;
}

int ima_pyregex_translate(const struct ql_host *host, const uint8_t *text, size_t len,
                          struct ima_pyregex_list *list, struct ima_pyregex *ret, struct ql_err *err)
{
    struct translate t = {.host = host,
                          .start = text,
                          .at = text,
                          .end = text + len,
                          .list = list,
                          .out = ret,
                          .err = err,
                          .base = list->groups};

    *ret = (struct ima_pyregex){0};
    shape_reset(&t);
    alternation(&t, 0);
    if (t.code == 0 && t.at != t.end)
        ima_py_fail(&t, QL_EPARSE, "unbalanced parenthesis");
    if (t.code == 0 && t.highest_condition > t.groups)
        ima_py_fail(&t, QL_EPARSE, "invalid group reference");
    alternative_done(&t);
    if (t.code != 0)
        return t.code;
    /* A reference may cross alternatives: numbers hold only for the whole. */
    if (t.has_references && ret->count > 0) {
        ret->count = 1;
        ret->alternatives[0] = (struct ima_pyregex_alternative){.kind = IMA_PY_COMPLEX, .len = ret->text.len};
    }
    list->groups += 1 + t.groups;
    return QL_OK;
}

void ima_pyregex_done(const struct ql_host *host, struct ima_pyregex *r)
{
    host->free(host, r->text.data);
    host->free(host, r->literals.data);
    host->free(host, r->alternatives);
    *r = (struct ima_pyregex){0};
}
