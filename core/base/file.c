/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "error.h"
#include "file.h"
#include "secret.h"

enum {
    FIRST_READ = 16 * 1024, /**< bytes; the first allocation when the size is not known */
    PATH_LEN_MAX = 4096,    /**< PATH_MAX of Linux, with the NUL */
    TRIES = 16              /**< random temporary names before giving up */
};

static int from_errno(struct ql_err *err, const char *what, const char *path)
{
    int code;

    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        code = QL_ENOTFOUND;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
        code = QL_EACCES;
        break;
    case ENOSPC:
    case EDQUOT:
        code = QL_EFULL;
        break;
    case EEXIST:
        code = QL_EEXIST;
        break;
    case ENOMEM:
        code = QL_ENOMEM;
        break;
    default:
        code = QL_EIO;
        break;
    }
    return ql_fail(err, code, "%s %s: %m", what, path);
}

/* What was read may be a key: memory that is left behind is wiped. */
struct contents {
    uint8_t *data;
    size_t room; /* bytes, with one for the NUL */
};

static void contents_done(struct contents *c)
{
    if (c->data)
        ql_wipe(c->data, c->room);
    free(c->data);
    c->data = NULL;
}

static bool contents_grow(struct contents *c, size_t room)
{
    struct contents larger = {malloc(room), room};

    if (!larger.data)
        return false;
    if (c->data)
        memcpy(larger.data, c->data, c->room);
    contents_done(c);
    *c = larger;
    return true;
}

/* Read to the end of file; grows by doubling up to one byte more than the limit, to see that it is exceeded. */
static int read_all(int fd, const char *path, size_t first, size_t max_len, uint8_t **ret, size_t *ret_len,
                    struct ql_err *err)
{
    ql_auto(contents_done) struct contents c = {0};
    size_t len = 0;

    if (!contents_grow(&c, first))
        return ql_fail_nomem(err);
    for (;;) {
        ssize_t got;

        if (c.room - len < 2 && !contents_grow(&c, c.room > max_len / 2 ? max_len + 2 : 2 * c.room))
            return ql_fail_nomem(err);
        got = read(fd, c.data + len, c.room - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return from_errno(err, "reading", path);
        if (got == 0)
            break;
        len += (size_t)got;
        if (len > max_len)
            return ql_fail(err, QL_ELIMIT, "%s is larger than %zu bytes", path, max_len);
    }
    c.data[len] = '\0';
    *ret = ql_steal(c.data);
    *ret_len = len;
    return QL_OK;
}

int ql_file_read(const char *path, size_t max_len, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    struct stat st;
    size_t first = FIRST_READ;

    if (fd < 0)
        return from_errno(err, "opening", path);
    if (max_len > SIZE_MAX / 4)
        max_len = SIZE_MAX / 4;
    /* st_size sizes the first allocation and no more: securityfs says 0, a growing log too little. */
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        first = (uint64_t)st.st_size < max_len ? (size_t)st.st_size + 2 : max_len + 2;
    else if (first > max_len)
        first = max_len + 2;
    return read_all(fd, path, first, max_len, ret, ret_len, err);
}

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t wrote = write(fd, at, len);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        at += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

/* The name of the folder that a path lies in; the path is cut in place. */
static const char *folder_of(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash)
        return ".";
    if (slash == path)
        return "/";
    *slash = '\0';
    return path;
}

static void sync_folder(const char *path)
{
    char folder[PATH_LEN_MAX];
    ql_auto_close int fd = -1;

    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return;
    fd = open(folder_of(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd); /* some file systems cannot: then rename is as durable as it gets */
}

static int open_temporary(const char *path, mode_t mode, char *name, size_t room, struct ql_err *err)
{
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned salt = 0;
        int fd;

        if (getentropy(&salt, sizeof salt) != 0)
            return ql_fail(err, QL_EIO, "no randomness: %m");
        if (snprintf(name, room, "%s.%08x.tmp", path, salt) >= (int)room)
            return ql_fail(err, QL_ELIMIT, "path is longer than %zu characters", room - 1);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            return from_errno(err, "creating", name);
    }
    return ql_fail(err, QL_EEXIST, "no free temporary name beside %s", path);
}

int ql_file_write(const char *path, mode_t mode, const void *data, size_t len, struct ql_err *err)
{
    char name[PATH_LEN_MAX];
    ql_auto_close int fd = open_temporary(path, mode, name, sizeof name, err);
    int r = QL_OK;

    if (fd < 0) {
        r = fd;
        fd = -1; /* a code, not a descriptor */
        return r;
    }
    if (fchmod(fd, mode) != 0 || write_all(fd, data, len) != 0 || fsync(fd) != 0)
        r = from_errno(err, "writing", name);
    if (r == QL_OK && rename(name, path) != 0)
        r = from_errno(err, "renaming to", path);
    if (r < 0) {
        (void)unlink(name); /* what is left of a failed write; the failure is reported already */
        return r;
    }
    sync_folder(path);
    return QL_OK;
}

/* Make one folder of the path. @param last  it must be a folder itself and no link to one */
static int make_one(const char *path, mode_t mode, bool last, struct ql_err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return chmod(path, mode) == 0 ? QL_OK
                                      : from_errno(err, "setting the mode of", path); /* the umask cut it */
    if (errno != EEXIST)
        return from_errno(err, "making folder", path);
    if ((last ? lstat(path, &st) : stat(path, &st)) != 0)
        return from_errno(err, "looking at", path);
    if (S_ISLNK(st.st_mode))
        return ql_fail(err, QL_EEXIST, "%s is a link, not a folder", path);
    if (!S_ISDIR(st.st_mode))
        return ql_fail(err, QL_EEXIST, "%s is not a folder", path);
    return QL_OK;
}

int ql_dir_make(const char *path, mode_t mode, struct ql_err *err)
{
    char part[PATH_LEN_MAX];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof part)
        return ql_fail(err, QL_ELIMIT, "path of %zu characters, at most %zu", len, sizeof part - 1);
    memcpy(part, path, len + 1);
    while (len > 1 && part[len - 1] == '/') /* "link/" would be the folder behind the link */
        part[--len] = '\0';
    for (char *c = part + 1; *c != '\0'; c++) {
        int r;

        if (*c != '/' || c[-1] == '/')
            continue;
        *c = '\0';
        r = make_one(part, mode, false, err);
        if (r < 0)
            return r;
        *c = '/';
    }
    return make_one(part, mode, true, err);
}

char *ql_path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    char *path;

    if (name[0] == '/' || len == 0)
        return strdup(name);
    return asprintf(&path, "%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", name) < 0 ? NULL : path;
}

int ql_state_dir_lock(const char *dir, int *ret_fd, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(dir, "lock");
    ql_auto_close int fd = -1;

    if (!path)
        return ql_fail_nomem(err);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return from_errno(err, "opening", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ql_fail(err, QL_EEXIST, "%s is in use by another process (lock %s)", dir, path)
                   : from_errno(err, "locking", path);
    *ret_fd = ql_steal_fd(fd);
    return QL_OK;
}
