/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allow-lists of sanitizer builds: the runtime reads its own maps, starts threads and symbolizers, and maps
 * more memory than there is. Such a worker is for finding faults, not for hostile evidence: only what starts
 * connections stays forbidden.
 */
#include <stdint.h>

#include "cleanup.h"
#include "sandbox.h"

const char *__asan_default_options(void);

/* The leak checker stops the process by ptrace, which no worker may use. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

int ql_sandbox_job_rules(scmp_filter_ctx ctx)
{
    static const int forbidden[] = {SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind),
                                    SCMP_SYS(listen), SCMP_SYS(accept4),    SCMP_SYS(execveat)};
    int r = 0;

    /* Everything by number, but those. */
    for (int call = 0; r == 0 && call < 512; call++) {
        bool is_forbidden = false;

        for (size_t i = 0; i < QL_ARRAY_LEN(forbidden); i++)
            is_forbidden = is_forbidden || forbidden[i] == call;
        if (!is_forbidden)
            r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
    }
    return r;
}

int ql_sandbox_plugin_rules(scmp_filter_ctx ctx)
{
    (void)ctx; /* wide enough already */
    return 0;
}

bool ql_sandbox_limits_memory(void)
{
    return false;
}
