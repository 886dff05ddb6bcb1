/* SPDX-License-Identifier: Apache-2.0 */
#include "collector.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "eventlog.h"
#include "plugin.h"

enum {
    PIECE_LEN = 16384 /* bytes read at once */
};

/** What is kept from open to close. */
struct source {
    const char *path; /* of the options */
    int fd;           /* -1: it could not be opened yet */
};

static int open_log(const struct mb_plugin *p, struct source *s, struct ql_err *err)
{
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (s->fd >= 0)
        return QL_OK;
    return p->host->fail(err,
                         errno == ENOENT   ? QL_ENOTFOUND
                         : errno == EACCES ? QL_EACCES
                                           : QL_EIO,
                         "boot log %s: %s", s->path,
                         errno == ENOENT
                             ? "there is none: no UEFI firmware with a TPM event log, or another path"
                             : strerror(errno));
}

static int source_open(void *plugin, void **handle, struct ql_err *err)
{
    const struct mb_plugin *p = plugin;
    const char *path = p->options->get_string(p->options, MB_LOG_OPTION);
    struct source *s = p->host->alloc(p->host, sizeof *s);

    if (!s)
        return p->host->fail(err, QL_ENOMEM, "out of memory");
    s->path = *path == '\0' || strcmp(path, "default") == 0 ? MB_LOG_PATH : path;
    (void)open_log(p, s, NULL); /* each collection says what is wrong with it */
    *handle = s;
    return QL_OK;
}

/** Read everything from the start into the sink. @param[out] ret bytes */
static int copy(const struct mb_plugin *p, const struct source *s, struct ql_sink *sink, size_t *ret,
                struct ql_err *err)
{
    uint8_t piece[PIECE_LEN];
    size_t at = 0;

    for (;;) {
        const ssize_t n = pread(s->fd, piece, sizeof piece, (off_t)at);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return p->host->fail(err, QL_EIO, "boot log %s: %s", s->path, strerror(errno));
        if (n == 0)
            break;
        if ((size_t)n > MB_LOG_MAX - at)
            return p->host->fail(err, QL_ELIMIT, "boot log %s has more than %d bytes", s->path, MB_LOG_MAX);
        r = sink->write(sink, piece, (size_t)n);
        if (r < 0) /* the first part of a log proves nothing */
            return p->host->fail(err, r, "boot log %s does not fit into the answer", s->path);
        at += (size_t)n;
    }
    *ret = at;
    return QL_OK;
}

static int source_collect(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                          struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    const struct mb_plugin *p = plugin;
    struct source *s = handle;
    size_t len = 0;
    int r = s->fd < 0 ? open_log(p, s, err) : QL_OK;

    (void)parameters;
    (void)cursor;
    if (r == QL_OK)
        r = copy(p, s, sink, &len, err);
    if (r < 0)
        return r;
    if (len == 0)
        return p->host->fail(err, QL_ENOTFOUND, "boot log %s is empty", s->path);
    ret->cursor_from = 0;
    ret->cursor_to = 0; /* the next time everything, too */
    ret->more = 0;
    return QL_OK;
}

static void source_close(void *plugin, void *handle)
{
    const struct mb_plugin *p = plugin;
    struct source *s = handle;

    if (s->fd >= 0)
        (void)close(s->fd); /* it was only read */
    p->host->free(p->host, s);
}

const struct ql_evidence mb_evidence = {
    .head = {.size = sizeof(struct ql_evidence),
             .kind = QL_KIND_EVIDENCE,
             .name = "mboot",
             .flags = QL_EVIDENCE_BOUND_PCR},
    .pcr = 0,
    .open = source_open,
    .collect = source_collect,
    .close = source_close,
    .legacy_member = "mb_measurement_list",
};
