/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "error.h"
#include "peer.h"

void ql_answer_reset(struct ql_peer *p)
{
    if (p->body)
        evbuffer_free(p->body);
    p->body = NULL;
    if (p->body_fd >= 0)
        close(p->body_fd);
    p->body_fd = -1;
    p->body_len = 0;
    p->client->body_bytes -= p->held;
    p->held = p->received = 0;
    p->first_byte_ns = 0;
    p->has_evhttp_error = false;
}

static int flush(struct ql_peer *p)
{
    while (evbuffer_get_length(p->body) > 0)
        if (evbuffer_write(p->body, p->body_fd) < 0 && errno != EINTR)
            return QL_EIO;
    return QL_OK;
}

int ql_answer_take(struct ql_peer *p, struct evbuffer *from)
{
    size_t above = p->active->what.memfd_above;

    if (!p->body)
        p->body = evbuffer_new();
    if (!p->body)
        return QL_ENOMEM;
    p->body_len += evbuffer_get_length(from);
    if (evbuffer_add_buffer(p->body, from) != 0)
        return QL_ENOMEM;
    if (p->body_fd < 0 && above > 0 && p->body_len > above) {
        p->body_fd = memfd_create("quicklime-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (p->body_fd < 0)
            return QL_EIO;
    }
    return p->body_fd >= 0 && evbuffer_get_length(p->body) >= QL_PIECE ? flush(p) : QL_OK;
}

static int seal(struct ql_peer *p, struct ql_http_result *ret)
{
    int r = flush(p);

    if (r < 0)
        return r;
    if (fcntl(p->body_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        lseek(p->body_fd, 0, SEEK_SET) != 0)
        return QL_EIO;
    ret->body_fd = p->body_fd;
    ret->body_len = p->body_len;
    return QL_OK;
}

int ql_answer_finish(struct ql_peer *p, struct evbuffer *from, struct ql_http_result *ret)
{
    struct evbuffer *whole = from;

    if (p->body) {
        int r = ql_answer_take(p, from);

        if (r < 0)
            return r;
        if (p->body_fd >= 0)
            return seal(p, ret);
        whole = p->body;
    }
    ret->body_len = evbuffer_get_length(whole);
    ret->body = ret->body_len ? evbuffer_pullup(whole, -1) : (const uint8_t *)"";
    return ret->body ? QL_OK : QL_ENOMEM;
}

const char *ql_result_header(const struct ql_http_result *r, const char *name)
{
    return r->headers ? evhttp_find_header(r->headers, name) : NULL;
}

int ql_result_take_fd(struct ql_http_result *r)
{
    int fd = r->body_fd;

    r->body_fd = -1;
    return fd;
}
