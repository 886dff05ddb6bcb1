/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on a socket: one message each, descriptors beside it. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "error.h"
#include "frame_parts.h"

enum {
    RECEIVE_LEN = 12288 /* bytes of a message that is received where it stays */
};

static void put_be(uint8_t *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

/** Room for the descriptors of one frame, aligned as control messages must be. */
union control {
    char bytes[CMSG_SPACE(QL_FRAME_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

/* Everything inline in one piece: a kernel that gathers thirty small pieces takes longer than this copy. */
static size_t flatten(const struct ql_frame *f, uint8_t *to, int *fds, size_t *fd_count)
{
    uint8_t *at = to + QL_FRAME_HEAD_LEN;

    *fd_count = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct ql_item *item = &f->items[i];

        put_be(at, item->tag, 2);
        at[2] = item->fd >= 0 ? QL_FRAME_FORM_FD : QL_FRAME_FORM_INLINE;
        at[3] = 0;
        put_be(at + 4, item->len, 4);
        at += QL_FRAME_ITEM_HEAD_LEN;
        if (item->fd >= 0) {
            fds[(*fd_count)++] = item->fd;
        } else if (item->len > 0) {
            memcpy(at, item->data, item->len);
            at += item->len;
        }
    }
    to[0] = QL_FRAME_VERSION;
    to[1] = f->kind;
    put_be(to + 2, f->count, 2);
    put_be(to + 4, *fd_count, 2);
    put_be(to + 6, 0, 2);
    put_be(to + 8, f->job, 8);
    return (size_t)(at - to);
}

int ql_frame_send(int sock, const struct ql_frame *f, struct ql_err *err)
{
    const struct ql_frame_backing *b = f->backing;
    ql_auto_free uint8_t *message = NULL;
    struct iovec part;
    union control control;
    int fds[QL_FRAME_FDS_MAX];
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    size_t fd_count = 0, inline_len = 0;

    if (b->failed)
        return ql_fail(err, b->failed, "frame could not be built");
    for (size_t i = 0; i < f->count; i++)
        inline_len += f->items[i].fd >= 0 ? 0 : f->items[i].len;
    /* What was received with a descriptor does not fit inline. */
    if (inline_len > QL_FRAME_INLINE_MAX)
        return ql_fail(err, QL_ELIMIT, "received frame of %zu bytes cannot be passed on", inline_len);
    message = malloc(QL_FRAME_HEAD_LEN + f->count * (size_t)QL_FRAME_ITEM_HEAD_LEN + inline_len);
    if (!message)
        return ql_fail_nomem(err);
    part.iov_base = message;
    part.iov_len = flatten(f, message, fds, &fd_count);
    if (fd_count > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return ql_fail(err, QL_EAGAIN, "socket is full");
        if (errno == EPIPE || errno == ECONNRESET)
            return ql_fail(err, QL_ECLOSED, "peer is gone");
        return ql_fail(err, QL_EIO, "sending a frame: %s", strerror(errno));
    }
    return QL_OK;
}

static size_t received_fds(struct msghdr *m, int *fds)
{
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        /* The buffer holds no more than QL_FRAME_FDS_MAX: the kernel cuts and sets MSG_CTRUNC. */
        memcpy(fds + count, CMSG_DATA(c), bytes);
        count += bytes / sizeof(int);
    }
    return count;
}

int ql_frame_recv(int sock, struct ql_frame **ret, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_HELLO, 0);
    uint8_t *message = f ? ql_frame_store(f->backing, RECEIVE_LEN) : NULL,
            rest[QL_FRAME_MESSAGE_MAX - RECEIVE_LEN];
    struct iovec parts[2] = {{.iov_base = message, .iov_len = RECEIVE_LEN},
                             {.iov_base = rest, .iov_len = sizeof rest}};
    union control control;
    int fds[QL_FRAME_FDS_MAX + 1]; /* the alignment of the buffer may let one more through */
    struct msghdr m = {.msg_iov = parts,
                       .msg_iovlen = 2,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    size_t fd_count;
    ssize_t n;
    int r = QL_OK;

    if (!message)
        return ql_fail_nomem(err);
    do
        n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return ql_fail(err, QL_EAGAIN, "no frame yet");
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return ql_fail(err, QL_ECLOSED, "peer is gone");
    if (n < 0)
        return ql_fail(err, QL_EIO, "receiving a frame: %s", strerror(errno));
    fd_count = received_fds(&m, fds);
    if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        r = ql_fail(err, QL_EPARSE, "frame or its descriptors above the limit");
    if (r == QL_OK && n > RECEIVE_LEN) {
        uint8_t *whole = ql_frame_store(f->backing, (size_t)n);

        if (whole) {
            memcpy(whole, message, RECEIVE_LEN);
            memcpy(whole + RECEIVE_LEN, rest, (size_t)n - RECEIVE_LEN);
        } else {
            r = ql_fail_nomem(err);
        }
        message = whole;
    }
    if (r == QL_OK)
        r = ql_frame_parse_stored(f, message, (size_t)n, fds, fd_count, err);
    if (r < 0) {
        for (size_t i = 0; i < fd_count; i++)
            (void)close(fds[i]); /* not ours to keep */
        return r;
    }
    *ret = ql_steal(f);
    return QL_OK;
}
