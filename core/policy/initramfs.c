/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "decompress.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "initramfs.h"

enum {
    HEADER_LEN = 110, /* of newc: magic and 13 fields of 8 hex digits */
    MAGIC_LEN = 6,
    DIGEST_MAX = 64
};

#define TRAILER "TRAILER!!!"

/* ---- an archive, fed piece by piece ---- */

enum step {
    STEP_HEADER,
    STEP_NAME,
    STEP_DATA,
    STEP_PADDING, /* behind data */
    STEP_END      /* behind the trailer: zeros and whatever */
};

struct cpio {
    enum step step;
    uint8_t header[HEADER_LEN];
    char name[QL_INITRAMFS_NAME_MAX + 4];
    size_t have; /* bytes of header or name */
    size_t wanted;
    uint64_t offset; /* in the archive: everything is padded to four bytes */
    uint64_t left;   /* of data or padding */
    uint32_t mode;
    uint64_t entries;
    bool is_hashed;
    const EVP_MD *md;
    EVP_MD_CTX *hash;
    struct ql_draft *to;
};

static bool is_newc(const uint8_t *data, size_t len)
{
    return len >= MAGIC_LEN &&
           (memcmp(data, "070701", MAGIC_LEN) == 0 || memcmp(data, "070702", MAGIC_LEN) == 0);
}

/* Field n of a header. @return UINT64_MAX: not hex */
static uint64_t field(const uint8_t *header, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t c = header[MAGIC_LEN + 8 * n + i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            return UINT64_MAX;
    }
    return v;
}

static int header_read(struct cpio *c, struct ql_err *err)
{
    uint64_t mode = field(c->header, 1), size = field(c->header, 6), name_size = field(c->header, 11);

    if (!is_newc(c->header, HEADER_LEN) || mode == UINT64_MAX || size == UINT64_MAX ||
        name_size == UINT64_MAX)
        return ql_fail(err, QL_EPARSE, "cpio: no header at byte %llu", (unsigned long long)c->offset);
    if (name_size == 0 || name_size > QL_INITRAMFS_NAME_MAX)
        return ql_fail(err, QL_ELIMIT, "cpio: name of %llu bytes, at most %d", (unsigned long long)name_size,
                       QL_INITRAMFS_NAME_MAX);
    if (++c->entries > QL_INITRAMFS_ENTRIES_MAX)
        return ql_fail(err, QL_ELIMIT, "cpio: more than %d entries", QL_INITRAMFS_ENTRIES_MAX);
    c->mode = (uint32_t)mode;
    c->left = size;
    c->have = 0;
    c->wanted = (size_t)name_size;
    c->wanted += (4 - (HEADER_LEN + c->wanted) % 4) % 4;
    c->step = STEP_NAME;
    return QL_OK;
}

/* "./usr/bin/x" and "usr/bin/x" are /usr/bin/x. */
static int add_digest(struct cpio *c, struct ql_err *err)
{
    uint8_t digest[DIGEST_MAX];
    char hex[2 * DIGEST_MAX + 1], path[QL_INITRAMFS_NAME_MAX + 8];
    const char *name = c->name;
    unsigned len = 0;

    if (EVP_DigestFinal_ex(c->hash, digest, &len) != 1)
        return ql_fail(err, QL_ECRYPTO, "hashing failed");
    ql_hex_encode(digest, len, hex);
    while (strncmp(name, "./", 2) == 0 || *name == '/')
        name += *name == '/' ? 1 : 2;
    snprintf(path, sizeof path, "/%s", name);
    for (char *p = path; *p; p++)
        if (*p == ' ')
            *p = '_';
    return ql_names_add(&c->to->digests, path, strlen(path), hex, 2 * len) < 0 ? ql_fail_nomem(err) : QL_OK;
}

static int data_done(struct cpio *c, struct ql_err *err)
{
    int r = c->is_hashed ? add_digest(c, err) : QL_OK;

    c->left = (4 - c->offset % 4) % 4;
    c->step = c->left > 0 ? STEP_PADDING : STEP_HEADER;
    c->have = 0;
    return r;
}

static int name_read(struct cpio *c, struct ql_err *err)
{
    c->name[c->wanted] = 0;
    if (strcmp(c->name, TRAILER) == 0) {
        c->step = STEP_END;
        return QL_OK;
    }
    /* Hard links: all but the last name come without data, and an empty file is hashed as such. */
    c->is_hashed = S_ISREG(c->mode);
    if (c->is_hashed && EVP_DigestInit_ex2(c->hash, c->md, NULL) != 1)
        return ql_fail(err, QL_ECRYPTO, "hashing failed");
    c->step = STEP_DATA;
    return c->left == 0 ? data_done(c, err) : QL_OK;
}

static size_t fill(uint8_t *to, size_t *have, size_t wanted, const uint8_t *data, size_t len)
{
    size_t n = wanted - *have < len ? wanted - *have : len;

    memcpy(to + *have, data, n);
    *have += n;
    return n;
}

static int feed_one(struct cpio *c, const uint8_t *data, size_t len, size_t *used, struct ql_err *err)
{
    *used = len;
    switch (c->step) {
    case STEP_HEADER:
        *used = fill(c->header, &c->have, HEADER_LEN, data, len);
        c->offset += *used;
        return c->have == HEADER_LEN ? header_read(c, err) : QL_OK;
    case STEP_NAME:
        *used = fill((uint8_t *)c->name, &c->have, c->wanted, data, len);
        c->offset += *used;
        return c->have == c->wanted ? name_read(c, err) : QL_OK;
    case STEP_DATA:
        *used = c->left < len ? (size_t)c->left : len;
        c->offset += *used;
        c->left -= *used;
        if (c->is_hashed && EVP_DigestUpdate(c->hash, data, *used) != 1)
            return ql_fail(err, QL_ECRYPTO, "hashing failed");
        return c->left == 0 ? data_done(c, err) : QL_OK;
    case STEP_PADDING:
        *used = c->left < len ? (size_t)c->left : len;
        c->offset += *used;
        c->left -= *used;
        if (c->left == 0)
            c->step = STEP_HEADER;
        return QL_OK;
    case STEP_END:
        return QL_OK;
    }
    return QL_OK;
}

static int feed(void *arg, const uint8_t *data, size_t len, struct ql_err *err)
{
    struct cpio *c = arg;
    int r = QL_OK;

    while (r == QL_OK && len > 0) {
        size_t used;

        r = feed_one(c, data, len, &used, err);
        data += used;
        len -= used;
    }
    return r;
}

/* ---- an image ---- */

/* Length of a plain archive up to the end of its trailer's header and name; 0: damaged. */
static size_t archive_len(const uint8_t *data, size_t len)
{
    size_t at = 0;

    while (len - at >= HEADER_LEN && is_newc(data + at, len - at)) {
        uint64_t size = field(data + at, 6), name_size = field(data + at, 11), step;
        const char *name = (const char *)data + at + HEADER_LEN;

        if (size == UINT64_MAX || name_size == UINT64_MAX || name_size > QL_INITRAMFS_NAME_MAX ||
            name_size > len - at - HEADER_LEN)
            return 0;
        step = (HEADER_LEN + name_size + 3) / 4 * 4;
        step += (size + 3) / 4 * 4;
        if (name_size == sizeof TRAILER && memcmp(name, TRAILER, sizeof TRAILER) == 0)
            return step < len - at ? at + (size_t)step : len;
        if (step > len - at)
            return 0;
        at += (size_t)step;
    }
    return 0;
}

static int read_archive(const uint8_t *data, size_t len, const char *algorithm, struct ql_draft *to,
                        struct ql_err *err)
{
    struct cpio *c = calloc(1, sizeof *c);
    EVP_MD *md = EVP_MD_fetch(NULL, strcmp(algorithm, "sm3_256") == 0 ? "SM3" : algorithm, NULL);
    int r;

    if (c) {
        c->to = to;
        c->md = md;
        c->hash = EVP_MD_CTX_new();
    }
    if (!c || !c->hash || !md)
        r = ql_fail_nomem(err);
    else if (is_newc(data, len))
        r = feed(c, data, len, err);
    else
        r = ql_unpack(data, len, QL_INITRAMFS_UNPACKED_MAX, feed, c, err);
    if (r == QL_OK && c->step != STEP_END)
        r = ql_fail(err, QL_EPARSE, "cpio: archive is cut short");
    if (c)
        EVP_MD_CTX_free(c->hash);
    EVP_MD_free(md);
    free(c);
    return r;
}

int ql_initramfs_read(const uint8_t *image, size_t len, const char *algorithm, bool all_segments,
                      struct ql_draft *to, struct ql_err *err)
{
    size_t at = 0, next;
    int r = QL_OK;

    while (r == QL_OK && is_newc(image + at, len - at) && (next = archive_len(image + at, len - at)) > 0) {
        next += at;
        while (next < len && image[next] == 0)
            next++;
        if (next >= len)
            break;
        if (all_segments)
            r = read_archive(image + at, next - at, algorithm, to, err);
        at = next;
    }
    return r == QL_OK ? read_archive(image + at, len - at, algorithm, to, err) : r;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_image(const struct dirent *e)
{
    return strncmp(e->d_name, "initr", strlen("initr")) == 0;
}

int ql_initramfs_folder(const char *folder, const char *algorithm, bool all_segments, struct ql_draft *to,
                        struct ql_err *err)
{
    struct dirent **list = NULL;
    int count = scandir(folder, &list, is_image, by_name);

    if (count < 0)
        return ql_fail(err, QL_EIO, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        ql_auto_free char *path = ql_path_join(folder, list[i]->d_name);
        ql_auto_free uint8_t *image = NULL;
        struct ql_err why = QL_ERR_INIT;
        struct stat st;
        size_t len = 0;

        free(list[i]);
        if (!path || lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (ql_file_read(path, QL_INITRAMFS_FILE_MAX, &image, &len, &why) < 0 ||
            ql_initramfs_read(image, len, algorithm, all_segments, to, &why) < 0)
            fprintf(stderr, "%s: %s\n", path, why.text);
    }
    free(list);
    return QL_OK;
}
