/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "encode.h"
#include "error.h"

enum {
    PIECE = 64 * 1024,
    MEMBERS_MAX = 16, /* of the outer archive: there are three */
    NAME_MAX_LEN = 4096,
    THREADS_MAX = 256
};

static void reader_close(struct archive **a)
{
    if (*a)
        (void)archive_read_free(*a); /* memory alone */
}

/** One package while it is read. */
struct package {
    struct archive *outer, *inner;
    const char *algorithm;
    EVP_MD *md;
    EVP_MD_CTX *hash;
    struct ql_names digests; /* of this package alone: for hard links, and until it is known to be whole */
    uint64_t bytes;
    uint8_t piece[PIECE]; /* of the outer archive */
    uint8_t plain[PIECE];
};

static void package_free(struct package *p)
{
    reader_close(&p->inner); /* reads of the outer one */
    reader_close(&p->outer);
    EVP_MD_CTX_free(p->hash);
    EVP_MD_free(p->md);
    ql_names_done(&p->digests);
    free(p);
}
QL_DEFINE_CLEANUP(struct package, package_free)

static int library_failed(struct archive *a, struct ql_err *err)
{
    const char *text = archive_error_string(a);

    return ql_fail(err, archive_errno(a) == ENOMEM ? QL_ENOMEM : QL_EPARSE, "%s", text ? text : "damaged");
}

/* ---- the outer archive ---- */

static int open_package(struct package *p, int fd, struct ql_err *err)
{
    p->outer = archive_read_new();
    if (!p->outer)
        return ql_fail_nomem(err);
    if (archive_read_support_format_ar(p->outer) != ARCHIVE_OK ||
        archive_read_open_fd(p->outer, fd, PIECE) != ARCHIVE_OK)
        return library_failed(p->outer, err);
    return QL_OK;
}

/** Up to the member that holds the files; the one before all others tells the format. */
static int find_data(struct package *p, struct ql_err *err)
{
    struct archive_entry *entry;

    for (int n = 0; n < MEMBERS_MAX; n++) {
        const int r = archive_read_next_header(p->outer, &entry);
        const char *name = r == ARCHIVE_OK ? archive_entry_pathname(entry) : NULL;

        if (r == ARCHIVE_EOF)
            break;
        if (!name)
            return library_failed(p->outer, err);
        if (n == 0 && strcmp(name, "debian-binary") != 0)
            return ql_fail(err, QL_EPARSE, "no Debian package: it begins with %.32s", name);
        if (strncmp(name, "data.tar", 8) == 0)
            return QL_OK;
    }
    return ql_fail(err, QL_EPARSE, "no data.tar");
}

static la_ssize_t read_outer(struct archive *inner, void *arg, const void **ret)
{
    struct package *p = arg;
    const la_ssize_t len = archive_read_data(p->outer, p->piece, sizeof p->piece);

    *ret = p->piece;
    if (len < 0)
        archive_set_error(inner, archive_errno(p->outer), "%s", archive_error_string(p->outer));
    return len < 0 ? -1 : len;
}

static int open_data(struct package *p, struct ql_err *err)
{
    p->inner = archive_read_new();
    if (!p->inner)
        return ql_fail_nomem(err);
    if (archive_read_support_filter_gzip(p->inner) != ARCHIVE_OK ||
        archive_read_support_filter_xz(p->inner) != ARCHIVE_OK ||
        archive_read_support_filter_lzma(p->inner) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(p->inner) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(p->inner) != ARCHIVE_OK)
        return ql_fail(err, QL_EUNSUPPORTED, "libarchive lacks a compression: %s",
                       archive_error_string(p->inner));
    if (archive_read_support_format_tar(p->inner) != ARCHIVE_OK ||
        archive_read_open(p->inner, p, NULL, read_outer, NULL) != ARCHIVE_OK)
        return library_failed(p->inner, err);
    return QL_OK;
}

/* ---- files ---- */

/* As the kernel writes the path: absolute, blanks as underscores. @return 0: no name that a package may have */
static size_t absolute_name(const char *name, char out[NAME_MAX_LEN])
{
    size_t len;

    if (name[0] == '.' && name[1] == '/')
        name++;
    len = strlen(name);
    if (name[0] != '/' || len < 2 || len >= NAME_MAX_LEN || name[len - 1] == '/' || strstr(name, "//") ||
        strstr(name, "/../") || strstr(name, "/./") || (len >= 3 && strcmp(name + len - 3, "/..") == 0))
        return 0;
    for (size_t i = 0; i <= len; i++)
        out[i] = name[i] == ' ' ? '_' : name[i];
    return len;
}

static bool is_below_moved(const char *path)
{
    static const char *const moved[] = {"/bin/",   "/sbin/",   "/lib/",   "/lib32/",
                                        "/lib64/", "/libx32/", "/libo32/"};

    for (size_t i = 0; i < QL_ARRAY_LEN(moved); i++)
        if (strncmp(path, moved[i], strlen(moved[i])) == 0)
            return true;
    return false;
}

static int add(struct package *p, const char *path, size_t len, const char *hex, struct ql_err *err)
{
    char below_usr[NAME_MAX_LEN + 4] = "/usr";

    if (ql_names_add(&p->digests, path, len, hex, strlen(hex)) < 0)
        return ql_fail_nomem(err);
    if (!is_below_moved(path))
        return QL_OK;
    memcpy(below_usr + 4, path, len + 1);
    return ql_names_add(&p->digests, below_usr, len + 4, hex, strlen(hex)) < 0 ? ql_fail_nomem(err) : QL_OK;
}

static int hash_file(struct package *p, char hex[2 * EVP_MAX_MD_SIZE + 1], struct ql_err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    la_ssize_t len;

    if (EVP_DigestInit_ex2(p->hash, p->md, NULL) != 1)
        return ql_fail(err, QL_ECRYPTO, "%s cannot be computed", p->algorithm);
    while ((len = archive_read_data(p->inner, p->plain, sizeof p->plain)) > 0) {
        p->bytes += (uint64_t)len;
        if (p->bytes > QL_DEB_BYTES_MAX)
            return ql_fail(err, QL_ELIMIT, "more than %llu bytes", (unsigned long long)QL_DEB_BYTES_MAX);
        if (EVP_DigestUpdate(p->hash, p->plain, (size_t)len) != 1)
            return ql_fail(err, QL_ECRYPTO, "%s cannot be computed", p->algorithm);
    }
    if (len < 0)
        return library_failed(p->inner, err);
    if (EVP_DigestFinal_ex(p->hash, digest, &digest_len) != 1)
        return ql_fail(err, QL_ECRYPTO, "%s cannot be computed", p->algorithm);
    ql_hex_encode(digest, digest_len, hex);
    return QL_OK;
}

/* A hard link has no data of its own: it is the file that came before. */
static int add_link(struct package *p, const char *path, size_t len, const char *target, struct ql_err *err)
{
    char name[NAME_MAX_LEN];
    const size_t name_len = absolute_name(target, name);
    const struct ql_name *file = name_len ? ql_names_find(&p->digests, name, name_len) : NULL;

    if (!file || file->count == 0)
        return ql_fail(err, QL_EPARSE, "%s is a link to a file that did not come before", path);
    return add(p, path, len, file->values[0], err);
}

static int take_entry(struct package *p, struct archive_entry *entry, struct ql_err *err)
{
    const char *name = archive_entry_pathname(entry), *target = archive_entry_hardlink(entry);
    char path[NAME_MAX_LEN], hex[2 * EVP_MAX_MD_SIZE + 1];
    size_t len;
    int r;

    if (!target && archive_entry_filetype(entry) != AE_IFREG)
        return QL_OK; /* folders, links, devices: the kernel measures none of them */
    len = name ? absolute_name(name, path) : 0;
    if (len == 0)
        return ql_fail(err, QL_EPARSE, "a file has a name that is no path");
    if (target)
        return add_link(p, path, len, target, err);
    r = hash_file(p, hex, err);
    return r == QL_OK ? add(p, path, len, hex, err) : r;
}

static int read_files(struct package *p, struct ql_err *err)
{
    struct archive_entry *entry;
    int r, count = 0;

    while ((r = archive_read_next_header(p->inner, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
        if (++count > QL_DEB_FILES_MAX)
            return ql_fail(err, QL_ELIMIT, "more than %d files", QL_DEB_FILES_MAX);
        r = take_entry(p, entry, err);
        if (r < 0)
            return r;
    }
    return r == ARCHIVE_EOF ? QL_OK : library_failed(p->inner, err);
}

/* @param ret  a package that is whole, and its digests */
static int read_package(int fd, const char *algorithm, struct package **ret, struct ql_err *err)
{
    ql_auto(package_freep) struct package *p = calloc(1, sizeof *p);
    int r;

    if (!p)
        return ql_fail_nomem(err);
    p->algorithm = algorithm;
    p->md = EVP_MD_fetch(NULL, strcmp(algorithm, "sm3_256") == 0 ? "SM3" : algorithm, NULL);
    p->hash = EVP_MD_CTX_new();
    if (!p->md || !p->hash)
        return ql_fail(err, QL_ECRYPTO, "%s is not offered by OpenSSL", algorithm);
    r = open_package(p, fd, err);
    if (r == QL_OK)
        r = find_data(p, err);
    if (r == QL_OK)
        r = open_data(p, err);
    if (r == QL_OK)
        r = read_files(p, err);
    if (r == QL_OK)
        *ret = ql_steal(p);
    return r;
}

int ql_deb_read(int fd, const char *algorithm, struct ql_draft *to, struct ql_err *err)
{
    ql_auto(package_freep) struct package *p = NULL;
    int r = read_package(fd, algorithm, &p, err);

    return r == QL_OK && ql_names_merge(&to->digests, &p->digests) < 0 ? ql_fail_nomem(err) : r;
}

/* ---- a folder ---- */

struct folder {
    const struct ql_deb_rules *rules;
    char **paths;
    size_t count, room;
    _Atomic size_t next;
    pthread_mutex_t lock; /* of what follows, and of standard error */
    struct ql_draft *to;
    size_t done, bad;
    int code;
};

static int keep_path(struct folder *f, const char *path)
{
    if (f->count == f->room) {
        const size_t room = f->room ? 2 * f->room : 256;
        char **grown = reallocarray(f->paths, room, sizeof *grown);

        if (!grown)
            return QL_ENOMEM;
        f->paths = grown;
        f->room = room;
    }
    f->paths[f->count] = strdup(path);
    return f->paths[f->count] ? (f->count++, QL_OK) : QL_ENOMEM;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int list_packages(struct folder *f, const char *folder, struct ql_err *err)
{
    char *roots[] = {(char *)(uintptr_t)folder, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *e;
    int r = QL_OK;

    if (!fts)
        return ql_fail(err, QL_EIO, "%s: %s", folder, strerror(errno));
    while (r == QL_OK && (e = fts_read(fts))) {
        const size_t n = e->fts_namelen;

        if (e->fts_info == FTS_F && n > 4 && strcmp(e->fts_name + n - 4, ".deb") == 0)
            r = keep_path(f, e->fts_path);
    }
    fts_close(fts);
    if (r < 0)
        return ql_fail_nomem(err);
    return f->count ? QL_OK : ql_fail(err, QL_ENOTFOUND, "%s: no Debian packages (*.deb) there", folder);
}

static int open_file(const char *path, int *ret, struct ql_err *err)
{
    struct stat st;

    *ret = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*ret < 0 || fstat(*ret, &st) != 0)
        return ql_fail(err, QL_EIO, "%s", strerror(errno));
    return S_ISREG(st.st_mode) ? QL_OK : ql_fail(err, QL_EIO, "no regular file");
}

static void *read_some(void *arg)
{
    struct folder *f = arg;
    size_t at;

    while ((at = atomic_fetch_add(&f->next, 1)) < f->count) {
        ql_auto(package_freep) struct package *p = NULL;
        struct ql_err why = QL_ERR_INIT;
        ql_auto_close int fd = -1;
        int r = open_file(f->paths[at], &fd, &why);

        if (r == QL_OK)
            r = read_package(fd, f->rules->algorithm, &p, &why);
        pthread_mutex_lock(&f->lock);
        if (r == QL_OK)
            r = ql_names_merge(&f->to->digests, &p->digests) < 0 ? ql_fail_nomem(&why) : QL_OK;
        if (r < 0) {
            fprintf(stderr, "%s: %s\n", f->paths[at], why.text);
            f->bad++;
        }
        if (r == QL_ENOMEM)
            f->code = r;
        f->done++;
        if (f->rules->shows_progress)
            fprintf(stderr, "\r%zu of %zu packages%s", f->done, f->count, f->done == f->count ? "\n" : "");
        pthread_mutex_unlock(&f->lock);
    }
    return NULL;
}

static void read_all(struct folder *f)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned want = f->rules->threads ? f->rules->threads : processors > 0 ? (unsigned)processors : 1;
    pthread_t threads[THREADS_MAX];
    unsigned started = 0;

    if (want > THREADS_MAX)
        want = THREADS_MAX;
    while (started + 1 < want && pthread_create(&threads[started], NULL, read_some, f) == 0)
        started++;
    (void)read_some(f); /* with fewer threads it only takes longer */
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

int ql_deb_folder(const char *folder, const struct ql_deb_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err)
{
    struct folder f = {.rules = rules, .to = to, .lock = PTHREAD_MUTEX_INITIALIZER};
    int r = list_packages(&f, folder, err);

    if (r == QL_OK) {
        fprintf(stderr, "%s: signatures of the repository are not checked here\n", folder);
        read_all(&f);
        r = f.code < 0 ? ql_fail_nomem(err) : QL_OK;
    }
    for (size_t i = 0; i < f.count; i++)
        free(f.paths[i]);
    free(f.paths);
    *bad = f.bad;
    return r;
}
