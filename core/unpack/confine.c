/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"

/* Sanitizers map terabytes that they never touch, and look for leaks from another process by way of /proc. */
#ifdef QL_SANITIZED
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

enum {
    MEMORY_MAX = 256 * 1024 * 1024, /* bytes: archive, window and buffers take 20 MiB */
    CPU_MAX_S = 20,                 /* seconds: 2 MiB are inflated in a fraction of one */
    FDS_MAX = 16
};

/* Layouts and bits of include/uapi/linux/landlock.h: headers of an older release lack the newer ones. */
struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net;
};
struct path_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

enum {
    VERSION_FLAG = 1,
    RULE_PATH_BENEATH = 1,
    NET_ABI = 4
};
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_MAKE_DIR   (UINT64_C(1) << 7)
#define FS_MAKE_REG   (UINT64_C(1) << 8)
#define FS_ABI_1      ((UINT64_C(1) << 13) - 1)
#define NET_ALL       UINT64_C(3)

static int fail(struct ql_err *err, const char *what)
{
    return ql_fail(err, QL_EINTERNAL, "%s: %s", what, strerror(errno));
}

static int limit(__rlimit_resource_t what, rlim_t value, struct ql_err *err)
{
    const struct rlimit l = {.rlim_cur = value, .rlim_max = value};

    return setrlimit(what, &l) == 0 ? QL_OK : fail(err, "setrlimit");
}

static int landlock(int dir, struct ql_err *err)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_FLAG);
    const struct ruleset_attr attr = {.handled_access_fs = FS_ABI_1, .handled_access_net = NET_ALL};
    const struct path_attr path = {.allowed_access = FS_WRITE_FILE | FS_MAKE_DIR | FS_MAKE_REG,
                                   .parent_fd = dir};
    ql_auto_close int rules = -1;

    if (abi < 1)
        return QL_OK;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr,
                         abi >= NET_ABI ? sizeof attr : sizeof attr.handled_access_fs, 0);
    if (rules < 0 || syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &path, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        return fail(err, "landlock");
    return QL_OK;
}

int ql_confine(int dir, uint64_t bytes_max, struct ql_err *err)
{
    int r = limit(RLIMIT_CORE, 0, err);

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, IS_SANITIZED, 0, 0, 0) != 0)
        return fail(err, "prctl");
    if (r == QL_OK)
        r = limit(RLIMIT_CPU, CPU_MAX_S, err);
    if (r == QL_OK)
        r = limit(RLIMIT_NOFILE, FDS_MAX, err);
    if (r == QL_OK && !IS_SANITIZED)
        r = limit(RLIMIT_NPROC, 0, err);
    if (r == QL_OK)
        r = limit(RLIMIT_FSIZE, bytes_max, err);
    if (r == QL_OK && !IS_SANITIZED)
        r = limit(RLIMIT_AS, MEMORY_MAX, err);
    return r == QL_OK && !IS_SANITIZED ? landlock(dir, err) : r;
}
