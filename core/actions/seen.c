/* SPDX-License-Identifier: Apache-2.0 */
/* File: magic, floor (i64be); then records of digest and time (i64be), oldest first. */
#include "seen.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "clock.h"
#include "error.h"
#include "file.h"

enum {
    RECORD_LEN = QL_SEEN_DIGEST_LEN + 8,
    HEAD_LEN = 16,
    FILE_RECORDS_MAX = 2 * QL_SEEN_MAX /* then it is written anew, with the newer half */
};
static const char MAGIC[8] = {'q', 'l', 's', 'e', 'e', 'n', '1', '\n'};

struct record {
    uint8_t digest[QL_SEEN_DIGEST_LEN];
    int64_t time_ns;
};

struct ql_seen {
    char *path;
    int fd;
    struct record records[QL_SEEN_MAX]; /* a ring */
    size_t first, count;
    size_t in_file;   /* records */
    int64_t floor_ns; /* time of the youngest message that was forgotten */
};

static int64_t get_i64(const uint8_t *p)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

static void remember(struct ql_seen *s, const uint8_t *digest, int64_t time_ns)
{
    struct record *at = &s->records[(s->first + s->count) % QL_SEEN_MAX];

    if (s->count == QL_SEEN_MAX) {
        if (at->time_ns > s->floor_ns)
            s->floor_ns = at->time_ns;
        s->first = (s->first + 1) % QL_SEEN_MAX;
    } else {
        s->count++;
    }
    memcpy(at->digest, digest, sizeof at->digest);
    at->time_ns = time_ns;
}

static int add_record(struct ql_buf *b, const uint8_t *digest, int64_t time_ns)
{
    (void)ql_buf_add(b, digest, QL_SEEN_DIGEST_LEN); /* the buffer remembers a failure */
    return ql_buf_add_u64be(b, (uint64_t)time_ns);
}

/* Write the file as what is in memory says. */
static int rewrite(struct ql_seen *s, struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(HEAD_LEN + QL_SEEN_MAX * RECORD_LEN);
    int r;

    (void)ql_buf_add(&b, MAGIC, sizeof MAGIC); /* the buffer remembers a failure */
    (void)ql_buf_add_u64be(&b, (uint64_t)s->floor_ns);
    for (size_t i = 0; i < s->count; i++) {
        const struct record *at = &s->records[(s->first + i) % QL_SEEN_MAX];

        (void)add_record(&b, at->digest, at->time_ns);
    }
    if (b.failed)
        return ql_fail_nomem(err);
    r = ql_file_write(s->path, 0600, b.data, b.len, err);
    if (r < 0)
        return r;
    ql_closep(&s->fd);
    s->fd = open(s->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    s->in_file = s->count;
    return s->fd >= 0 ? QL_OK : ql_fail(err, QL_EIO, "%s: %s", s->path, strerror(errno));
}

int ql_seen_open(const char *path, struct ql_seen **ret, struct ql_err *err)
{
    ql_auto(ql_seen_freep) struct ql_seen *s = calloc(1, sizeof *s);
    ql_auto_free uint8_t *data = NULL;
    size_t len = 0;
    int r;

    if (!s)
        return ql_fail_nomem(err);
    s->fd = -1;
    s->floor_ns = INT64_MIN;
    s->path = strdup(path);
    if (!s->path)
        return ql_fail_nomem(err);
    r = ql_file_read(path, HEAD_LEN + (FILE_RECORDS_MAX + 1) * RECORD_LEN, &data, &len, err);
    if (r < 0 && r != QL_ENOTFOUND)
        return r;
    if (r == QL_OK && (len < HEAD_LEN || memcmp(data, MAGIC, sizeof MAGIC) != 0))
        return ql_fail(err, QL_ECORRUPT, "%s is no list of revocations seen; keep it, and look what wrote it",
                       path);
    if (r == QL_OK) {
        s->floor_ns = get_i64(data + sizeof MAGIC);
        for (size_t at = HEAD_LEN; len - at >= RECORD_LEN; at += RECORD_LEN)
            remember(s, data + at, get_i64(data + at + QL_SEEN_DIGEST_LEN));
    }
    r = rewrite(s, err);
    if (r == QL_OK)
        *ret = ql_steal(s);
    return r;
}

enum ql_seen_is ql_seen_look(const struct ql_seen *s, const uint8_t *digest, int64_t time_ns, int64_t now_ns)
{
    const int64_t age = (QL_SEEN_DAYS * INT64_C(24) + QL_SEEN_SLACK_H) * 3600 * QL_NS_PER_S;

    for (size_t i = 0; i < s->count; i++)
        if (memcmp(s->records[(s->first + i) % QL_SEEN_MAX].digest, digest, QL_SEEN_DIGEST_LEN) == 0)
            return QL_SEEN_KNOWN;
    return time_ns < now_ns - age || time_ns <= s->floor_ns ? QL_SEEN_OLD : QL_SEEN_NEW;
}

int ql_seen_add(struct ql_seen *s, const uint8_t *digest, int64_t time_ns, struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(RECORD_LEN);
    int r = QL_OK;

    if (s->fd < 0 || s->in_file >= FILE_RECORDS_MAX)
        r = rewrite(s, err);
    if (r < 0)
        return r;
    if (add_record(&b, digest, time_ns) < 0)
        return ql_fail_nomem(err);
    if (write(s->fd, b.data, b.len) != (ssize_t)b.len || fdatasync(s->fd) != 0) {
        r = ql_fail(err, QL_EIO, "%s: %s", s->path, strerror(errno));
        ql_closep(&s->fd); /* what it holds is unknown: the next one writes it anew */
        return r;
    }
    s->in_file++;
    remember(s, digest, time_ns);
    return QL_OK;
}

void ql_seen_free(struct ql_seen *s)
{
    if (!s)
        return;
    ql_closep(&s->fd);
    free(s->path);
    free(s);
}
