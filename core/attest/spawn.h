/* SPDX-License-Identifier: Apache-2.0 */
/** @file spawn.h  Starting a worker process; private to the pool. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

#include <quicklime/error.h>

/**
 * Descriptors that every worker of a pool is started from: opened once, out of the way of the numbers they
 * get there.
 */
struct ql_spawn {
    int program;  /**< quicklime-worker */
    int null;     /**< /dev/null, for input and output */
    int *plugins; /**< in the order of the set-up */
    size_t plugin_count;
};

/** A started process. */
struct ql_spawned {
    pid_t pid;
    int pidfd; /**< readable when it has ended */
    int sock;  /**< non-blocking */
};

/** Move a descriptor out of the way, close-on-exec; @p fd stays the caller's. @retval QL_EIO */
int ql_spawn_keep(int fd, int *ret, struct ql_err *err);
/**
 * Start one. It inherits the socket, the plugins and standard error, an empty environment, and ends with this
 * thread.
 * @retval QL_EIO with the step that failed
 */
int ql_spawn(const struct ql_spawn *from, struct ql_spawned *ret, struct ql_err *err);
