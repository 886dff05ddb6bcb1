/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <mntent.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "encode.h"
#include "error.h"
#include "walk.h"

enum {
    READ_LEN = 64 * 1024, /* stays in a core's cache between the copy and the hash */
    THREADS_MAX = 256,
    PROGRESS_MS = 200,
    DIGEST_MAX = 64
};

/* A file, and its digest once it was hashed. */
struct file {
    char *path;
    char *hex; /* NULL: could not be read */
};

struct walk {
    const struct ql_walk_rules *rules;
    char root[PATH_MAX]; /* without a final '/', "" for the file system's own */
    struct ql_names skips;
    struct file *files;
    size_t count, room;
    EVP_MD *md;
    _Atomic size_t next;
    _Atomic uint64_t bytes, unreadable;
    _Atomic int code; /* QL_ENOMEM of a thread */
    _Atomic bool is_done;
};

/* ---- what is left out ---- */

static int skip(struct walk *w, const char *path, struct ql_err *err)
{
    return ql_names_add(&w->skips, path, strlen(path), NULL, 0) < 0 ? ql_fail_nomem(err) : QL_OK;
}

static int skip_below_root(struct walk *w, const char *path, struct ql_err *err)
{
    char whole[PATH_MAX];

    if (snprintf(whole, sizeof whole, "%s%s", w->root, path) >= (int)sizeof whole)
        return QL_OK; /* too long to be met */
    return skip(w, whole, err);
}

/* Kind of the running system's own file system. */
static void root_kind(char *out, size_t room)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *m;

    out[0] = 0;
    while (mounts && (m = getmntent(mounts)))
        if (strcmp(m->mnt_dir, "/") == 0)
            snprintf(out, room, "%s", m->mnt_type);
    if (mounts)
        endmntent(mounts);
}

static int skip_mounts(struct walk *w, struct ql_err *err)
{
    char kind[128];
    FILE *mounts;
    const struct mntent *m;
    int r = QL_OK;

    root_kind(kind, sizeof kind);
    mounts = setmntent("/proc/self/mounts", "re");
    while (r == QL_OK && mounts && (m = getmntent(mounts)))
        if (strcmp(m->mnt_dir, "/") != 0 && strcmp(m->mnt_type, kind) != 0)
            r = skip_below_root(w, m->mnt_dir, err);
    if (mounts)
        endmntent(mounts);
    return r;
}

/* Absolute, without "." and "..", links left as they are. */
static bool normalise(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX] = "", whole[PATH_MAX];
    size_t n = 0;
    char *save = NULL;

    if (path[0] != '/' && !getcwd(here, sizeof here))
        return false;
    if (snprintf(whole, sizeof whole, "%s/%s", here, path) >= (int)sizeof whole)
        return false;
    out[0] = 0;
    for (char *part = strtok_r(whole, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            while (n > 0 && out[n] != '/')
                n--;
            out[n] = 0;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, part, strlen(part) + 1);
        n += strlen(part);
    }
    return true;
}

/* @return 1: the skip path is the root or above, nothing is walked */
static int take_skips(struct walk *w, struct ql_err *err)
{
    static const char *const standard[] = {"/sys",   "/run",  "/proc", "/lost+found", "/dev",
                                           "/media", "/snap", "/mnt",  "/var",        "/tmp"};
    const struct ql_walk_rules *rules = w->rules;
    size_t len = strlen(w->root);
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && rules->has_standard_skips && i < QL_ARRAY_LEN(standard); i++)
        r = skip_below_root(w, standard[i], err);
    if (r == QL_OK && rules->has_standard_skips)
        r = skip_mounts(w, err);
    for (size_t i = 0; r == QL_OK && rules->skips && rules->skips[i]; i++) {
        char path[PATH_MAX];
        size_t n;

        if (!normalise(rules->skips[i], path))
            return ql_fail(err, QL_ELIMIT, "skip path %.80s is too long", rules->skips[i]);
        n = strlen(path);
        if (strncmp(w->root, path, n) == 0 && (w->root[n] == '/' || w->root[n] == 0))
            return 1;
        if (strncmp(path, w->root, len) != 0 || path[len] != '/')
            fprintf(stderr, "skip path %s is not below %s, ignored\n", path, *w->root ? w->root : "/");
        else
            r = skip(w, path, err);
    }
    return r;
}

/* ---- finding files ---- */

static int add_file(struct walk *w, const char *path, struct ql_err *err)
{
    if (w->count == w->room) {
        size_t room = w->room ? w->room * 2 : 4096;
        struct file *wide = reallocarray(w->files, room, sizeof *wide);

        if (!wide)
            return ql_fail_nomem(err);
        w->files = wide;
        w->room = room;
    }
    w->files[w->count] = (struct file){.path = strdup(path)};
    return w->files[w->count++].path ? QL_OK : ql_fail_nomem(err);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int find_files(struct walk *w, struct ql_err *err)
{
    char *roots[] = {*w->root ? w->root : (char[]){"/"}, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *e;
    int r = QL_OK;

    if (!fts)
        return ql_fail(err, QL_EIO, "%s: %s", roots[0], strerror(errno));
    while (r == QL_OK && (errno = 0, e = fts_read(fts))) {
        if (e->fts_info == FTS_D && ql_names_find(&w->skips, e->fts_path, e->fts_pathlen))
            (void)fts_set(fts, e, FTS_SKIP); /* only fails for a wrong instruction */
        else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
            w->unreadable++;
        else if (e->fts_info == FTS_F && (!w->rules->root_owned || e->fts_statp->st_uid == 0))
            r = add_file(w, e->fts_path, err);
    }
    fts_close(fts);
    return r;
}

/* ---- hashing ---- */

/* Opened without waiting for anybody: what was a file may have become something else. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool hash_file(struct walk *w, EVP_MD_CTX *c, uint8_t *buffer, const char *path, uint8_t *digest)
{
    ql_auto_close int fd = open_file(path);
    ssize_t n = -1;

    if (fd < 0 || EVP_DigestInit_ex2(c, w->md, NULL) != 1)
        return false;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only advice */
    while ((n = read(fd, buffer, READ_LEN)) > 0) {
        if (EVP_DigestUpdate(c, buffer, (size_t)n) != 1)
            return false;
        w->bytes += (uint64_t)n;
    }
    return n == 0 && EVP_DigestFinal_ex(c, digest, NULL) == 1;
}

static void *hash_some(void *arg)
{
    struct walk *w = arg;
    ql_auto_free uint8_t *buffer = malloc(READ_LEN);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    uint8_t digest[DIGEST_MAX];
    size_t i;

    if (!buffer || !c)
        w->code = QL_ENOMEM;
    while (buffer && c && (i = w->next++) < w->count) {
        if (!hash_file(w, c, buffer, w->files[i].path, digest))
            w->unreadable++;
        else if (!(w->files[i].hex = ql_hex_dup(digest, (size_t)EVP_MD_get_size(w->md))))
            w->code = QL_ENOMEM;
    }
    EVP_MD_CTX_free(c);
    return NULL;
}

static void *show_progress(void *arg)
{
    struct walk *w = arg;
    struct timespec pause = {.tv_nsec = PROGRESS_MS * QL_NS_PER_MS};

    while (!w->is_done) {
        size_t at = w->next < w->count ? w->next : w->count;

        fprintf(stderr, "\r%zu of %zu files, %llu MB ", at, w->count, (unsigned long long)(w->bytes >> 20));
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "\r%zu of %zu files, %llu MB\n", w->count, w->count,
            (unsigned long long)(w->bytes >> 20));
    return NULL;
}

static unsigned thread_count(const struct walk *w)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = w->rules->threads > 0 ? w->rules->threads : cpus > 0 ? (size_t)cpus : 1;

    if (wanted > w->count)
        wanted = w->count;
    return (unsigned)(wanted < THREADS_MAX ? wanted : THREADS_MAX);
}

static int hash_all(struct walk *w, struct ql_err *err)
{
    pthread_t threads[THREADS_MAX], progress;
    unsigned count = thread_count(w), started = 0;
    bool shows = w->rules->shows_progress && pthread_create(&progress, NULL, show_progress, w) == 0;

    while (started < count && pthread_create(&threads[started], NULL, hash_some, w) == 0)
        started++;
    if (started == 0)
        (void)hash_some(w); /* no thread to be had: here, then */
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    w->is_done = true;
    if (shows)
        pthread_join(progress, NULL);
    return w->code < 0 ? ql_fail_nomem(err) : QL_OK;
}

/* ---- the whole ---- */

static int hand_over(const struct walk *w, struct ql_draft *to, struct ql_err *err)
{
    size_t skip_len = strlen(w->root);

    for (size_t i = 0; i < w->count; i++) {
        char *path = w->files[i].path + skip_len;

        if (!w->files[i].hex)
            continue;
        for (char *c = path; *c; c++)
            if (*c == ' ')
                *c = '_';
        if (ql_names_add(&to->digests, path, strlen(path), w->files[i].hex, strlen(w->files[i].hex)) < 0)
            return ql_fail_nomem(err);
    }
    return QL_OK;
}

static void done(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i].path);
        free(w->files[i].hex);
    }
    free(w->files);
    ql_names_done(&w->skips);
    EVP_MD_free(w->md);
}

int ql_walk(const struct ql_walk_rules *rules, struct ql_draft *to, struct ql_walk_result *ret,
            struct ql_err *err)
{
    struct walk w = {.rules = rules};
    struct stat st;
    int r;

    if (!normalise(rules->root, w.root) || stat(*w.root ? w.root : "/", &st) != 0 || !S_ISDIR(st.st_mode))
        return ql_fail(err, QL_ENOTFOUND, "%s is no folder", rules->root);
    w.md = EVP_MD_fetch(NULL, strcmp(rules->algorithm, "sm3_256") == 0 ? "SM3" : rules->algorithm, NULL);
    if (!w.md)
        return ql_fail(err, QL_EUNSUPPORTED, "algorithm %s is not offered here", rules->algorithm);
    r = take_skips(&w, err);
    if (r == QL_OK)
        r = find_files(&w, err);
    if (r == QL_OK)
        r = hash_all(&w, err);
    if (r == QL_OK)
        r = hand_over(&w, to, err);
    if (r >= 0)
        *ret = (struct ql_walk_result){.files = w.count, .bytes = w.bytes, .unreadable = w.unreadable};
    done(&w);
    return r < 0 ? r : QL_OK;
}
