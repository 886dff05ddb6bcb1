/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evidence component: serves the kernel's measurement list from any entry on.
 *
 * The file is opened before the agent gives up its rights and stays open. Two descriptors: the kernel makes the list's text
 * anew up to where one reads, unless one goes on where the same descriptor stood; one of them stands at the end, to see what
 * is new, the other where the last answer ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ima.h"
#include "list_index.h"

struct collector {
    const struct ql_host *host;
    const char *path;
    int scan_fd, send_fd; /* -1: not open */
    dev_t device;
    ino_t inode;
    struct ima_index index;
    uint8_t chunk[IMA_CHUNK];
};

static void close_files(struct collector *c)
{
    if (c->scan_fd >= 0)
        close(c->scan_fd);
    if (c->send_fd >= 0)
        close(c->send_fd);
    c->scan_fd = c->send_fd = -1;
    ima_index_done(&c->index);
}

static int open_one(const char *path)
{
    int fd;

    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* @return false: errno says why; what was open stays so */
static bool open_files(struct collector *c)
{
    const int scan_fd = open_one(c->path), send_fd = scan_fd >= 0 ? open_one(c->path) : -1;
    struct stat st;
    int why = errno;

    if (scan_fd < 0 || send_fd < 0 || fstat(scan_fd, &st) < 0) {
        why = scan_fd >= 0 && send_fd >= 0 ? errno : why;
    } else if (!S_ISREG(st.st_mode)) {
        why = EINVAL;
    } else {
        close_files(c);
        c->scan_fd = scan_fd;
        c->send_fd = send_fd;
        c->device = st.st_dev;
        c->inode = st.st_ino;
        return true;
    }
    if (scan_fd >= 0)
        close(scan_fd);
    if (send_fd >= 0)
        close(send_fd);
    errno = why;
    return false;
}

static int collector_open(void *plugin, void **handle, struct ql_err *err)
{
    const struct ima_plugin *p = plugin;
    struct collector *c = p->host->alloc(p->host, sizeof *c);

    if (!c)
        return p->host->fail(err, QL_ENOMEM, "ima: no memory");
    c->host = p->host;
    c->path = p->list;
    c->scan_fd = c->send_fd = -1;
    ima_index_init(&c->index, p->host);
    (void)open_files(c); /* a list that is not there yet is looked for at each quote */
    *handle = c;
    return QL_OK;
}

static void collector_close(void *plugin, void *handle)
{
    struct collector *c = handle;

    (void)plugin;
    if (!c)
        return;
    close_files(c);
    c->host->free(c->host, c);
}

/* Another file under the same name is taken instead, where our rights allow it. @param[out] is_new it was */
static int make_ready(struct collector *c, bool *is_new, struct ql_err *err)
{
    struct stat st;
    const bool there = stat(c->path, &st) == 0;

    if (c->scan_fd >= 0 && (!there || (st.st_dev == c->device && st.st_ino == c->inode)))
        return QL_OK;
    *is_new = open_files(c);
    if (c->scan_fd >= 0)
        return QL_OK;
    return c->host->fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EACCES, "measurement list %s: %s", c->path,
                         errno == EINVAL ? "not a file" : strerror(errno));
}

/* Line feeds in a piece. */
static uint64_t count_lines(const uint8_t *at, size_t len)
{
    const uint8_t *const end = at + len;
    uint64_t count = 0;

    while ((at = memchr(at, '\n', (size_t)(end - at)))) {
        at++;
        count++;
    }
    return count;
}

/*
 * Entries from an offset to the end known so far. A piece that the sink refuses is tried up to its last line feed that fits:
 * what was written must be whole entries.
 */
static int send(struct collector *c, uint64_t at, struct ql_sink *sink, struct ql_collected *ret,
                struct ql_err *err)
{
    uint64_t partial = 0; /* bytes written of an entry that is not complete yet */

    while (at < c->index.end) {
        const uint64_t left = c->index.end - at;
        const ssize_t n = ima_read_at(c->send_fd, c->chunk, left < IMA_CHUNK ? (size_t)left : IMA_CHUNK, at);
        size_t len;
        const uint8_t *feed;
        int r;

        if (n < 0)
            return c->host->fail(err, QL_EIO, "measurement list %s: %s", c->path, strerror(errno));
        if (n == 0)
            return c->host->fail(err, QL_EAGAIN, "measurement list %s became shorter while it was read",
                                 c->path);
        feed = memrchr(c->chunk, '\n', (size_t)n);
        len = feed ? (size_t)(feed - c->chunk) + 1 : (size_t)n;
        r = sink->write(sink, c->chunk, len);
        if (r == QL_ELIMIT && partial == 0) {
            ret->more = 1;
            return QL_OK;
        }
        if (r < 0)
            return c->host->fail(
                err, r, "measurement list %s: an entry of more than %d bytes does not fit the answer",
                c->path, IMA_CHUNK);
        partial = feed ? 0 : partial + len;
        ret->cursor_to += count_lines(c->chunk, len);
        at += len;
    }
    return QL_OK;
}

static int collector_collect(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                             struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    struct collector *c = handle;
    bool is_other_file = false, is_new = false;
    uint64_t at = 0;
    int r = make_ready(c, &is_other_file, err);

    (void)plugin;
    (void)parameters; /* there are none */
    if (r == QL_OK)
        r = ima_index_update(&c->index, c->scan_fd, c->chunk, &is_new, err);
    if (r < 0)
        return r;
    ret->more = 0;
    ret->cursor_from = is_other_file || is_new || cursor > c->index.count ? 0 : cursor;
    ret->cursor_to = ret->cursor_from;
    if (ret->cursor_from > 0)
        r = ima_index_find(&c->index, c->send_fd, ret->cursor_from, c->chunk, &at, err);
    return r == QL_OK ? send(c, at, sink, ret, err) : r;
}

const struct ql_evidence ima_evidence = {
    .head = {.size = sizeof(struct ql_evidence),
             .kind = QL_KIND_EVIDENCE,
             .name = "ima",
             .flags = QL_EVIDENCE_BOUND_PCR},
    .pcr = IMA_PCR,
    .open = collector_open,
    .collect = collector_collect,
    .close = collector_close,
    .legacy_member = "ima_measurement_list",
};
