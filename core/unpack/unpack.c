/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "reader.h"

enum {
    PIECE = 64 * 1024, /* bytes that are unpacked at a time */
    END_MAGIC = 0x06054b50,
    END_LEN = 22, /* bytes of the end record without its comment */
    END_COMMENT_MAX = 65535
};

static void reader_close(struct archive **a)
{
    if (*a)
        (void)archive_read_free(*a); /* memory alone */
}

struct unpacking {
    struct archive *archive;
    size_t archive_len;
    int dir;
    const struct ql_unpack_config *config;
    struct ql_unpack_count count;
    size_t entries;
    char *names[QL_UNPACK_ENTRIES_MAX];
};

static void unpacking_done(struct unpacking *u)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(u->names); i++)
        free(u->names[i]);
}

/* An archive without entries begins otherwise; there is nothing to unpack from it. */
bool ql_unpack_is_zip(const void *data, size_t len)
{
    return len >= 4 && memcmp(data, "PK\003\004", 4) == 0;
}

/*
 * The number of entries that the end record names: the library reads the directory up to the first damage, and does not say
 * that there should be more. @return SIZE_MAX: no end record
 */
static size_t count_entries(const uint8_t *data, size_t len)
{
    const size_t last = len < END_LEN ? 0 : len - END_LEN,
                 first = last > END_COMMENT_MAX ? last - END_COMMENT_MAX : 0;

    for (size_t at = last + 1; len >= END_LEN && at-- > first;) {
        struct ql_reader r = ql_reader_of(data + at, len - at);

        if (ql_reader_u32le(&r) != END_MAGIC)
            continue;
        (void)ql_reader_bytes(&r, 6); /* disks, and entries on this one */
        return ql_reader_u16le(&r);
    }
    return SIZE_MAX;
}

/* ---- names ---- */

static bool is_component(const char *text, size_t len)
{
    if (len == 0 || len > NAME_MAX || (len == 1 && text[0] == '.') ||
        (len == 2 && text[0] == '.' && text[1] == '.'))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f || text[i] == '\\')
            return false;
    return true;
}

/*
 * Only names that mean the same to everybody: no root, no `.` and `..`, no empty part, no control character that would
 * forge a line of a log.
 */
static int check_name(const char *name, size_t len, size_t entry, struct ql_err *err)
{
    size_t depth = 0;

    if (len == 0 || len > QL_UNPACK_NAME_MAX)
        return ql_fail(err, QL_ELIMIT, "entry %zu: name of %zu bytes, wanted 1 to %d", entry, len,
                       QL_UNPACK_NAME_MAX);
    if (name[0] == '/')
        return ql_fail(err, QL_EACCES, "entry %zu: absolute name", entry);
    for (const char *at = name;;) {
        const char *slash = strchr(at, '/');
        const size_t part = slash ? (size_t)(slash - at) : strlen(at);

        if (!is_component(at, part))
            return ql_fail(err, QL_EACCES,
                           "entry %zu: name with an empty part, ., .., a backslash or a control character",
                           entry);
        if (!slash)
            return QL_OK;
        if (++depth > QL_UNPACK_DEPTH_MAX)
            return ql_fail(err, QL_ELIMIT, "entry %zu: more than %d folders deep", entry,
                           QL_UNPACK_DEPTH_MAX);
        at = slash + 1;
    }
}

static int add_name(struct unpacking *u, const char *name, struct ql_err *err)
{
    for (size_t i = 0; i + 1 < u->entries; i++)
        if (strcmp(u->names[i], name) == 0)
            return ql_fail(err, QL_EEXIST, "entry %zu: has the name of entry %zu", u->entries, i + 1);
    u->names[u->entries - 1] = strdup(name);
    return u->names[u->entries - 1] ? QL_OK : ql_fail_nomem(err);
}

/* ---- files ---- */

static int sys_failed(const struct unpacking *u, const char *name, struct ql_err *err)
{
    const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

    return ql_fail(err,
                   full              ? QL_EFULL
                   : errno == EEXIST ? QL_EEXIST
                                     : QL_EIO,
                   "entry %zu (%s): %s", u->entries, name, strerror(errno));
}

/* The kernel keeps it below the folder whatever the name is; the check of names is not what that rests on. */
static int open_beneath(int dir, const char *name, uint64_t flags, uint64_t mode)
{
    const struct open_how how = {
        .flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

static int make_folder(struct unpacking *u, const char *path, bool *made, struct ql_err *err)
{
    const mode_t mode = u->config->for_group ? 0750 : 0700;
    const char *slash = strrchr(path, '/');
    ql_auto_free char *above = slash ? strndup(path, (size_t)(slash - path)) : NULL;
    ql_auto_close int parent = -1;

    if (slash && !above)
        return ql_fail_nomem(err);
    parent = slash ? open_beneath(u->dir, above, O_PATH | O_DIRECTORY, 0) : -1;
    if (slash && parent < 0)
        return sys_failed(u, path, err);
    *made = mkdirat(slash ? parent : u->dir, slash ? slash + 1 : path, mode) == 0;
    if (*made) {
        u->count.folders++;
        return QL_OK;
    }
    return errno == EEXIST ? QL_OK : sys_failed(u, path, err); /* a file in its place fails when it is used */
}

/* Folders above a name: archives need not name them. Together they count as entries do. */
static int make_folders_above(struct unpacking *u, const char *name, struct ql_err *err)
{
    ql_auto_free char *path = strdup(name);
    bool made;

    if (!path)
        return ql_fail_nomem(err);
    for (char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        int r;

        *at = '\0';
        r = make_folder(u, path, &made, err);
        *at = '/';
        if (r < 0)
            return r;
        if (u->count.folders > QL_UNPACK_ENTRIES_MAX)
            return ql_fail(err, QL_ELIMIT, "more than %d folders", QL_UNPACK_ENTRIES_MAX);
    }
    return QL_OK;
}

static int check_amount(const struct unpacking *u, size_t more, struct ql_err *err)
{
    const uint64_t ratio_max = (uint64_t)u->archive_len * QL_UNPACK_RATIO_MAX + QL_UNPACK_RATIO_FREE;

    if (more > u->config->bytes_max || u->count.bytes > u->config->bytes_max - more)
        return ql_fail(err, QL_ELIMIT, "unpacks to more than %llu bytes",
                       (unsigned long long)u->config->bytes_max);
    if (u->count.bytes + more > ratio_max)
        return ql_fail(err, QL_ELIMIT, "unpacks to more than %d times its size", QL_UNPACK_RATIO_MAX);
    return QL_OK;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t wrote = write(fd, data, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        data += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

static int archive_failed(const struct unpacking *u, struct ql_err *err)
{
    const char *text = archive_error_string(u->archive);

    return ql_fail(err, QL_EPARSE, "entry %zu: %s", u->entries, text ? text : "damaged");
}

static int write_file(struct unpacking *u, const char *name, mode_t mode, struct ql_err *err)
{
    ql_auto_free uint8_t *piece = malloc(PIECE);
    ql_auto_close int fd = -1;

    if (!piece)
        return ql_fail_nomem(err);
    fd = open_beneath(u->dir, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0)
        return sys_failed(u, name, err);
    for (;;) {
        const la_ssize_t got = archive_read_data(u->archive, piece, PIECE);
        int r;

        if (got < 0) /* warnings, too: a wrong checksum is one */
            return archive_failed(u, err);
        if (got == 0)
            break;
        r = check_amount(u, (size_t)got, err);
        if (r < 0)
            return r;
        if (write_all(fd, piece, (size_t)got) != 0)
            return sys_failed(u, name, err);
        u->count.bytes += (uint64_t)got;
    }
    u->count.files++;
    return QL_OK;
}

/* ---- entries ---- */

/* Stored and deflated entries alone: each further method is a decompressor more to trust. */
static bool is_method_read(const char *format)
{
    return format && (strstr(format, "(uncompressed)") || strstr(format, "(deflation)"));
}

static int check_kind(const struct unpacking *u, struct archive_entry *e, struct ql_err *err)
{
    const mode_t type = archive_entry_filetype(e);

    if ((type != AE_IFREG && type != AE_IFDIR) || archive_entry_symlink(e) || archive_entry_hardlink(e))
        return ql_fail(err, QL_EACCES, "entry %zu: neither a file nor a folder", u->entries);
    if (archive_entry_is_encrypted(e))
        return ql_fail(err, QL_EPARSE, "entry %zu: encrypted", u->entries);
    if (type == AE_IFREG && !is_method_read(archive_format_name(u->archive)))
        return ql_fail(err, QL_EPARSE, "entry %zu: packed by a method other than stored and deflate",
                       u->entries);
    return QL_OK;
}

static int take_entry(struct unpacking *u, struct archive_entry *e, struct ql_err *err)
{
    const char *given = archive_entry_pathname(e);
    ql_auto_free char *name = given ? strdup(given) : NULL;
    size_t len = name ? strlen(name) : 0;
    mode_t mode = u->config->for_group ? 0640 : 0600;
    bool made = false;
    int r;

    if (++u->entries > QL_UNPACK_ENTRIES_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d entries", QL_UNPACK_ENTRIES_MAX);
    if (!name)
        return ql_fail(err, QL_EPARSE, "entry %zu: name is no text", u->entries);
    r = check_kind(u, e, err);
    if (r < 0)
        return r;
    if (archive_entry_filetype(e) == AE_IFDIR && len > 1 && name[len - 1] == '/')
        name[--len] = '\0';
    r = check_name(name, len, u->entries, err);
    if (r == QL_OK)
        r = add_name(u, name, err);
    if (r == QL_OK)
        r = make_folders_above(u, name, err);
    if (r < 0)
        return r;
    if (archive_entry_filetype(e) == AE_IFDIR)
        return make_folder(u, name, &made, err);
    if (archive_entry_perm(e) & S_IXUSR)
        mode |= u->config->for_group ? 0110 : 0100;
    return write_file(u, name, mode, err);
}

int ql_unpack(const void *data, size_t len, int dir, const struct ql_unpack_config *config,
              struct ql_unpack_count *ret, struct ql_err *err)
{
    ql_auto(reader_close) struct archive *a = archive_read_new();
    ql_auto(unpacking_done) struct unpacking u = {
        .archive = a, .archive_len = len, .dir = dir, .config = config};
    struct archive_entry *e;
    int r;

    if (!a)
        return ql_fail_nomem(err);
    if (len > QL_UNPACK_ARCHIVE_MAX)
        return ql_fail(err, QL_ELIMIT, "archive of %zu bytes, at most %d", len, QL_UNPACK_ARCHIVE_MAX);
    /* By its central directory alone: a reader of the stream could see other entries than that names. */
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, data, len) != ARCHIVE_OK)
        return ql_fail(err, QL_EPARSE, "no ZIP archive: %s",
                       archive_error_string(a) ? archive_error_string(a) : "damaged");
    while ((r = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
        r = take_entry(&u, e, err);
        if (r < 0)
            return r;
    }
    if (r != ARCHIVE_EOF)
        return ql_fail(err, QL_EPARSE, "after entry %zu: %s", u.entries,
                       archive_error_string(a) ? archive_error_string(a) : "damaged");
    if (u.entries != count_entries(data, len))
        return ql_fail(err, QL_EPARSE, "after entry %zu: its end names another number of entries", u.entries);
    *ret = u.count;
    return QL_OK;
}
