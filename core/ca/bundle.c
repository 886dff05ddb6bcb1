/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "error.h"
#include "file.h"
#include "parse.h"

enum {
    NAME_LEN_MAX = 255, /* bytes; NAME_MAX of file systems */
    READ_BLOCK = 64 * 1024
};

struct ql_bundle {
    struct archive *archive;
    struct ql_buf out;
    size_t bytes; /* of the files */
    size_t count;
    char *names[QL_BUNDLE_ENTRIES_MAX];
};

static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t len)
{
    struct ql_bundle *b = arg;

    (void)a;
    return ql_buf_add(&b->out, data, len) == QL_OK ? (la_ssize_t)len : -1;
}

void ql_bundle_free(struct ql_bundle *b)
{
    if (!b)
        return;
    if (b->archive)
        (void)archive_write_free(b->archive); /* what it still writes is thrown away */
    for (size_t i = 0; i < b->count; i++)
        free(b->names[i]);
    ql_buf_wipe(&b->out);
    free(b);
}

static int archive_fail(struct ql_err *err, struct archive *a, const char *what)
{
    const char *text = archive_error_string(a);

    return ql_fail(err, QL_EIO, "%s: %s", what, text ? text : "unknown failure");
}

int ql_bundle_new(struct ql_bundle **ret, struct ql_err *err)
{
    ql_auto(ql_bundle_freep) struct ql_bundle *b = calloc(1, sizeof *b);

    if (!b)
        return ql_fail_nomem(err);
    b->out = ql_buf_init(QL_BUNDLE_MAX);
    b->archive = archive_write_new();
    if (!b->archive)
        return ql_fail_nomem(err);
    /* Without blocks: the library would keep a copy of what went through, keys too. */
    if (archive_write_set_format_zip(b->archive) != ARCHIVE_OK ||
        archive_write_zip_set_compression_store(b->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(b->archive, 0) != ARCHIVE_OK ||
        archive_write_open(b->archive, b, NULL, on_write, NULL) != ARCHIVE_OK)
        return archive_fail(err, b->archive, "ZIP archive");
    *ret = ql_steal(b);
    return QL_OK;
}

static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > NAME_LEN_MAX || strchr(name, '/') || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0 || !ql_utf8_ok(name, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\\')
            return false;
    return true;
}

static int claim(struct ql_bundle *b, const char *name, size_t len, struct ql_err *err)
{
    if (!name_ok(name))
        return ql_fail(err, QL_ERANGE, "%.80s cannot be the name of a file in a package", name);
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->names[i], name) == 0)
            return ql_fail(err, QL_EEXIST, "two files named %s for one package", name);
    if (b->count >= QL_BUNDLE_ENTRIES_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d files for one package", QL_BUNDLE_ENTRIES_MAX);
    if (len > QL_BUNDLE_MAX - b->bytes)
        return ql_fail(err, QL_ELIMIT, "files of more than %d bytes for one package", QL_BUNDLE_MAX);
    b->names[b->count] = strdup(name);
    if (!b->names[b->count])
        return ql_fail_nomem(err);
    b->count++;
    b->bytes += len;
    return QL_OK;
}

int ql_bundle_add(struct ql_bundle *b, const char *name, const void *data, size_t len, bool executable,
                  struct ql_err *err)
{
    struct archive_entry *entry;
    int r = claim(b, name, len, err);

    if (r < 0)
        return r;
    entry = archive_entry_new2(b->archive);
    if (!entry)
        return ql_fail_nomem(err);
    archive_entry_set_pathname_utf8(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, executable ? 0700 : 0600);
    archive_entry_set_size(entry, (la_int64_t)len);
    if (archive_write_header(b->archive, entry) != ARCHIVE_OK ||
        (len > 0 && archive_write_data(b->archive, data, len) != (la_ssize_t)len) ||
        archive_write_finish_entry(b->archive) != ARCHIVE_OK)
        r = b->out.failed ? ql_fail(err, QL_ELIMIT, "package of more than %d bytes", QL_BUNDLE_MAX)
                          : archive_fail(err, b->archive, name);
    archive_entry_free(entry);
    return r;
}

int ql_bundle_end(struct ql_bundle *b, struct ql_secret **ret, struct ql_err *err)
{
    if (archive_write_close(b->archive) != ARCHIVE_OK || b->out.failed)
        return b->out.failed ? ql_fail(err, QL_ELIMIT, "package of more than %d bytes", QL_BUNDLE_MAX)
                             : archive_fail(err, b->archive, "ZIP archive");
    return ql_secret_new(b->out.data, b->out.len, ret, err);
}

/* ---- what is included ---- */

static int include_file(struct ql_bundle *b, const char *dir, const char *name, size_t *count,
                        struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(dir, name);
    uint8_t *data = NULL;
    struct stat st;
    size_t len;
    int r;

    if (!path)
        return ql_fail_nomem(err);
    if (stat(path, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %m", path);
    if (!S_ISREG(st.st_mode))
        return QL_OK;
    r = ql_file_read(path, QL_BUNDLE_MAX, &data, &len, err);
    if (r < 0)
        return r;
    r = ql_bundle_add(b, name, data, len, (st.st_mode & S_IXUSR) != 0, err);
    ql_wipe(data, len);
    free(data);
    *count += r == QL_OK;
    return r;
}

static int include_dir(struct ql_bundle *b, const char *dir, size_t *count, struct ql_err *err)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, NULL, alphasort), r = QL_OK;

    if (found < 0)
        return ql_fail(err, QL_EIO, "folder %s: %m", dir);
    for (int i = 0; i < found; i++) {
        if (r == QL_OK && names[i]->d_type != DT_DIR)
            r = include_file(b, dir, names[i]->d_name, count, err);
        free(names[i]);
    }
    free(names);
    return r;
}

static int include_entry(struct ql_bundle *b, struct archive *in, struct archive_entry *entry,
                         struct ql_err *err)
{
    ql_auto(ql_buf_wipe) struct ql_buf data = ql_buf_init(QL_BUNDLE_MAX);
    const char *path = archive_entry_pathname_utf8(entry), *slash = path ? strrchr(path, '/') : NULL;
    ql_auto_free char *name = path ? strdup(slash ? slash + 1 : path) : NULL;
    ql_auto_free char *block = malloc(READ_BLOCK);
    la_ssize_t got;

    if (!path)
        return ql_fail(err, QL_EPARSE, "an entry without a name");
    if (!name || !block)
        return ql_fail_nomem(err);
    while ((got = archive_read_data(in, block, READ_BLOCK)) > 0)
        if (ql_buf_add(&data, block, (size_t)got) < 0)
            return ql_fail(err, QL_ELIMIT, "%s is larger than %d bytes", name, QL_BUNDLE_MAX);
    ql_wipe(block, READ_BLOCK);
    if (got < 0)
        return archive_fail(err, in, name);
    return ql_bundle_add(b, name, data.data ? (const void *)data.data : "", data.len,
                         (archive_entry_perm(entry) & S_IXUSR) != 0, err);
}

static int include_entries(struct ql_bundle *b, struct archive *in, size_t *count, struct ql_err *err)
{
    struct archive_entry *entry = NULL;
    int r = QL_OK, got;

    while (r == QL_OK && (got = archive_read_next_header(in, &entry)) != ARCHIVE_EOF) {
        if (got != ARCHIVE_OK)
            return archive_fail(err, in, "ZIP archive");
        if (archive_entry_filetype(entry) == AE_IFDIR)
            continue;
        if (archive_entry_filetype(entry) != AE_IFREG)
            return ql_fail(err, QL_ERANGE, "%.80s is no regular file", archive_entry_pathname(entry));
        r = include_entry(b, in, entry, err);
        *count += r == QL_OK;
    }
    return r;
}

static int include_zip(struct ql_bundle *b, const char *path, size_t *count, struct ql_err *err)
{
    struct archive *in = archive_read_new();
    uint8_t *data = NULL;
    size_t len;
    int r = in ? ql_file_read(path, QL_BUNDLE_MAX, &data, &len, err) : ql_fail_nomem(err);

    if (r == QL_OK) {
        /* Of the library's readers this one alone. */
        r = archive_read_support_format_zip_seekable(in) == ARCHIVE_OK &&
                    archive_read_open_memory(in, data, len) == ARCHIVE_OK
                ? include_entries(b, in, count, err)
                : archive_fail(err, in, "ZIP archive");
        if (r < 0)
            r = ql_fail_context(err, r, "%s", path);
    }
    if (in)
        (void)archive_read_free(in); /* memory alone */
    if (data)
        ql_wipe(data, len);
    free(data);
    return r;
}

int ql_bundle_include(struct ql_bundle *b, const char *path, size_t *count, struct ql_err *err)
{
    struct stat st;

    *count = 0;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? ql_fail(err, QL_ENOTFOUND, "%s does not exist", path)
                               : ql_fail(err, QL_EIO, "%s: %m", path);
    return S_ISDIR(st.st_mode) ? include_dir(b, path, count, err) : include_zip(b, path, count, err);
}
