/* SPDX-License-Identifier: Apache-2.0 */
#include "secure.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "parse.h"

enum {
    SIZE_MIN = 64 * 1024, /* bytes: a payload of certificates, its key and its files */
    SIZE_DIGITS = 12
};

static uint64_t memory_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

int ql_secure_size(const char *text, uint64_t *ret, struct ql_err *err)
{
    const size_t digits = strspn(text, "0123456789");
    const uint64_t all = memory_bytes();
    uint64_t number = 0, bytes = 0;

    if (digits > 0 && digits <= SIZE_DIGITS && (text[digits] == '\0' || text[digits + 1] == '\0') &&
        ql_parse_u64(text, digits, 1, INT64_MAX, &number, NULL) == QL_OK) {
        switch (text[digits]) {
        case '\0':
            bytes = number;
            break;
        case 'k':
        case 'K':
            bytes = number << 10;
            break;
        case 'm':
        case 'M':
            bytes = number << 20;
            break;
        case 'g':
        case 'G':
            bytes = number << 30;
            break;
        case '%':
            bytes = number <= 100 ? all / 100 * number : UINT64_MAX;
            break;
        default:
            break;
        }
    }
    if (bytes == 0)
        return ql_fail(err, QL_EPARSE, "secure_size \"%s\": wanted digits, and k, m, g or %% behind them",
                       text);
    if (bytes < SIZE_MIN || bytes > all)
        return ql_fail(err, QL_ERANGE, "secure_size \"%s\": wanted %d bytes to all of the memory", text,
                       SIZE_MIN);
    *ret = bytes;
    return QL_OK;
}

static int open_folder(const char *path, int *ret, struct ql_err *err)
{
    *ret = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret < 0)
        return ql_fail(err, QL_EACCES, "secure folder %s: %s", path,
                       errno == ELOOP || errno == ENOTDIR ? "is a link or a file, wanted a folder"
                                                          : strerror(errno));
    return QL_OK;
}

/*
 * Is something mounted on the very folder that is open? The kernel is asked about it, not a table of mounts about a name: a
 * table lists what is hidden below other mounts, too, and its names can be made to look like others.
 */
static int look_at(int fd, const char *path, bool *is_mount, bool *is_tmpfs, struct ql_err *err)
{
    struct statx st;
    struct statfs fs;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0 || fstatfs(fd, &fs) != 0)
        return ql_fail(err, QL_EIO, "secure folder %s: %s", path, strerror(errno));
    if (!(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return ql_fail(err, QL_EUNSUPPORTED,
                       "secure folder %s: this kernel does not tell mounts (Linux 5.8 does)", path);
    *is_mount = (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    *is_tmpfs = fs.f_type == TMPFS_MAGIC;
    return QL_OK;
}

static int mount_on(int fd, const struct ql_secure_config *c, struct ql_err *err)
{
    ql_auto_free char *target = NULL, *options = NULL, *plain = NULL;
    int r;

    if (asprintf(&target, "/proc/self/fd/%d", fd) < 0)
        target = NULL; /* undefined after a failure, as the others */
    if (asprintf(&plain, "mode=0700,size=%s", c->size) < 0)
        plain = NULL;
    if (!target || !plain || asprintf(&options, "%s,noswap", plain) < 0) {
        options = NULL;
        return ql_fail_nomem(err);
    }
    /* noexec is left out: payload_script runs from here. Kernels before 6.4 do not know noswap. */
    r = mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options);
    if (r != 0 && errno == EINVAL)
        r = mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, plain);
    if (r != 0)
        return ql_fail(
            err, QL_EACCES,
            "secure folder %s: a tmpfs cannot be mounted there: %s; start the agent as root, have it "
            "mounted before (docs/payloads.md), or let secrets reach the disk by enable_insecure_storage",
            c->path, strerror(errno));
    return QL_OK;
}

/* Its user's alone, or also readable for the group; the group's files stay the group's by the set-group-ID bit. */
static int hand_over(int fd, const struct ql_secure_config *c, struct ql_err *err)
{
    const mode_t mode = c->for_group ? 02750 : 0700;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "secure folder %s: %s", c->path, strerror(errno));
    if (geteuid() == 0 && (st.st_uid != c->uid || st.st_gid != c->gid) && fchown(fd, c->uid, c->gid) != 0)
        return ql_fail(err, QL_EACCES, "secure folder %s: chown: %s", c->path, strerror(errno));
    if (geteuid() != 0 && st.st_uid != c->uid)
        return ql_fail(err, QL_EACCES, "secure folder %s: owner: wanted user %u, found user %u", c->path,
                       (unsigned)c->uid, (unsigned)st.st_uid);
    if ((geteuid() == 0 || (st.st_mode & 07777) != mode) && fchmod(fd, mode) != 0)
        return ql_fail(err, QL_EACCES, "secure folder %s: chmod: %s", c->path, strerror(errno));
    return QL_OK;
}

static int make_folder(const char *path, struct ql_err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return ql_fail(err, QL_EACCES, "secure folder %s: %s", path, strerror(errno));
    return QL_OK;
}

int ql_secure_open(const struct ql_secure_config *c, struct ql_secure *ret, struct ql_err *err)
{
    struct ql_secure s = {0};
    ql_auto_free char *path = strdup(c->path);
    ql_auto_close int fd = -1;
    bool is_mount = false;
    struct stat st;
    int r = path ? ql_secure_size(c->size, &s.bytes_max, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        r = make_folder(path, err);
    if (r == QL_OK)
        r = open_folder(path, &fd, err);
    if (r == QL_OK)
        r = look_at(fd, path, &is_mount, &s.is_tmpfs, err);
    if (r == QL_OK && is_mount && !s.is_tmpfs && !c->is_insecure)
        r = ql_fail(err, QL_EACCES, "secure folder %s: another file system than tmpfs is mounted there",
                    path);
    if (r < 0)
        return r;
    s.is_tmpfs = s.is_tmpfs && is_mount;
    if (!s.is_tmpfs && !c->is_insecure) {
        r = mount_on(fd, c, err);
        ql_closep(&fd);
        if (r == QL_OK)
            r = open_folder(path, &fd, err); /* of the new file system */
        if (r < 0)
            return r;
        s.is_mine = s.is_tmpfs = true;
    }
    s.path = ql_steal(path);
    r = fstat(fd, &st) == 0 ? hand_over(fd, c, err)
                            : ql_fail(err, QL_EIO, "secure folder %s: %s", s.path, strerror(errno));
    s.device = st.st_dev;
    if (r < 0) {
        (void)ql_secure_close(&s); /* fails as it does */
        return r;
    }
    *ret = s;
    return QL_OK;
}

bool ql_secure_close(struct ql_secure *s)
{
    struct stat st;
    bool is_gone = !s->is_mine;

    /* Another process may still have its working folder in it: it is out of sight at once, and gone with that. */
    if (s->is_mine && lstat(s->path, &st) == 0 && st.st_dev == s->device)
        is_gone = umount2(s->path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
    free(s->path);
    *s = (struct ql_secure){0};
    return is_gone;
}
