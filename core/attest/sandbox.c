/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "error.h"
#include "frame.h"
#include "sandbox.h"

static void seccomp_releasep(scmp_filter_ctx *ctx)
{
    if (*ctx)
        seccomp_release(*ctx);
}

static int set_limit(int resource, const char *name, rlim_t value, struct ql_err *err)
{
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value}, old;

    /* A harder limit from outside stays. */
    if (getrlimit((__rlimit_resource_t)resource, &old) == 0 && old.rlim_max < value)
        limit.rlim_cur = limit.rlim_max = old.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &limit) != 0)
        return ql_fail(err, QL_EINTERNAL, "limit %s: %s", name, strerror(errno));
    return QL_OK;
}

int ql_sandbox_limits(size_t memory_max, struct ql_err *err)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ql_fail(err, QL_EINTERNAL, "no_new_privs: %s", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return ql_fail(err, QL_EINTERNAL, "dumpable: %s", strerror(errno));
    r = set_limit(RLIMIT_CORE, "core", 0, err);
    if (r == QL_OK)
        r = set_limit(RLIMIT_NOFILE, "nofile", QL_WORKER_FDS_MAX, err);
    if (r == QL_OK)
        r = set_limit(RLIMIT_FSIZE, "fsize", QL_WORKER_FILE_MAX, err);
    if (r < 0 || !ql_sandbox_limits_memory())
        return r;
    /*
     * The limit is on what a job takes, so on private writable memory; evidence and policies are shared,
     * read-only and bounded elsewhere. The address space gets room for those on top.
     */
    r = set_limit(RLIMIT_DATA, "data", memory_max, err);
    return r == QL_OK ? set_limit(RLIMIT_AS, "as", memory_max + (rlim_t)8 * QL_FRAME_MAPPED_MAX, err) : r;
}

static int load(int (*rules)(scmp_filter_ctx), int (*more)(scmp_filter_ctx), struct ql_err *err)
{
    __attribute__((cleanup(seccomp_releasep))) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r;

    if (!ctx)
        return ql_fail(err, QL_EINTERNAL, "seccomp: no filter");
    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0) /* set already; the second filter is loaded where prctl() is not allowed any more */
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 0);
    if (r == 0)
        r = rules(ctx);
    if (r == 0 && more)
        r = more(ctx);
    if (r == 0)
        r = seccomp_load(ctx);
    if (r != 0)
        return ql_fail(err, QL_EINTERNAL, "seccomp: %s", strerror(-r));
    return QL_OK;
}

int ql_sandbox_before_plugins(const int *fds, size_t fd_count, bool *landlock, struct ql_err *err)
{
    int r = ql_landlock(fds, fd_count, landlock, err);

    return r == QL_OK ? load(ql_sandbox_job_rules, ql_sandbox_plugin_rules, err) : r;
}

int ql_sandbox_before_jobs(struct ql_err *err)
{
    return load(ql_sandbox_job_rules, NULL, err);
}
