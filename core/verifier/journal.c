/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "file.h"
#include "journal.h"

struct ql_journal {
    char *path;
    int fd;
    _Atomic size_t len; /* written by the helper thread, read by the loop */
};

int ql_journal_open(const char *path, struct ql_journal **ret, struct ql_err *err)
{
    ql_auto(ql_journal_freep) struct ql_journal *j = calloc(1, sizeof *j);
    struct stat st;

    if (!j)
        return ql_fail_nomem(err);
    j->fd = -1;
    j->path = strdup(path);
    if (!j->path)
        return ql_fail_nomem(err);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    j->len = (size_t)st.st_size;
    *ret = ql_steal(j);
    return QL_OK;
}

void ql_journal_free(struct ql_journal *j)
{
    if (!j)
        return;
    ql_closep(&j->fd);
    free(j->path);
    free(j);
}

static int write_all(int fd, const char *data, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        data += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int ql_journal_append(struct ql_journal *j, const char *line, struct ql_err *err)
{
    size_t len = strlen(line), at = j->len;

    if (len > QL_JOURNAL_LINE_MAX)
        return ql_fail(err, QL_ELIMIT, "journal record of %zu bytes, at most %d", len, QL_JOURNAL_LINE_MAX);
    if (at > QL_JOURNAL_MAX || len + 1 > QL_JOURNAL_MAX - at)
        return ql_fail(err, QL_EFULL, "%s has reached its %d bytes", j->path, QL_JOURNAL_MAX);
    /* The line feed last: a record without it was never acknowledged. */
    if (write_all(j->fd, line, len, (off_t)at) != 0 || write_all(j->fd, "\n", 1, (off_t)(at + len)) != 0 ||
        fsync(j->fd) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", j->path, strerror(errno));
    j->len = at + len + 1;
    return QL_OK;
}

int ql_journal_each(struct ql_journal *j,
                    int (*fn)(void *arg, const char *line, size_t len, struct ql_err *err), void *arg,
                    struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL;
    const char *at;
    size_t len = 0;
    int r = ql_file_read(j->path, QL_JOURNAL_MAX + QL_JOURNAL_LINE_MAX, &data, &len, err);

    if (r < 0)
        return r;
    at = (const char *)data;
    for (const char *end; r == QL_OK && (end = memchr(at, '\n', len)); at = end + 1) {
        size_t line = (size_t)(end - at);

        r = fn(arg, at, line, err);
        len -= line + 1;
    }
    return r;
}

int ql_journal_clear(struct ql_journal *j, struct ql_err *err)
{
    if (ftruncate(j->fd, 0) != 0 || fsync(j->fd) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", j->path, strerror(errno));
    j->len = 0;
    return QL_OK;
}

bool ql_journal_is_empty(const struct ql_journal *j)
{
    return j->len == 0;
}
