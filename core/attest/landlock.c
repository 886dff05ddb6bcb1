/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock (Linux 5.13 and later), through its own system calls: the C library has no functions for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "error.h"
#include "sandbox.h"

/*
 * Layouts and bits of include/uapi/linux/landlock.h, all versions: headers of an older release lack the newer
 * ones.
 */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};
struct path_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

enum {
    VERSION_FLAG = 1,
    RULE_PATH_BENEATH = 1
};
#define FS_EXECUTE   (UINT64_C(1) << 0)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR  (UINT64_C(1) << 3)
#define FS_ABI_1     ((UINT64_C(1) << 13) - 1)
#define FS_REFER     (UINT64_C(1) << 13)
#define FS_TRUNCATE  (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_ALL      UINT64_C(3) /* bind and connect by TCP */
#define SCOPED_ALL   UINT64_C(3) /* abstract sockets and signals */

static struct ruleset_attr attr_of(long abi, size_t *len)
{
    struct ruleset_attr a = {.handled_access_fs = FS_ABI_1};

    *len = sizeof a.handled_access_fs;
    if (abi >= 2)
        a.handled_access_fs |= FS_REFER;
    if (abi >= 3)
        a.handled_access_fs |= FS_TRUNCATE;
    if (abi >= 4) {
        a.handled_access_net = NET_ALL;
        *len = 2 * sizeof a.handled_access_fs;
    }
    if (abi >= 5)
        a.handled_access_fs |= FS_IOCTL_DEV;
    if (abi >= 6) {
        a.scoped = SCOPED_ALL;
        *len = sizeof a;
    }
    return a;
}

static int allow(int ruleset, int fd, uint64_t access, const char *what, struct ql_err *err)
{
    struct path_attr path = {.allowed_access = access, .parent_fd = fd};

    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &path, 0) != 0)
        return ql_fail(err, QL_EINTERNAL, "landlock: %s: %s", what, strerror(errno));
    return QL_OK;
}

static int allow_folders(int ruleset, struct ql_err *err)
{
    static const struct {
        const char *path;
        uint64_t access;
    } paths[] = {{"/usr", FS_READ_FILE | FS_READ_DIR | FS_EXECUTE},
                 {"/lib", FS_READ_FILE | FS_READ_DIR | FS_EXECUTE},
                 {"/lib64", FS_READ_FILE | FS_READ_DIR | FS_EXECUTE},
                 {"/etc/ld.so.cache", FS_READ_FILE}};

    for (size_t i = 0; i < QL_ARRAY_LEN(paths); i++) {
        ql_auto_close int fd = open(paths[i].path, O_PATH | O_CLOEXEC);
        int r;

        if (fd < 0)
            continue; /* not every system has all of them */
        r = allow(ruleset, fd, paths[i].access, paths[i].path, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

int ql_landlock(const int *fds, size_t fd_count, bool *landlock, struct ql_err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
    ql_auto_close int ruleset = -1;
    struct ruleset_attr attr;
    size_t len;
    int r;

    *landlock = false;
    if (abi < 1)
        return QL_OK;
    attr = attr_of(abi, &len);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, len, 0);
    if (ruleset < 0)
        return ql_fail(err, QL_EINTERNAL, "landlock: %s", strerror(errno));
    r = allow_folders(ruleset, err);
    for (size_t i = 0; r == QL_OK && i < fd_count; i++)
        r = allow(ruleset, fds[i], FS_READ_FILE | FS_EXECUTE, "a plugin's file", err);
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return ql_fail(err, QL_EINTERNAL, "landlock: %s", strerror(errno));
    *landlock = true;
    return QL_OK;
}
