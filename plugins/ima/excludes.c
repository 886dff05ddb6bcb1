/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "excludes.h"
#include "pattern.h"
#include "pyregex.h"

/*
 * One alternative of an element. All are sorted by what a name must begin with (`head`). Every head that begins a name is
 * then its predecessor in that order or one that the predecessor begins with: `up` leads there, longest first.
 */
struct entry {
    const uint8_t *head, *tail;
    uint32_t head_len, tail_len;
    uint32_t up; /* index + 1 of the next shorter (or equal) head; 0: none */
    enum ima_pyregex_kind kind;
    struct ima_pattern *pattern; /* of complex ones */
};

/* Literals lie in chunks, so that they stay where they are. */
struct chunk {
    struct chunk *next;
    uint8_t bytes[];
};

struct ima_excludes {
    const struct ql_host *host;
    struct ima_matcher *matcher;
    struct chunk *chunks;
    struct entry *entries;
    size_t count, room, size;
};

void ima_excludes_free(struct ima_excludes *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->count; i++)
        ima_pattern_free(e->entries[i].pattern);
    for (struct chunk *c = e->chunks, *next; c; c = next) {
        next = c->next;
        e->host->free(e->host, c);
    }
    ima_matcher_free(e->matcher);
    e->host->free(e->host, e->entries);
    e->host->free(e->host, e);
}

size_t ima_excludes_size(const struct ima_excludes *e)
{
    return e ? e->size : 0;
}

static const uint8_t *keep_literals(struct ima_excludes *e, const struct ima_pyregex *r)
{
    struct chunk *c = e->host->alloc(e->host, sizeof *c + r->literals.len + 1);

    if (!c)
        return NULL;
    c->next = e->chunks;
    e->chunks = c;
    e->size += sizeof *c + r->literals.len + 1;
    if (r->literals.len > 0)
        memcpy(c->bytes, r->literals.data, r->literals.len);
    return c->bytes;
}

static int add_entry(struct ima_excludes *e, const struct ima_pyregex *r,
                     const struct ima_pyregex_alternative *a, const uint8_t *literals, struct ql_err *err)
{
    const struct ql_host *host = e->host;
    struct entry one = {.kind = a->kind,
                        .head = literals + a->head_at,
                        .head_len = (uint32_t)a->head_len,
                        .tail = literals + a->tail_at,
                        .tail_len = (uint32_t)a->tail_len};
    int r_code = QL_OK;

    if (e->count == IMA_EXCLUDES_MAX)
        return host->fail(err, QL_ELIMIT, "more than %d alternatives", IMA_EXCLUDES_MAX);
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 16;
        struct entry *wide = host->realloc(host, e->entries, room * sizeof *wide);

        if (!wide)
            return host->fail(err, QL_ENOMEM, "no memory for %zu excludes", room);
        e->entries = wide;
        e->room = room;
    }
    if (a->kind == IMA_PY_COMPLEX) {
        r_code = ima_pattern_new_raw(host, r->text.data ? r->text.data + a->at : NULL, a->len, false,
                                     e->matcher, &one.pattern, err);
        if (r_code < 0)
            return r_code;
        e->size += ima_pattern_size(one.pattern);
    }
    e->entries[e->count++] = one;
    return QL_OK;
}

static int add_element(struct ima_excludes *e, const struct ima_exclude *element,
                       struct ima_pyregex_list *list, struct ql_err *err)
{
    struct ima_pyregex r = {0};
    const uint8_t *literals = NULL;
    int code;

    if (element->len > IMA_EXCLUDE_MAX)
        return e->host->fail(err, QL_ELIMIT, "%zu bytes, at most %d", element->len, IMA_EXCLUDE_MAX);
    code = ima_pyregex_translate(e->host, element->text, element->len, list, &r, err);
    if (code == QL_OK) {
        literals = keep_literals(e, &r);
        if (!literals)
            code = e->host->fail(err, QL_ENOMEM, "no memory");
    }
    for (size_t i = 0; code == QL_OK && i < r.count; i++)
        code = add_entry(e, &r, &r.alternatives[i], literals, err);
    ima_pyregex_done(e->host, &r);
    return code;
}

static int compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int order = n > 0 ? memcmp(a, b, n) : 0;

    if (order != 0)
        return order;
    return a_len < b_len ? -1 : a_len > b_len;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return compare(x->head, x->head_len, y->head, y->head_len);
}

static bool begins(const struct entry *e, const uint8_t *name, size_t len)
{
    return e->head_len <= len && (e->head_len == 0 || memcmp(e->head, name, e->head_len) == 0);
}

static void link_up(struct ima_excludes *e)
{
    for (size_t i = 1; i < e->count; i++) {
        uint32_t up = (uint32_t)i; /* index + 1 of the predecessor */

        while (up > 0 && !begins(&e->entries[up - 1], e->entries[i].head, e->entries[i].head_len))
            up = e->entries[up - 1].up;
        e->entries[i].up = up;
    }
}

int ima_excludes_compile(const struct ql_host *host, const struct ima_exclude *elements, size_t count,
                         struct ima_excludes **ret, struct ql_err *err)
{
    struct ima_pyregex_list *list;
    struct ima_excludes *e;
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (count == 0) {
        *ret = NULL;
        return QL_OK;
    }
    e = host->alloc(host, sizeof *e);
    list = host->alloc(host, sizeof *list);
    if (e)
        *e = (struct ima_excludes){.host = host, .size = sizeof *e};
    if (!e || !list) {
        host->free(host, list);
        ima_excludes_free(e);
        return host->fail(err, QL_ENOMEM, "no memory for %zu excludes", count);
    }
    memset(list, 0, sizeof *list);
    r = ima_matcher_new(host, &e->matcher, err);
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        r = add_element(e, &elements[i], list, &why);
        if (r < 0)
            host->fail(err, r, "Exclude list regex is misformatted: 'excludes': element %zu: %s", i + 1,
                       why.text);
    }
    host->free(host, list);
    if (r < 0) {
        ima_excludes_free(e);
        return r;
    }
    qsort(e->entries, e->count, sizeof *e->entries, compare_entries);
    link_up(e);
    e->size += e->room * sizeof *e->entries;
    *ret = e;
    return QL_OK;
}

/* Is `tail` in the text, before a line feed ends what .* takes? At the end only: a last line feed may follow. */
static bool has_tail(const struct entry *x, const uint8_t *text, size_t len)
{
    const uint8_t *lf = len > 0 ? memchr(text, '\n', len) : NULL;
    size_t last_start = lf ? (size_t)(lf - text) : len;

    if (x->kind == IMA_PY_CONTAINS) {
        const uint8_t *found = len > 0 ? memmem(text, len, x->tail, x->tail_len) : NULL;

        return found && (size_t)(found - text) <= last_start;
    }
    for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
        size_t end = len - is_cut;

        if (is_cut && (len == 0 || text[len - 1] != '\n'))
            return false;
        if (end >= x->tail_len && end - x->tail_len <= last_start &&
            memcmp(text + end - x->tail_len, x->tail, x->tail_len) == 0)
            return true;
    }
    return false;
}

static enum ima_match try_entry(const struct entry *x, const uint8_t *name, size_t len)
{
    const uint8_t *rest = name + x->head_len;
    size_t left = len - x->head_len;

    switch (x->kind) {
    case IMA_PY_PREFIX:
        return IMA_MATCH;
    case IMA_PY_EXACT:
        return left == 0 || (left == 1 && *rest == '\n') ? IMA_MATCH : IMA_NO_MATCH;
    case IMA_PY_CONTAINS:
    case IMA_PY_SUFFIX:
        return has_tail(x, rest, left) ? IMA_MATCH : IMA_NO_MATCH;
    case IMA_PY_COMPLEX:
        return ima_pattern_match(x->pattern, name, len);
    }
    return IMA_NO_MATCH;
}

enum ima_excluded ima_excludes_match(const struct ima_excludes *e, const uint8_t *name, size_t len)
{
    enum ima_excluded verdict = IMA_NOT_EXCLUDED;
    size_t low = 0, high;

    if (!e)
        return verdict;
    /* The last head that is not greater than the name. */
    for (high = e->count; low < high;) {
        size_t middle = low + (high - low) / 2;

        if (compare(e->entries[middle].head, e->entries[middle].head_len, name, len) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t at = low; at > 0; at = e->entries[at - 1].up) {
        const struct entry *x = &e->entries[at - 1];

        if (!begins(x, name, len))
            continue;
        switch (try_entry(x, name, len)) {
        case IMA_NO_MATCH:
            break;
        case IMA_MATCH:
            return IMA_EXCLUDED;
        case IMA_MATCH_LIMITED:
            verdict = IMA_EXCLUDE_LIMIT;
        }
    }
    return verdict;
}
