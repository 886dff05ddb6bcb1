/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "fetch.h"
#include "repomd.h"
#include "rpm_remote.h"

enum {
    WORKERS = 8,
    WORKERS_MAX = 64,
    PACKAGES_MAX = 1024 * 1024,
    FIRST_LEN = 24 * 1024, /* bytes that hold most headers */
    TRIES_MAX = 4          /* how often a header may turn out longer than what was fetched */
};
#define DOCUMENT_MAX ((size_t)512 << 20) /* bytes of a document as it is stored */

struct package {
    char *url;
    uint64_t header_end; /* 0: not known */
};

struct repository {
    const struct ql_rpm_rules *rules;
    const char *base;  /* URL with a final '/' */
    const char *place; /* the same as it may be shown */
    struct ql_draft *to;
    struct package *packages;
    size_t count, room;
    _Atomic size_t next;
    pthread_mutex_t lock; /* of what follows, of the draft, and of standard error */
    size_t done, bad;
    int code;
};

static void repository_done(struct repository *o)
{
    for (size_t i = 0; i < o->count; i++)
        free(o->packages[i].url);
    free(o->packages);
}

/* ---- documents ---- */

/* A file of the repository; an empty one is none. */
static int fetch(struct ql_fetch *f, const struct repository *o, const char *reference, struct ql_buf *to,
                 struct ql_err *err)
{
    ql_auto_free char *url = NULL;
    int r = ql_fetch_resolve(o->base, reference, &url, err);

    if (r == QL_OK)
        r = ql_fetch_whole(f, url, to, err);
    return r == QL_OK && to->len == 0 ? ql_fail(err, QL_EPARSE, "%.512s: %.256s: empty", o->place, reference)
                                      : r;
}

/* One that need not be there. @param[out] ret  its data NULL: it is not */
static int fetch_optional(struct ql_fetch *f, const struct repository *o, const char *reference,
                          struct ql_buf *to, struct ql_span *ret, struct ql_err *err)
{
    int r = fetch(f, o, reference, to, err);

    if (r == QL_OK)
        *ret = (struct ql_span){to->data, to->len};
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int read_index(struct ql_fetch *f, const struct repository *o, struct ql_repomd *ret,
                      struct ql_err *err)
{
    ql_auto_buf struct ql_buf index = ql_buf_init(QL_REPOMD_LEN_MAX), asc = ql_buf_init(QL_DETACHED_MAX),
                              own_key = ql_buf_init(QL_DETACHED_MAX);
    struct ql_span signature = {0}, key = {0};
    int r = fetch(f, o, "repodata/repomd.xml", &index, err);

    if (r == QL_OK)
        r = fetch_optional(f, o, "repodata/repomd.xml.asc", &asc, &signature, err);
    if (r == QL_OK && signature.data && !o->rules->key)
        r = fetch_optional(f, o, "repodata/repomd.xml.key", &own_key, &key, err);
    if (r == QL_OK)
        r = ql_repomd_authentic(o->place, o->rules->key, (struct ql_span){index.data, index.len}, signature,
                                key, err);
    return r == QL_OK ? ql_repomd_read(index.data, index.len, ret, err) : r;
}

/* Another document, which must be as the index has it. */
static int fetch_listed(struct ql_fetch *f, const struct repository *o, const struct ql_repomd_data *listed,
                        struct ql_buf *to, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int r = fetch(f, o, listed->href, to, err);

    if (r == QL_OK && ql_repomd_check(listed, to->data, to->len, &why) < 0)
        r = ql_fail(err, why.code, "%.512s: %.256s: %s", o->place, listed->href, why.text);
    return r;
}

/* ---- packages ---- */

static int keep_package(void *arg, const char *href, uint64_t header_end, struct ql_err *err)
{
    struct repository *o = arg;
    int r;

    if (o->count == PACKAGES_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d packages", PACKAGES_MAX);
    if (o->count == o->room) {
        const size_t room = o->room ? 2 * o->room : 256;
        struct package *grown = reallocarray(o->packages, room, sizeof *grown);

        if (!grown)
            return ql_fail_nomem(err);
        o->packages = grown;
        o->room = room;
    }
    r = ql_fetch_resolve(o->base, href, &o->packages[o->count].url, err);
    if (r == QL_OK)
        o->packages[o->count++].header_end = header_end;
    return r;
}

/* The beginning of a package up to the end of its header. */
static int fetch_header(struct ql_fetch *f, const struct package *p, struct ql_buf *to, struct ql_err *err)
{
    size_t want = p->header_end > 0 && p->header_end <= to->max_len ? p->header_end : FIRST_LEN;

    for (int i = 0; i < TRIES_MAX; i++) {
        size_t need;
        int r;

        ql_buf_done(to);
        r = ql_fetch_beginning(f, p->url, want, to, err);
        if (r < 0)
            return r;
        need = ql_rpm_need(to->data, to->len);
        if (need == 0 || need > to->max_len)
            return ql_fail(err, QL_EPARSE, "no RPM package");
        if (need <= to->len)
            return QL_OK;
        if (to->len < want)
            return ql_fail(err, QL_EPARSE, "the package is cut short");
        want = need;
    }
    return ql_fail(err, QL_EPARSE, "a header that gets longer with each look");
}

static int read_package(struct ql_fetch *f, const struct package *p, struct ql_draft *to, struct ql_err *err)
{
    ql_auto_buf struct ql_buf header = ql_buf_init(QL_RPM_HEADER_MAX);
    int r = fetch_header(f, p, &header, err);

    return r == QL_OK ? ql_rpm_read(header.data, header.len, to, err) : r;
}

static void report(const struct package *p, const struct ql_err *why)
{
    ql_auto_free char *place = ql_fetch_shown(p->url);

    if (place && strncmp(why->text, place, strlen(place)) == 0) /* what fetching fails with names it */
        fprintf(stderr, "%s\n", why->text);
    else
        fprintf(stderr, "%s: %s\n", place ? place : "a package", why->text);
}

/* Nothing is taken of a package that cannot be read to the end of its header. */
static void *read_some(void *arg)
{
    struct repository *o = arg;
    ql_auto(ql_fetch_freep) struct ql_fetch *f = NULL;
    size_t at;

    if (ql_fetch_new(o->rules->ca_file, &f, NULL) < 0)
        return NULL; /* the others go on; the first one has its own already */
    while ((at = atomic_fetch_add(&o->next, 1)) < o->count) {
        struct ql_err why = QL_ERR_INIT;
        struct ql_draft own;
        int r;

        ql_draft_init(&own);
        r = read_package(f, &o->packages[at], &own, &why);
        pthread_mutex_lock(&o->lock);
        if (r == QL_OK)
            r = ql_names_merge(&o->to->digests, &own.digests) < 0 ? ql_fail_nomem(&why) : QL_OK;
        if (r < 0) {
            report(&o->packages[at], &why);
            o->bad++;
        }
        if (r == QL_ENOMEM)
            o->code = r;
        o->done++;
        if (o->rules->shows_progress)
            fprintf(stderr, "\r%zu of %zu packages%s", o->done, o->count, o->done == o->count ? "\n" : "");
        pthread_mutex_unlock(&o->lock);
        ql_draft_done(&own);
    }
    return NULL;
}

static int read_packages(struct repository *o, struct ql_err *err)
{
    unsigned want = o->rules->workers ? o->rules->workers : WORKERS;
    pthread_t threads[WORKERS_MAX];
    unsigned started = 0;

    if (want > WORKERS_MAX)
        want = WORKERS_MAX;
    if (want > o->count)
        want = (unsigned)o->count;
    while (started + 1 < want && pthread_create(&threads[started], NULL, read_some, o) == 0)
        started++;
    (void)read_some(o); /* with fewer threads it only takes longer */
    while (started > 0)
        pthread_join(threads[--started], NULL);
    if (o->code < 0 || o->done < o->count)
        return ql_fail_nomem(err);
    return o->count > 0 && o->bad == o->count
               ? ql_fail(err, QL_EIO, "%.512s: none of %zu packages could be read", o->place, o->count)
               : QL_OK;
}

/* ---- a repository ---- */

static int read_repository(struct repository *o, struct ql_err *err)
{
    ql_auto(ql_fetch_freep) struct ql_fetch *f = NULL;
    ql_auto_buf struct ql_buf document = ql_buf_init(DOCUMENT_MAX);
    ql_auto_free struct ql_repomd *index = calloc(1, sizeof *index);
    int r = index ? ql_fetch_new(o->rules->ca_file, &f, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        r = read_index(f, o, index, err);
    if (r < 0)
        return r;
    if (index->filelists_ext.href[0]) {
        r = fetch_listed(f, o, &index->filelists_ext, &document, err);
        return r == QL_OK ? ql_filelists_read(document.data, document.len, o->to, err) : r;
    }
    if (!index->primary.href[0])
        return ql_fail(err, QL_EPARSE, "%.512s: repomd.xml lists no packages", o->place);
    r = fetch_listed(f, o, &index->primary, &document, err);
    if (r == QL_OK)
        r = ql_primary_read(document.data, document.len, keep_package, o, err);
    return r == QL_OK ? read_packages(o, err) : r;
}

int ql_rpm_remote(const char *url, const struct ql_rpm_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err)
{
    const size_t len = strlen(url);
    ql_auto_free char *base = malloc(len + 2), *place = ql_fetch_shown(url);
    struct repository o = {
        .rules = rules, .base = base, .place = place, .to = to, .lock = PTHREAD_MUTEX_INITIALIZER};
    int r;

    *bad = 0;
    if (!base)
        return ql_fail_nomem(err);
    if (!place || (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0))
        return ql_fail(err, QL_EPARSE, "a repository is named by a URL of http or https");
    memcpy(base, url, len + 1);
    if (url[len - 1] != '/')
        memcpy(base + len, "/", 2);
    r = read_repository(&o, err);
    *bad = o.bad;
    repository_done(&o);
    return r;
}
