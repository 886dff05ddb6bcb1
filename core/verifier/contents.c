/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "contents.h"
#include "error.h"

enum {
    FIRST_BUCKETS = 256
};

struct content {
    struct content *chain;
    uint8_t digest[32];
    size_t users;
    uint8_t *bytes; /* NULL: in `fd` */
    size_t len;
    int fd;
};

struct ql_contents {
    struct content **buckets;
    size_t bucket_count, count;
    int lent_fd; /* of the last small content that was asked for */
};

static struct content **find(const struct ql_contents *c, const uint8_t digest[32])
{
    uint64_t h;
    struct content **at;

    memcpy(&h, digest, sizeof h); /* a digest is as good as any hash of it */
    at = &c->buckets[h & (c->bucket_count - 1)];
    while (*at && memcmp((*at)->digest, digest, 32) != 0)
        at = &(*at)->chain;
    return at;
}

static int grow(struct ql_contents *c, struct ql_err *err)
{
    struct ql_contents wide = {.bucket_count = c->bucket_count ? c->bucket_count * 2 : FIRST_BUCKETS};

    if (c->count < c->bucket_count)
        return QL_OK;
    wide.buckets = calloc(wide.bucket_count, sizeof *wide.buckets);
    if (!wide.buckets)
        return ql_fail_nomem(err);
    for (size_t b = 0; b < c->bucket_count; b++)
        for (struct content *e = c->buckets[b], *next; e; e = next) {
            struct content **at = find(&wide, e->digest);

            next = e->chain;
            e->chain = NULL;
            *at = e;
        }
    free(c->buckets);
    c->buckets = wide.buckets;
    c->bucket_count = wide.bucket_count;
    return QL_OK;
}

int ql_contents_new(struct ql_contents **ret, struct ql_err *err)
{
    ql_auto(ql_contents_freep) struct ql_contents *c = calloc(1, sizeof *c);
    int r;

    if (!c)
        return ql_fail_nomem(err);
    c->lent_fd = -1;
    r = grow(c, err);
    if (r < 0)
        return r;
    *ret = ql_steal(c);
    return QL_OK;
}

static void content_free(struct content *e)
{
    free(e->bytes);
    ql_closep(&e->fd);
    free(e);
}

void ql_contents_free(struct ql_contents *c)
{
    if (!c)
        return;
    for (size_t b = 0; b < c->bucket_count; b++)
        for (struct content *e = c->buckets[b], *next; e; e = next) {
            next = e->chain;
            content_free(e);
        }
    free(c->buckets);
    ql_closep(&c->lent_fd);
    free(c);
}

static int sealed(const void *bytes, size_t len)
{
    ql_auto_close int fd = memfd_create("quicklime-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t at = 0;

    if (fd < 0)
        return -1;
    while (at < len) {
        ssize_t n = write(fd, (const uint8_t *)bytes + at, len - at);

        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return -1;
    return ql_steal_fd(fd);
}

int ql_contents_ref(struct ql_contents *c, const uint8_t digest[32], const void *bytes, size_t len,
                    struct ql_err *err)
{
    struct content **at = find(c, digest), *e = *at;

    if (e) {
        e->users++;
        return QL_OK;
    }
    if (!bytes)
        return ql_fail(err, QL_ENOTFOUND, "content of a policy is missing");
    if (grow(c, err) < 0)
        return QL_ENOMEM;
    at = find(c, digest);
    e = calloc(1, sizeof *e);
    if (!e)
        return ql_fail_nomem(err);
    *e = (struct content){.users = 1, .len = len, .fd = -1};
    memcpy(e->digest, digest, 32);
    if (len <= QL_CONTENT_SMALL_MAX) {
        e->bytes = malloc(len + 1);
        if (e->bytes)
            memcpy(e->bytes, bytes, len);
    } else {
        e->fd = sealed(bytes, len);
    }
    if (!e->bytes && e->fd < 0) {
        content_free(e);
        return ql_fail(err, QL_ENOMEM, "no memory for a policy of %zu bytes", len);
    }
    *at = e;
    c->count++;
    return QL_OK;
}

void ql_contents_unref(struct ql_contents *c, const uint8_t digest[32])
{
    struct content **at = find(c, digest), *e = *at;

    if (!e || --e->users > 0)
        return;
    *at = e->chain;
    c->count--;
    content_free(e);
}

bool ql_contents_has(const struct ql_contents *c, const uint8_t digest[32])
{
    return *find(c, digest) != NULL;
}

int ql_contents_fd(struct ql_contents *c, const uint8_t digest[32], int *ret_fd, size_t *ret_len)
{
    struct content *e = *find(c, digest);

    if (!e)
        return QL_ENOTFOUND;
    *ret_len = e->len;
    if (e->fd >= 0) {
        *ret_fd = e->fd;
        return QL_OK;
    }
    ql_closep(&c->lent_fd);
    c->lent_fd = sealed(e->bytes, e->len);
    if (c->lent_fd < 0)
        return QL_EIO;
    *ret_fd = c->lent_fd;
    return QL_OK;
}

size_t ql_contents_count(const struct ql_contents *c)
{
    return c->count;
}
