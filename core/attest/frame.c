/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "error.h"
#include "frame_parts.h"
#include "reader.h"

enum {
    CHUNK_LEN = 4096 /* bytes of a piece of storage; most frames need one */
};

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool tag_known(unsigned tag)
{
    return (tag >= QL_TAG_JOB_TYPE && tag <= QL_TAG_ATTEMPT) ||
           (tag >= QL_TAG_AK && tag <= QL_TAG_SIGNING_KEY) ||
           (tag >= QL_TAG_VERDICT && tag <= QL_TAG_GENERATOR);
}

static bool kind_known(unsigned kind)
{
    return kind >= QL_FRAME_HELLO && kind <= QL_FRAME_ENTERING;
}

struct ql_frame *ql_frame_new(enum ql_frame_kind kind, uint64_t job)
{
    struct ql_frame *f = malloc(sizeof *f);
    struct ql_frame_backing *b = calloc(1, sizeof *b);

    if (!f || !b) {
        free(f);
        free(b);
        return NULL;
    }
    /* The items are written before they are counted: no need to clear 4 KiB for every frame. */
    f->kind = (uint8_t)kind;
    f->job = job;
    f->count = 0;
    f->backing = b;
    return f;
}

static void set_mapped(struct ql_frame_backing *b, size_t n)
{
    b->mapped[n / 64] |= UINT64_C(1) << (n % 64);
}

static void unmap_all(struct ql_frame *f, size_t count)
{
    struct ql_frame_backing *b = f->backing;

    for (size_t i = 0; i < count; i++) {
        if (!(b->mapped[i / 64] & (UINT64_C(1) << (i % 64))))
            continue;
        (void)munmap((void *)(uintptr_t)f->items[i].data, f->items[i].len); /* our own mapping */
        b->mapped[i / 64] &= ~(UINT64_C(1) << (i % 64));
    }
}

void ql_frame_free(struct ql_frame *f)
{
    struct ql_frame_backing *b;

    if (!f)
        return;
    b = f->backing;
    unmap_all(f, f->count);
    for (size_t i = 0; i < f->count; i++)
        if (f->items[i].fd >= 0)
            (void)close(f->items[i].fd); /* nothing is buffered in it */
    while (b->chunks) {
        struct ql_frame_chunk *next = b->chunks->next;

        free(b->chunks);
        b->chunks = next;
    }
    free(b);
    free(f);
}

uint8_t *ql_frame_store(struct ql_frame_backing *b, size_t len)
{
    struct ql_frame_chunk *c = b->chunks;

    if (!c || c->room - c->used < len) {
        size_t room = len > CHUNK_LEN ? len : CHUNK_LEN;

        c = malloc(sizeof *c + room);
        if (!c)
            return NULL;
        c->next = b->chunks;
        c->used = 0;
        c->room = room;
        b->chunks = c;
    }
    c->used += len;
    return c->bytes + c->used - len;
}

static int seal_bytes(const void *data, size_t len, int *ret_fd, struct ql_err *err)
{
    ql_auto_close int fd = memfd_create("quicklime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const uint8_t *at = data;
    size_t left = len;

    if (fd < 0)
        return ql_fail(err, QL_EIO, "memfd_create: %s", strerror(errno));
    while (left > 0) {
        ssize_t n = write(fd, at, left);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ql_fail(err, QL_EIO, "writing %zu bytes to a memfd: %s", len, strerror(errno));
        at += n;
        left -= (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0)
        return ql_fail(err, QL_EIO, "sealing a memfd: %s", strerror(errno));
    *ret_fd = ql_steal_fd(fd);
    return QL_OK;
}

static int add_failed(struct ql_frame *f, int code)
{
    struct ql_frame_backing *b = f->backing;

    if (b->failed == QL_OK)
        b->failed = code;
    return code;
}

static int add_checked(struct ql_frame *f, unsigned tag, size_t len, struct ql_err *err)
{
    struct ql_frame_backing *b = f->backing;

    if (b->failed)
        return b->failed;
    if (!tag_known(tag))
        return add_failed(f, ql_fail(err, QL_EINTERNAL, "frame tag %u does not exist", tag));
    if (f->count >= QL_FRAME_ITEMS_MAX)
        return add_failed(f, ql_fail(err, QL_ELIMIT, "more than %d items in a frame", QL_FRAME_ITEMS_MAX));
    if (len > QL_FRAME_MAPPED_MAX)
        return add_failed(
            f, ql_fail(err, QL_ELIMIT, "frame item of %zu bytes, at most %d", len, QL_FRAME_MAPPED_MAX));
    return QL_OK;
}

/* Takes @p fd over, on failure too. */
static int add_sealed(struct ql_frame *f, unsigned tag, int fd, size_t len, struct ql_err *err)
{
    ql_auto_close int owned = fd;
    struct ql_frame_backing *b = f->backing;

    if (b->fd_count >= QL_FRAME_FDS_MAX)
        return add_failed(f,
                          ql_fail(err, QL_ELIMIT, "more than %d descriptors in a frame", QL_FRAME_FDS_MAX));
    b->fd_count++;
    f->items[f->count++] =
        (struct ql_item){.tag = (uint16_t)tag, .data = NULL, .len = len, .fd = ql_steal_fd(owned)};
    return QL_OK;
}

int ql_frame_add(struct ql_frame *f, enum ql_tag tag, const void *data, size_t len, struct ql_err *err)
{
    struct ql_frame_backing *b = f->backing;
    int r = add_checked(f, tag, len, err), fd = -1;
    uint8_t *at;

    if (r < 0)
        return r;
    if (len > QL_FRAME_INLINE_MAX - b->inline_len) {
        r = seal_bytes(data, len, &fd, err);
        return r < 0 ? add_failed(f, r) : add_sealed(f, tag, fd, len, err);
    }
    at = ql_frame_store(b, len);
    if (!at)
        return add_failed(f, ql_fail_nomem(err));
    if (len > 0)
        memcpy(at, data, len);
    b->inline_len += len;
    f->items[f->count++] = (struct ql_item){.tag = (uint16_t)tag, .data = at, .len = len, .fd = -1};
    return QL_OK;
}

int ql_frame_add_text(struct ql_frame *f, enum ql_tag tag, const char *text, struct ql_err *err)
{
    return ql_frame_add(f, tag, text, strlen(text), err);
}

int ql_frame_add_u64(struct ql_frame *f, enum ql_tag tag, uint64_t v, struct ql_err *err)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    return ql_frame_add(f, tag, bytes, sizeof bytes, err);
}

int ql_frame_add_fd(struct ql_frame *f, enum ql_tag tag, int fd, size_t len, struct ql_err *err)
{
    int r = add_checked(f, tag, len, err), copy;

    if (r < 0)
        return r;
    if (len == 0)
        return ql_frame_add(f, tag, "", 0, err); /* nothing to map */
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return add_failed(f, ql_fail(err, QL_EIO, "descriptor of a frame item: %s", strerror(errno)));
    return add_sealed(f, tag, copy, len, err);
}

/*
 * A memfd of the length announced, that nobody can change or shrink under us. Another file system (huge
 * pages) could still fault when read.
 */
static int check_sealed(int fd, size_t len, struct ql_err *err)
{
    struct statfs fs;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS)
        return ql_fail(err, QL_EPARSE, "frame item is not a sealed memfd");
    if (fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
        return ql_fail(err, QL_EPARSE, "frame item is not a memfd of ordinary pages");
    /* Not by fstat: the C library asks by name for that, which no worker may. */
    if (lseek(fd, 0, SEEK_END) != (off_t)len)
        return ql_fail(err, QL_EPARSE, "frame item announced with %zu bytes has another length", len);
    return QL_OK;
}

static int map_item(struct ql_frame *f, size_t n, struct ql_err *err)
{
    struct ql_item *item = &f->items[n];
    void *at = mmap(NULL, item->len, PROT_READ, MAP_PRIVATE, item->fd, 0);

    if (at == MAP_FAILED)
        return ql_fail(err, QL_ENOMEM, "mapping a frame item of %zu bytes: %s", item->len, strerror(errno));
    item->data = at;
    set_mapped(f->backing, n);
    return QL_OK;
}

const struct ql_item *ql_frame_get(const struct ql_frame *f, enum ql_tag tag, size_t n)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->items[i].tag != tag || n-- > 0)
            continue;
        /* Received items are mapped; in a frame that is being built only who looks pays for the mapping. */
        if (!f->items[i].data && map_item((struct ql_frame *)(uintptr_t)f, i, NULL) < 0)
            return NULL;
        return &f->items[i];
    }
    return NULL;
}

int ql_frame_get_u64(const struct ql_frame *f, enum ql_tag tag, uint64_t *ret)
{
    const struct ql_item *item = ql_frame_get(f, tag, 0);
    struct ql_reader r;

    if (!item)
        return QL_ENOTFOUND;
    if (item->len != 8)
        return QL_EPARSE;
    r = ql_reader_of(item->data, item->len);
    *ret = ql_reader_u64be(&r);
    return QL_OK;
}

char *ql_frame_get_text(const struct ql_frame *f, enum ql_tag tag, size_t n)
{
    const struct ql_item *item = ql_frame_get(f, tag, n);
    char *text;

    if (!item || memchr(item->data, '\0', item->len) || !(text = malloc(item->len + 1)))
        return NULL;
    memcpy(text, item->data, item->len);
    text[item->len] = '\0';
    return text;
}

static int parse_items(struct ql_frame *f, struct ql_reader *r, unsigned count, const int *fds,
                       size_t fd_count, struct ql_err *err)
{
    size_t inline_len = 0, fd_at = 0;

    for (unsigned i = 0; i < count; i++) {
        struct ql_item item = {.fd = -1};
        unsigned form, zero;

        item.tag = ql_reader_u16be(r);
        form = ql_reader_u8(r);
        zero = ql_reader_u8(r);
        item.len = ql_reader_u32be(r);
        if (r->failed)
            return ql_fail(err, QL_EPARSE, "frame cut short in the head of item %u", i);
        if (!tag_known(item.tag))
            return ql_fail(err, QL_EPARSE, "frame item %u has tag %u, which does not exist", i, item.tag);
        if (zero != 0 || (form != QL_FRAME_FORM_INLINE && form != QL_FRAME_FORM_FD))
            return ql_fail(err, QL_EPARSE, "frame item %u has form %u", i, form);
        if (form == QL_FRAME_FORM_INLINE) {
            if (item.len > QL_FRAME_INLINE_MAX - inline_len)
                return ql_fail(err, QL_EPARSE, "more than %d bytes of items in a frame", QL_FRAME_INLINE_MAX);
            inline_len += item.len;
            item.data = ql_reader_bytes(r, item.len);
            if (r->failed)
                return ql_fail(err, QL_EPARSE, "frame cut short in item %u", i);
        } else {
            if (item.len == 0 || item.len > QL_FRAME_MAPPED_MAX)
                return ql_fail(err, QL_EPARSE, "frame item %u of %zu bytes in a descriptor", i, item.len);
            if (fd_at >= fd_count)
                return ql_fail(err, QL_EPARSE, "frame item %u has no descriptor", i);
            item.fd = fds[fd_at++];
        }
        f->items[i] = item;
    }
    if (!ql_reader_done(r))
        return ql_fail(err, QL_EPARSE, "%zu bytes left over in a frame", r->left);
    if (fd_at != fd_count)
        return ql_fail(err, QL_EPARSE, "%zu descriptors left over in a frame", fd_count - fd_at);
    return QL_OK;
}

/*
 * What is mapped needs its descriptor no more: who keeps a thousand policies has no thousand descriptors for
 * them.
 */
static void close_mapped(struct ql_frame *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (f->items[i].fd >= 0)
            (void)close(f->items[i].fd); /* the mapping stays */
        f->items[i].fd = -1;
    }
}

static int map_items(struct ql_frame *f, unsigned count, struct ql_err *err)
{
    for (unsigned i = 0; i < count; i++) {
        int r;

        if (f->items[i].fd < 0)
            continue;
        r = check_sealed(f->items[i].fd, f->items[i].len, err);
        if (r == QL_OK)
            r = map_item(f, i, err);
        if (r < 0) {
            unmap_all(f, count);
            return r;
        }
    }
    close_mapped(f, count);
    return QL_OK;
}

int ql_frame_parse_stored(struct ql_frame *f, const uint8_t *data, size_t len, const int *fds,
                          size_t fd_count, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(data, len);
    unsigned version, kind, count, announced, zero;
    uint64_t job;
    int result;

    version = ql_reader_u8(&r);
    kind = ql_reader_u8(&r);
    count = ql_reader_u16be(&r);
    announced = ql_reader_u16be(&r);
    zero = ql_reader_u16be(&r);
    job = ql_reader_u64be(&r);
    if (r.failed)
        return ql_fail(err, QL_EPARSE, "frame of %zu bytes has no head", len);
    if (version != QL_FRAME_VERSION)
        return ql_fail(err, QL_EPARSE, "frame of version %u, wanted %d", version, QL_FRAME_VERSION);
    if (!kind_known(kind) || zero != 0)
        return ql_fail(err, QL_EPARSE, "frame of kind %u", kind);
    if (count > QL_FRAME_ITEMS_MAX)
        return ql_fail(err, QL_EPARSE, "frame of %u items, at most %d", count, QL_FRAME_ITEMS_MAX);
    if (announced != fd_count || fd_count > QL_FRAME_FDS_MAX)
        return ql_fail(err, QL_EPARSE, "frame announces %u descriptors and brings %zu", announced, fd_count);
    result = parse_items(f, &r, count, fds, fd_count, err);
    if (result == QL_OK)
        result = map_items(f, count, err);
    if (result < 0)
        return result;
    f->kind = (uint8_t)kind;
    f->job = job;
    f->count = (uint16_t)count;
    return QL_OK;
}

/* On success the frame owns @p fds; on failure they stay the caller's. */
int ql_frame_parse(const uint8_t *data, size_t len, const int *fds, size_t fd_count, struct ql_frame **ret,
                   struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = NULL;
    uint8_t *copy;
    int r;

    if (len > QL_FRAME_MESSAGE_MAX)
        return ql_fail(err, QL_EPARSE, "frame of %zu bytes, at most %d", len, QL_FRAME_MESSAGE_MAX);
    f = ql_frame_new(QL_FRAME_HELLO, 0);
    copy = f ? ql_frame_store(f->backing, len) : NULL;
    if (!copy)
        return ql_fail_nomem(err);
    if (len > 0)
        memcpy(copy, data, len);
    r = ql_frame_parse_stored(f, copy, len, fds, fd_count, err);
    if (r == QL_OK)
        *ret = ql_steal(f);
    return r;
}
