/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's allow-lists. A new system call here changes design.md section 3 and needs a test that shows
 * what it is for.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "sandbox.h"

/* Whatever the arguments. */
static const int job_calls[] = {
    SCMP_SYS(read),           SCMP_SYS(write),        SCMP_SYS(writev),
    SCMP_SYS(recvmsg),        SCMP_SYS(sendmsg),      SCMP_SYS(close),
    SCMP_SYS(munmap),         SCMP_SYS(mremap),       SCMP_SYS(brk),
    SCMP_SYS(madvise),        SCMP_SYS(futex),        SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),   SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(getpid),         SCMP_SYS(gettid),       SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),           SCMP_SYS(exit_group),   SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),        SCMP_SYS(lseek),        SCMP_SYS(getrandom),
    SCMP_SYS(sched_yield),    SCMP_SYS(getrusage),    SCMP_SYS(restart_syscall),
    SCMP_SYS(sysinfo),
};

/* Reading code: what the dynamic linker and plugins' init need. */
static const int plugin_calls[] = {
    SCMP_SYS(pread64), SCMP_SYS(newfstatat), SCMP_SYS(readlink),   SCMP_SYS(readlinkat),
    SCMP_SYS(access),  SCMP_SYS(faccessat),  SCMP_SYS(getdents64), SCMP_SYS(geteuid),
    SCMP_SYS(getuid),  SCMP_SYS(getegid),    SCMP_SYS(getgid),     SCMP_SYS(uname),
    SCMP_SYS(mmap),    SCMP_SYS(mprotect),   SCMP_SYS(seccomp),    SCMP_SYS(getcwd),
    SCMP_SYS(statx),   SCMP_SYS(fcntl),      SCMP_SYS(prlimit64),  SCMP_SYS(sched_getaffinity),
};

static int allow(scmp_filter_ctx ctx, const int *calls, size_t count)
{
    int r = 0;

    /* Calls that an architecture does not have have no number there: nothing to allow. */
    for (size_t i = 0; r == 0 && i < count; i++)
        if (calls[i] >= 0)
            r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return r;
}

static int allow_when(scmp_filter_ctx ctx, int call, struct scmp_arg_cmp what)
{
    return call < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, what);
}

int ql_sandbox_job_rules(scmp_filter_ctx ctx)
{
    static const int fcntls[] = {F_GETFD, F_GETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS};
    int r = allow(ctx, job_calls, QL_ARRAY_LEN(job_calls));

    /* Memory is never executable that was not before the first job. */
    if (r == 0)
        r = allow_when(ctx, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = allow_when(ctx, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* Results above 64 KiB. */
    if (r == 0)
        r = allow_when(ctx, SCMP_SYS(memfd_create), SCMP_A1(SCMP_CMP_EQ, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    for (size_t i = 0; r == 0 && i < QL_ARRAY_LEN(fcntls); i++)
        r = allow_when(ctx, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]));
    /* abort() */
    if (r == 0)
        r = allow_when(ctx, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    return r;
}

int ql_sandbox_plugin_rules(scmp_filter_ctx ctx)
{
    int r = allow(ctx, plugin_calls, QL_ARRAY_LEN(plugin_calls));

    if (r == 0)
        r = allow_when(ctx, SCMP_SYS(openat),
                       SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    return r == 0 ? allow_when(ctx, SCMP_SYS(open),
                               SCMP_A1(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY))
                  : r;
}

bool ql_sandbox_limits_memory(void)
{
    return true;
}
