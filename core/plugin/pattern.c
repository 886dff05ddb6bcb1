/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <stdbool.h>
#include <string.h>

#define CAPTURE_OPEN ((ptrdiff_t)-1)

static const char *match_from(struct ql_pattern *m, const char *s, const char *p);

static const char *fail(struct ql_pattern *m, const char *why)
{
    if (!m->error)
        m->error = why;
    return NULL;
}

/* Every comparison costs a step, so that the limit holds for every kind of bomb. */
static bool step(struct ql_pattern *m)
{
    if (m->steps_left == 0) {
        m->is_limit = 1;
        (void)fail(m, "pattern takes too many steps"); /* only notes the reason */
        return false;
    }
    m->steps_left--;
    return true;
}

/* ---- classes, in the C locale whatever the process has set ---- */

static bool between(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

static bool in_class(unsigned char c, unsigned char class)
{
    const unsigned char lower = between(class, 'A', 'Z') ? (unsigned char)(class + 32) : class;
    const bool alpha = between(c, 'a', 'z') || between(c, 'A', 'Z'), digit = between(c, '0', '9');
    bool is;

    switch (lower) {
    case 'a':
        is = alpha;
        break;
    case 'c':
        is = c < 32 || c == 127;
        break;
    case 'd':
        is = digit;
        break;
    case 'g':
        is = between(c, 33, 126);
        break;
    case 'l':
        is = between(c, 'a', 'z');
        break;
    case 'p':
        is = between(c, 33, 126) && !alpha && !digit;
        break;
    case 's':
        is = c == ' ' || between(c, 9, 13);
        break;
    case 'u':
        is = between(c, 'A', 'Z');
        break;
    case 'w':
        is = alpha || digit;
        break;
    case 'x':
        is = digit || between(c, 'a', 'f') || between(c, 'A', 'F');
        break;
    case 'z': /* from older releases of Lua */
        is = c == 0;
        break;
    default:
        return class == c; /* %. is a dot */
    }
    return class == lower ? is : !is;
}

/* End of the single-character item that begins at p, NULL: it has none. */
static const char *item_end(struct ql_pattern *m, const char *p)
{
    if (*p == '%') {
        if (p + 1 == m->pattern_end)
            return fail(m, "malformed pattern (ends with '%')");
        return p + 2;
    }
    if (*p != '[')
        return p + 1;
    p++;
    if (p < m->pattern_end && *p == '^')
        p++;
    /* A ] that comes first is one of the set. */
    do {
        if (p >= m->pattern_end)
            return fail(m, "malformed pattern (missing ']')");
        if (*p++ == '%') {
            if (p >= m->pattern_end)
                return fail(m, "malformed pattern (missing ']')");
            p++;
        }
    } while (p >= m->pattern_end || *p != ']');
    return p + 1;
}

/* Is c in the set [ … ] between p (the bracket) and end (behind the other)? */
static bool in_set(unsigned char c, const char *p, const char *end)
{
    const char *close = end - 1;
    bool found = true;

    p++;
    if (*p == '^') {
        found = false;
        p++;
    }
    for (; p < close; p++) {
        if (*p == '%') {
            p++;
            if (in_class(c, (unsigned char)*p))
                return found;
        } else if (p[1] == '-' && p + 2 < close) {
            if (between(c, (unsigned char)*p, (unsigned char)p[2]))
                return found;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

/* Does the item p … end take the character at s? */
static bool takes(struct ql_pattern *m, const char *s, const char *p, const char *end)
{
    unsigned char c;

    if (s >= m->subject_end || !step(m))
        return false;
    c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(c, p, end);
    default:
        return (unsigned char)*p == c;
    }
}

/* ---- repetitions ---- */

static const char *longest_first(struct ql_pattern *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t count = 0;

    while (takes(m, s + count, p, end))
        count++;
    for (; count >= 0 && !m->error; count--) {
        const char *r = match_from(m, s + count, end + 1);

        if (r)
            return r;
    }
    return NULL;
}

static const char *shortest_first(struct ql_pattern *m, const char *s, const char *p, const char *end)
{
    for (;;) {
        const char *r = match_from(m, s, end + 1);

        if (r || m->error)
            return r;
        if (!takes(m, s, p, end))
            return NULL;
        s++;
    }
}

/* ---- captures ---- */

static const char *open_capture(struct ql_pattern *m, const char *s, const char *p, ptrdiff_t what)
{
    const char *r;

    if (m->capture_count >= QL_PATTERN_CAPTURES)
        return fail(m, "too many captures");
    m->captures[m->capture_count++] = (struct ql_capture){s, what};
    r = match_from(m, s, p);
    if (!r)
        m->capture_count--; /* this way it was none */
    return r;
}

static const char *close_capture(struct ql_pattern *m, const char *s, const char *p)
{
    unsigned n = m->capture_count;
    const char *r;

    while (n > 0 && m->captures[n - 1].len != CAPTURE_OPEN)
        n--;
    if (n == 0)
        return fail(m, "invalid pattern capture");
    m->captures[n - 1].len = s - m->captures[n - 1].start;
    r = match_from(m, s, p);
    if (!r)
        m->captures[n - 1].len = CAPTURE_OPEN;
    return r;
}

/* %1 … %9: the same text again. */
static const char *again(struct ql_pattern *m, const char *s, char digit)
{
    const unsigned n = (unsigned)(digit - '1');
    const struct ql_capture *c;

    if (digit == '0' || n >= m->capture_count || m->captures[n].len == CAPTURE_OPEN)
        return fail(m, "invalid capture index in pattern");
    c = &m->captures[n];
    /* A position has no text that could come again. */
    if (c->len == QL_CAPTURE_POSITION)
        return NULL;
    for (ptrdiff_t i = 0; i < c->len; i += 64)
        if (!step(m))
            return NULL;
    return m->subject_end - s >= c->len && memcmp(c->start, s, (size_t)c->len) == 0 ? s + c->len : NULL;
}

/* %bxy */
static const char *balanced(struct ql_pattern *m, const char *s, const char *p)
{
    size_t open = 1;

    if (m->pattern_end - p < 2)
        return fail(m, "malformed pattern (missing arguments to '%b')");
    if (s >= m->subject_end || *s != p[0])
        return NULL;
    while (++s < m->subject_end && step(m)) {
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f[set]: the border of a set; before the first and behind the last character stands a zero. */
static bool at_border(const struct ql_pattern *m, const char *s, const char *p, const char *end)
{
    unsigned char before = s == m->subject ? 0 : (unsigned char)s[-1];
    unsigned char here = s == m->subject_end ? 0 : (unsigned char)*s;

    return !in_set(before, p, end) && in_set(here, p, end);
}

/* ---- the walk along the pattern ---- */

/* Items that begin with %. @return true: handled, go on at *s and *p (*s NULL: no match) */
static bool special(struct ql_pattern *m, const char **s, const char **p)
{
    const char c = (*p)[1], *end;

    if (c == 'b') {
        *s = balanced(m, *s, *p + 2);
        *p += *s ? 4 : 2;
        return true;
    }
    if (c == 'f') {
        *p += 2;
        if (*p >= m->pattern_end || **p != '[') {
            *s = fail(m, "missing '[' after '%f' in pattern");
            return true;
        }
        end = item_end(m, *p);
        if (!end || !at_border(m, *s, *p, end))
            *s = NULL;
        *p = end;
        return true;
    }
    if (between((unsigned char)c, '0', '9')) {
        *s = again(m, *s, c);
        *p += 2;
        return true;
    }
    return false;
}

static const char *walk(struct ql_pattern *m, const char *s, const char *p)
{
    while (s && p < m->pattern_end && step(m)) {
        const char *end;

        if (*p == '(') {
            if (p + 1 < m->pattern_end && p[1] == ')')
                return open_capture(m, s, p + 2, QL_CAPTURE_POSITION);
            return open_capture(m, s, p + 1, CAPTURE_OPEN);
        }
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->subject_end ? s : NULL;
        if (*p == '%' && p + 1 < m->pattern_end && special(m, &s, &p))
            continue;
        end = item_end(m, p);
        if (!end)
            return NULL;
        switch (end < m->pattern_end ? *end : '\0') {
        case '?':
            if (takes(m, s, p, end)) {
                const char *r = match_from(m, s + 1, end + 1);

                if (r || m->error)
                    return r;
            }
            p = end + 1;
            break;
        case '+':
            return takes(m, s, p, end) ? longest_first(m, s + 1, p, end) : NULL;
        case '*':
            return longest_first(m, s, p, end);
        case '-':
            return shortest_first(m, s, p, end);
        default:
            s = takes(m, s, p, end) ? s + 1 : NULL;
            p = end;
            break;
        }
    }
    return m->error ? NULL : s;
}

static const char *match_from(struct ql_pattern *m, const char *s, const char *p)
{
    const char *r;

    if (m->depth >= QL_PATTERN_DEPTH)
        return fail(m, "pattern too complex");
    m->depth++;
    r = walk(m, s, p);
    m->depth--;
    return r;
}

void ql_pattern_init(struct ql_pattern *m, const char *subject, size_t subject_len, const char *pattern,
                     size_t pattern_len, uint64_t steps)
{
    *m = (struct ql_pattern){
        .subject = subject,
        .subject_end = subject + subject_len,
        .pattern = pattern,
        .pattern_end = pattern + pattern_len,
        .steps_left = steps,
    };
}

const char *ql_pattern_match(struct ql_pattern *m, const char *at)
{
    const char *end;

    m->depth = 0;
    m->capture_count = 0;
    m->error = NULL;
    m->is_limit = 0;
    end = match_from(m, at, m->pattern);
    for (unsigned i = 0; end && i < m->capture_count; i++)
        if (m->captures[i].len == CAPTURE_OPEN)
            return fail(m, "unfinished capture");
    return end;
}
