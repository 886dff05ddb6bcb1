/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "file.h"
#include "reader.h"
#include "repomd.h"
#include "rpm.h"

enum {
    LEAD_LEN = 96,
    HEADER_INTRO_LEN = 16,
    INDEX_LEN = 16,
    TYPE_INT32 = 4,
    TYPE_STRING_ARRAY = 8,
    TAG_FILE_DIGESTS = 1035,
    TAG_DIR_INDEXES = 1116,
    TAG_BASE_NAMES = 1117,
    TAG_DIR_NAMES = 1118,
    PATH_LEN_MAX = 8192
};

static const uint8_t lead_magic[4] = {0xed, 0xab, 0xee, 0xdb};
static const uint8_t header_magic[4] = {0x8e, 0xad, 0xe8, 0x01};

/* One header: its index, and the store that the index points into. */
struct header {
    const uint8_t *index, *store;
    uint32_t count, store_len;
};

/* A list of one tag. */
struct list {
    const uint8_t *at;
    size_t left; /* bytes of the store behind `at` */
    uint32_t count;
};

static int read_header(struct ql_reader *in, struct header *ret, struct ql_err *err)
{
    const uint8_t *magic = ql_reader_bytes(in, sizeof header_magic);

    (void)ql_reader_u32be(in); /* reserved */
    ret->count = ql_reader_u32be(in);
    ret->store_len = ql_reader_u32be(in);
    if (in->failed || memcmp(magic, header_magic, sizeof header_magic) != 0)
        return ql_fail(err, QL_EPARSE, "no RPM header");
    if (ret->count > QL_RPM_HEADER_MAX / INDEX_LEN || ret->store_len > QL_RPM_HEADER_MAX)
        return ql_fail(err, QL_ELIMIT, "RPM header of more than %d bytes", QL_RPM_HEADER_MAX);
    ret->index = ql_reader_bytes(in, (size_t)ret->count * INDEX_LEN);
    ret->store = ql_reader_bytes(in, ret->store_len);
    return in->failed ? ql_fail(err, QL_EPARSE, "RPM header is cut short") : QL_OK;
}

/* @return false: not there, or of another type */
static bool find(const struct header *h, uint32_t tag, uint32_t type, struct list *ret)
{
    struct ql_reader in = ql_reader_of(h->index, (size_t)h->count * INDEX_LEN);

    while (in.left >= INDEX_LEN) {
        uint32_t t = ql_reader_u32be(&in), kind = ql_reader_u32be(&in), offset = ql_reader_u32be(&in),
                 count = ql_reader_u32be(&in);

        if (t != tag)
            continue;
        if (kind != type || offset > h->store_len || count > QL_RPM_FILES_MAX)
            return false;
        *ret = (struct list){.at = h->store + offset, .left = h->store_len - offset, .count = count};
        return true;
    }
    return false;
}

/* Next text of a list; NULL: none, or it does not end. */
static const char *next_text(struct list *l, size_t *len)
{
    const uint8_t *text = l->at, *end = l->left > 0 ? memchr(l->at, 0, l->left) : NULL;

    if (!end || l->count == 0)
        return NULL;
    *len = (size_t)(end - text);
    l->at = end + 1;
    l->left -= *len + 1;
    l->count--;
    return (const char *)text;
}

struct dir {
    const char *text;
    size_t len;
};

static int read_dirs(struct list names, struct dir **ret, struct ql_err *err)
{
    ql_auto_free struct dir *dirs = calloc(names.count > 0 ? names.count : 1, sizeof *dirs);
    uint32_t count = names.count;

    if (!dirs)
        return ql_fail_nomem(err);
    for (uint32_t i = 0; i < count; i++)
        if (!(dirs[i].text = next_text(&names, &dirs[i].len)))
            return ql_fail(err, QL_EPARSE, "RPM: names of folders are cut short");
    *ret = ql_steal(dirs);
    return QL_OK;
}

/* Folders, links and devices have none; %ghost files have zeros. */
static bool is_digest(const char *hex, size_t len)
{
    return len > 0 && strspn(hex, "0") != len && strspn(hex, "0123456789abcdef") == len;
}

int ql_rpm_add_file(struct ql_draft *to, const char *dir, size_t dir_len, const char *base, size_t base_len,
                    const char *hex, size_t hex_len, struct ql_err *err)
{
    char path[PATH_LEN_MAX];

    if (!is_digest(hex, hex_len))
        return QL_OK;
    if (dir_len >= sizeof path || base_len >= sizeof path - dir_len)
        return ql_fail(err, QL_ELIMIT, "RPM: path of more than %d bytes", PATH_LEN_MAX);
    memcpy(path, dir, dir_len);
    memcpy(path + dir_len, base, base_len);
    for (size_t k = 0; k < dir_len + base_len; k++)
        if (path[k] == ' ')
            path[k] = '_';
    return ql_names_add(&to->digests, path, dir_len + base_len, hex, hex_len) < 0 ? ql_fail_nomem(err)
                                                                                  : QL_OK;
}

static int add_files(struct list digests, struct list bases, struct ql_reader indexes, const struct dir *dirs,
                     uint32_t dir_count, struct ql_draft *to, struct ql_err *err)
{
    uint32_t count = bases.count;
    int r;

    for (uint32_t i = 0; i < count; i++) {
        size_t base_len = 0, len = 0;
        const char *base = next_text(&bases, &base_len), *hex = next_text(&digests, &len);
        uint32_t dir = ql_reader_u32be(&indexes);

        if (!base || !hex || indexes.failed || dir >= dir_count)
            return ql_fail(err, QL_EPARSE, "RPM: list of files is cut short");
        r = ql_rpm_add_file(to, dirs[dir].text, dirs[dir].len, base, base_len, hex, len, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

/* Where the header that begins at `at` ends, or how much must be there to tell. 0: none, or too long */
static uint64_t header_end(const uint8_t *data, size_t len, uint64_t at)
{
    struct ql_reader in;
    const uint8_t *magic;
    uint64_t count, store;

    if (len < at + HEADER_INTRO_LEN)
        return at + HEADER_INTRO_LEN;
    in = ql_reader_of(data + at, HEADER_INTRO_LEN);
    magic = ql_reader_bytes(&in, sizeof header_magic);
    (void)ql_reader_u32be(&in); /* reserved */
    count = ql_reader_u32be(&in);
    store = ql_reader_u32be(&in);
    if (memcmp(magic, header_magic, sizeof header_magic) != 0 || count > QL_RPM_HEADER_MAX / INDEX_LEN ||
        store > QL_RPM_HEADER_MAX)
        return 0;
    return at + HEADER_INTRO_LEN + count * INDEX_LEN + store;
}

size_t ql_rpm_need(const uint8_t *data, size_t len)
{
    uint64_t end;

    if (len >= sizeof lead_magic && memcmp(data, lead_magic, sizeof lead_magic) != 0)
        return 0;
    end = header_end(data, len, LEAD_LEN); /* signatures */
    if (end == 0 || len < LEAD_LEN + HEADER_INTRO_LEN)
        return end;
    end += (8 - (end - LEAD_LEN) % 8) % 8; /* padding; the index and what is before it have no part in it */
    return header_end(data, len, end);
}

int ql_rpm_read(const uint8_t *data, size_t len, struct ql_draft *to, struct ql_err *err)
{
    struct ql_reader in = ql_reader_of(data, len);
    const uint8_t *lead = ql_reader_bytes(&in, LEAD_LEN);
    ql_auto_free struct dir *dirs = NULL;
    struct list digests, bases, indexes, names;
    struct header h = {0};
    int r;

    if (!lead || memcmp(lead, lead_magic, sizeof lead_magic) != 0)
        return ql_fail(err, QL_EPARSE, "no RPM package");
    r = read_header(&in, &h, err); /* signatures, padded to eight bytes */
    if (r < 0)
        return r;
    (void)ql_reader_bytes(&in, (8 - h.store_len % 8) % 8);
    r = read_header(&in, &h, err);
    if (r < 0)
        return r;
    if (!find(&h, TAG_BASE_NAMES, TYPE_STRING_ARRAY, &bases))
        return QL_OK; /* a package without files */
    if (!find(&h, TAG_FILE_DIGESTS, TYPE_STRING_ARRAY, &digests) ||
        !find(&h, TAG_DIR_NAMES, TYPE_STRING_ARRAY, &names) ||
        !find(&h, TAG_DIR_INDEXES, TYPE_INT32, &indexes) || digests.count != bases.count ||
        indexes.count != bases.count)
        return ql_fail(err, QL_EPARSE, "RPM: lists of files do not fit each other");
    r = read_dirs(names, &dirs, err);
    return r < 0 ? r
                 : add_files(digests, bases, ql_reader_of(indexes.at, indexes.left), dirs, names.count, to,
                             err);
}

/* ---- a repository ---- */

static int read_package(const char *path, struct ql_draft *to, struct ql_err *err)
{
    ql_auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    void *data;
    int r;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return ql_fail(err, QL_EIO, "cannot be read");
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return ql_fail(err, QL_EIO, "%s", strerror(errno));
    r = ql_rpm_read(data, (size_t)st.st_size, to, err);
    munmap(data, (size_t)st.st_size);
    return r;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* A file of repodata/, if it is there. */
static int read_beside(const char *folder, const char *name, size_t max_len, uint8_t **ret, size_t *len,
                       struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(folder, name);
    int r = path ? ql_file_read(path, max_len, ret, len, err) : ql_fail_nomem(err);

    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int check_index(const char *folder, const struct ql_rpm_rules *rules, struct ql_err *err)
{
    ql_auto_free uint8_t *index = NULL, *signature = NULL, *key = NULL;
    size_t index_len = 0, signature_len = 0, key_len = 0;
    int r = read_beside(folder, "repodata/repomd.xml", QL_REPOMD_LEN_MAX, &index, &index_len, err);

    if (r == QL_OK && !index)
        r = ql_fail(err, QL_ENOTFOUND, "%s: no repodata/repomd.xml: not an RPM repository", folder);
    if (r == QL_OK)
        r = read_beside(folder, "repodata/repomd.xml.asc", QL_DETACHED_MAX, &signature, &signature_len, err);
    if (r == QL_OK)
        r = read_beside(folder, "repodata/repomd.xml.key", QL_DETACHED_MAX, &key, &key_len, err);
    return r < 0 ? r
                 : ql_repomd_authentic(folder, rules->key, (struct ql_span){index, index_len},
                                       (struct ql_span){signature, signature_len},
                                       (struct ql_span){key, key_len}, err);
}

int ql_rpm_folder(const char *folder, const struct ql_rpm_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err)
{
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    FTS *fts;
    FTSENT *e;
    int r = check_index(folder, rules, err);

    *bad = 0;
    if (r < 0)
        return r;
    fprintf(stderr, "%s: signatures of the packages are not checked here\n", folder);
    fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!fts)
        return ql_fail(err, QL_EIO, "%s: %s", folder, strerror(errno));
    while (r == QL_OK && (e = fts_read(fts))) {
        struct ql_err why = QL_ERR_INIT;
        size_t n = e->fts_namelen;

        if (e->fts_info != FTS_F || n < 4 || strcmp(e->fts_name + n - 4, ".rpm") != 0)
            continue;
        if (read_package(e->fts_path, to, &why) < 0) {
            fprintf(stderr, "%s: %s\n", e->fts_path, why.text);
            (*bad)++;
            r = why.code == QL_ENOMEM ? ql_fail_nomem(err) : QL_OK;
        }
    }
    fts_close(fts);
    return r;
}
