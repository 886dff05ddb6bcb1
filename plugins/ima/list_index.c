/* SPDX-License-Identifier: Apache-2.0 */
#include "list_index.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void ima_index_init(struct ima_index *x, const struct ql_host *host)
{
    *x = (struct ima_index){.host = host};
}

void ima_index_done(struct ima_index *x)
{
    x->host->free(x->host, x->offsets);
    ima_index_init(x, x->host);
}

ssize_t ima_read_at(int fd, void *to, size_t len, uint64_t at)
{
    ssize_t n;

    do
        n = pread(fd, to, len, (off_t)at);
    while (n < 0 && errno == EINTR);
    return n;
}

static int fail_read(const struct ima_index *x, struct ql_err *err)
{
    return x->host->fail(err, QL_EIO, "measurement list: %s", strerror(errno));
}

static int add_entry(struct ima_index *x, uint64_t at, struct ql_err *err)
{
    const size_t slot = (size_t)(x->count / IMA_INDEX_STEP);

    if (x->count++ % IMA_INDEX_STEP != 0)
        return QL_OK;
    if (slot == x->room) {
        const size_t room = x->room ? 2 * x->room : 64;
        uint64_t *grown = x->host->realloc(x->host, x->offsets, room * sizeof *grown);

        if (!grown)
            return x->host->fail(err, QL_ENOMEM, "measurement list: no memory for %zu offsets", room);
        x->offsets = grown;
        x->room = room;
    }
    x->offsets[slot] = at;
    return QL_OK;
}

/* Read on from the end known so far. */
static int scan(struct ima_index *x, int fd, uint8_t *chunk, struct ql_err *err)
{
    uint64_t at = x->end;
    ssize_t n;

    while ((n = ima_read_at(fd, chunk, IMA_CHUNK, at)) > 0) {
        const uint8_t *from = chunk, *feed, *const end = chunk + n;

        while ((feed = memchr(from, '\n', (size_t)(end - from)))) {
            int r = add_entry(x, x->end, err);

            if (r < 0)
                return r;
            from = feed + 1;
            x->end = at + (uint64_t)(from - chunk);
        }
        at += (uint64_t)n;
    }
    return n < 0 ? fail_read(x, err) : QL_OK;
}

/* Are the bytes before the end known so far still what they were? */
static int is_same(const struct ima_index *x, int fd, bool *ret, struct ql_err *err)
{
    uint8_t now[IMA_TAIL_MAX];
    ssize_t n;

    *ret = true;
    if (x->tail_len == 0)
        return QL_OK;
    n = ima_read_at(fd, now, x->tail_len, x->end - x->tail_len);
    if (n < 0)
        return fail_read(x, err);
    *ret = (size_t)n == x->tail_len && memcmp(now, x->tail, x->tail_len) == 0;
    return QL_OK;
}

static int keep_tail(struct ima_index *x, int fd, struct ql_err *err)
{
    const size_t len = x->end < IMA_TAIL_MAX ? (size_t)x->end : IMA_TAIL_MAX;
    const ssize_t n = len > 0 ? ima_read_at(fd, x->tail, len, x->end - len) : 0;

    if (n < 0)
        return fail_read(x, err);
    x->tail_len = (size_t)n == len ? len : 0;
    return QL_OK;
}

int ima_index_update(struct ima_index *x, int fd, uint8_t *chunk, bool *is_new, struct ql_err *err)
{
    const uint64_t before = x->end;
    bool same = true;
    int r = is_same(x, fd, &same, err);

    if (r < 0)
        return r;
    *is_new = !same;
    if (!same)
        ima_index_done(x);
    r = scan(x, fd, chunk, err);
    if (r == QL_OK && (!same || x->end != before))
        r = keep_tail(x, fd, err);
    return r;
}

int ima_index_find(const struct ima_index *x, int fd, uint64_t n, uint8_t *chunk, uint64_t *ret,
                   struct ql_err *err)
{
    uint64_t at, left = n % IMA_INDEX_STEP;

    if (n == x->count) {
        *ret = x->end;
        return QL_OK;
    }
    at = x->offsets[n / IMA_INDEX_STEP];
    while (left > 0) {
        const ssize_t got = ima_read_at(fd, chunk, IMA_CHUNK, at);
        const uint8_t *from = chunk, *const end = chunk + (got > 0 ? got : 0);
        const uint8_t *feed = NULL;

        if (got < 0)
            return fail_read(x, err);
        if (got == 0)
            return x->host->fail(err, QL_EAGAIN, "measurement list became shorter while it was read");
        while (left > 0 && (feed = memchr(from, '\n', (size_t)(end - from)))) {
            from = feed + 1;
            left--;
        }
        at += left > 0 ? (uint64_t)got : (uint64_t)(from - chunk);
    }
    *ret = at;
    return QL_OK;
}
