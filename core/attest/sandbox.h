/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sandbox.h
 * What a worker gives up, in two stages (decision 10): before the first plugin is mapped, everything but
 * reading code; before the first job, that too. Both are seccomp allow-lists whose answer to anything else is
 * the end of the process. Landlock is added where the kernel has it.
 */
#pragma once
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>

#include <quicklime/error.h>

enum {
    QL_WORKER_FILE_MAX = 64 * 1024 * 1024, /**< bytes of a file that a worker writes: results above 64 KiB */
    QL_WORKER_FDS_MAX = 192                /**< descriptors: plugins, and those of one frame */
};

/**
 * No new rights, no core file, no debugger, limits on memory, descriptors and files. @param memory_max bytes
 * of data
 */
int ql_sandbox_limits(size_t memory_max, struct ql_err *err);
/**
 * Before the first dlopen: no sockets, processes, exec, ptrace; files are only read.
 * @param fds  files that may be read wherever they are (plugins)
 * @param[out] landlock  false: the kernel has none
 */
int ql_sandbox_before_plugins(const int *fds, size_t fd_count, bool *landlock, struct ql_err *err);
/** Before the first job: no open, no new executable memory. */
int ql_sandbox_before_jobs(struct ql_err *err);

/** Landlock's part: files are read below the system's library folders and through `fds` alone. */
int ql_landlock(const int *fds, size_t fd_count, bool *landlock, struct ql_err *err);

/* The allow-lists. One of sandbox_rules.c and sandbox_sanitized.c is in a build. */

/** Rules of the second stage. @return 0 or a negative errno of libseccomp */
int ql_sandbox_job_rules(scmp_filter_ctx ctx);
/** What the first stage allows beyond those. */
int ql_sandbox_plugin_rules(scmp_filter_ctx ctx);
/**
 * @return false where memory is not to be limited by rlimits (sanitizers map terabytes that they never touch)
 */
bool ql_sandbox_limits_memory(void);
