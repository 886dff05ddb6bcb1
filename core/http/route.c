/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "parse.h"
#include "route.h"

struct path {
    struct ql_span seg[QL_SEGMENTS_MAX + 2]; /* one for the version, one to notice that there are too many */
    size_t count;
    bool slash; /* ends in one */
};

struct row {
    const struct ql_route *route;
    struct path path;
};

struct ql_routes {
    const unsigned *versions;
    bool slash_optional;
    size_t count;
    struct row row[QL_ROUTES_MAX];
};

/* Split at each '/'; the part after a final one is no segment. Returns false when there are too many. */
static bool split(const char *text, size_t len, struct path *p)
{
    size_t at = 1;

    memset(p, 0, sizeof *p);
    p->slash = len > 1 && text[len - 1] == '/';
    if (p->slash)
        len--;
    while (at < len || (at == len && p->slash && len > 1)) {
        const char *end = memchr(text + at, '/', len - at);
        size_t part = end ? (size_t)(end - text) - at : len - at;

        if (p->count == QL_ARRAY_LEN(p->seg))
            return false;
        p->seg[p->count++] = (struct ql_span){text + at, part};
        at += part + 1;
    }
    return true;
}

static bool is_param(const struct ql_span *s)
{
    return s->len > 2 && s->at[0] == '{' && s->at[s->len - 1] == '}';
}

static int check_row(const struct ql_route *r, struct path *p, struct ql_err *err)
{
    unsigned params = 0;

    if (r->pattern[0] != '/' || !split(r->pattern, strlen(r->pattern), p) || p->count > QL_SEGMENTS_MAX)
        return ql_fail(err, QL_ERANGE, "route %s: not a path of at most %d segments", r->pattern,
                       QL_SEGMENTS_MAX);
    if (r->method == 0 || (r->method & (r->method - 1)) != 0)
        return ql_fail(err, QL_ERANGE, "route %s: needs exactly one method", r->pattern);
    if (r->who == QL_WHO_NOBODY || r->who > QL_WHO_ADMIN)
        return ql_fail(err, QL_ERANGE, "route %s: says not who may call it", r->pattern);
    if (!r->action || !r->handler)
        return ql_fail(err, QL_ERANGE, "route %s: action or handler is missing", r->pattern);
    if ((r->first == 0) != (r->last == 0) || r->first > r->last)
        return ql_fail(err, QL_ERANGE, "route %s: versions are not a range", r->pattern);
    for (size_t i = 0; i < p->count; i++) {
        if (p->seg[i].len == 0)
            return ql_fail(err, QL_ERANGE, "route %s: empty segment", r->pattern);
        params += is_param(&p->seg[i]);
    }
    if (params > QL_ROUTE_PARAMS_MAX)
        return ql_fail(err, QL_ERANGE, "route %s: more than %d parameters", r->pattern, QL_ROUTE_PARAMS_MAX);
    return QL_OK;
}

int ql_routes_new(const struct ql_route *rows, const unsigned *versions, bool slash_optional,
                  struct ql_routes **ret, struct ql_err *err)
{
    static const unsigned none[] = {0};
    ql_auto(ql_routes_freep) struct ql_routes *t = calloc(1, sizeof *t);

    if (!t)
        return ql_fail_nomem(err);
    t->versions = versions ? versions : none;
    t->slash_optional = slash_optional;
    for (; rows->pattern; rows++) {
        int r;

        if (t->count == QL_ROUTES_MAX)
            return ql_fail(err, QL_ERANGE, "more than %d routes", QL_ROUTES_MAX);
        r = check_row(rows, &t->row[t->count].path, err);
        if (r < 0)
            return r;
        t->row[t->count++].route = rows;
    }
    *ret = ql_steal(t);
    return QL_OK;
}

void ql_routes_free(struct ql_routes *t)
{
    free(t);
}

size_t ql_routes_body_max(const struct ql_routes *t, size_t preset)
{
    size_t most = preset;

    for (size_t i = 0; i < t->count; i++)
        if (t->row[i].route->body_max > most)
            most = t->row[i].route->body_max;
    return most;
}

/* "v2.6", or "v2" for the newest 2.x. Returns 0 for a version that is not served. */
static unsigned find_version(const struct ql_routes *t, const struct ql_span *s)
{
    const char *dot = memchr(s->at, '.', s->len);
    size_t major_len = (dot ? (size_t)(dot - s->at) : s->len) - 1;
    uint64_t major, minor = 0;
    unsigned best = 0;

    if (major_len > 3 || ql_parse_u64(s->at + 1, major_len, 0, 255, &major, NULL) < 0)
        return 0;
    if (dot && (s->len - major_len - 2 > 3 ||
                ql_parse_u64(dot + 1, s->len - major_len - 2, 0, 255, &minor, NULL) < 0))
        return 0;
    /* One spelling a version: a caller that compares texts must not be led astray by "v02.6". */
    if ((major_len > 1 && s->at[1] == '0') || (dot && s->len - major_len - 2 > 1 && dot[1] == '0'))
        return 0;
    for (const unsigned *v = t->versions; *v; v++)
        if (*v >> 8 == major && (!dot || (*v & 0xff) == minor) && *v > best)
            best = *v;
    return best;
}

static bool same_path(const struct row *row, const struct path *p, size_t skip, bool slash_optional)
{
    if (row->path.count != p->count - skip)
        return false;
    if (!slash_optional && p->count > skip && row->path.slash != p->slash)
        return false;
    for (size_t i = 0; i < row->path.count; i++) {
        const struct ql_span *want = &row->path.seg[i], *have = &p->seg[i + skip];

        if (have->len == 0)
            return false;
        if (!is_param(want) && (want->len != have->len || memcmp(want->at, have->at, have->len) != 0))
            return false;
    }
    return true;
}

static void take(const struct row *row, const struct path *p, size_t skip, struct ql_match *ret)
{
    ret->route = row->route;
    for (size_t i = 0; i < row->path.count; i++)
        if (is_param(&row->path.seg[i]))
            ret->param[ret->param_count++] = p->seg[i + skip];
}

void ql_routes_match(const struct ql_routes *t, unsigned method, const char *path, size_t len,
                     struct ql_match *ret)
{
    struct path p;
    size_t skip = 0;

    memset(ret, 0, sizeof *ret);
    ret->miss = QL_MISS_PATH;
    if (len == 0 || path[0] != '/' || !split(path, len, &p))
        return;
    if (p.count > 0 && p.seg[0].len > 1 && p.seg[0].at[0] == 'v' && p.seg[0].at[1] >= '0' &&
        p.seg[0].at[1] <= '9') {
        ret->version = find_version(t, &p.seg[0]);
        if (ret->version == 0) {
            ret->miss = QL_MISS_VERSION;
            return;
        }
        skip = 1;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct ql_route *r = t->row[i].route;

        if (ret->version < r->first || ret->version > r->last ||
            !same_path(&t->row[i], &p, skip, t->slash_optional))
            continue;
        if (r->method == method) {
            take(&t->row[i], &p, skip, ret);
            return;
        }
        ret->allowed |= r->method;
    }
    if (ret->allowed)
        ret->miss = QL_MISS_METHOD;
}

int ql_route_param_index(const struct ql_route *route, const char *name)
{
    size_t len = strlen(name);
    int index = 0;

    for (const char *p = strchr(route->pattern, '{'); p; p = strchr(p + 1, '{'), index++)
        if (strncmp(p + 1, name, len) == 0 && p[len + 1] == '}')
            return index;
    return -1;
}
