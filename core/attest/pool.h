/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pool.h
 * A daemon's workers: started by exec, one job at a time, replaced when they die, hang or grow old (decisions
 * 3, 10–14).
 *
 * Runs on the loop thread. A job that kills its worker is judged once more, alone, in a fresh one; the second
 * time it ends with QL_POOL_KILLER and the name of the validator that was running.
 */
#pragma once
#include <event2/event.h>

#include "frame.h"
#include "registry.h"

enum {
    QL_POOL_READABLE_MAX = 64,    /**< files that plugins may read when they are loaded */
    QL_POOL_QUEUE_MAX = 32768,    /**< jobs waiting; more: QL_EFULL */
    QL_JOB_SMALL_MAX = 256 * 1024 /**< evidence below this many bytes is small and goes first */
};

enum ql_pool_isolation {
    QL_ISOLATION_SHARED,
    QL_ISOLATION_GROUP,
    QL_ISOLATION_JOB
};

struct ql_pool;

struct ql_pool_config {
    struct event_base *base;
    const char *worker_path;    /**< quicklime-worker; opened once, started by fexecve from the descriptor */
    const char *plugin_dir;     /**< where `plugins` are; opened once */
    const char *const *plugins; /**< names */
    size_t plugin_count;
    const char *config_text;     /**< the plugins' options (ql_registry_config_text()); NULL: defaults */
    const char *const *readable; /**< absolute paths of files that plugins read when they are loaded */
    size_t readable_count;       /**< at most QL_POOL_READABLE_MAX */
    unsigned workers;            /**< 0: CPUs */
    size_t memory_max;           /**< bytes a worker [1 GiB] */
    unsigned cpu_ms, wall_ms;    /**< a job [10,000; 30,000] */
    unsigned jobs_max;           /**< a worker is replaced after as many [10,000] */
    enum ql_pool_isolation isolation;
    /**
     * A policy by digest, as a sealed memfd (borrowed) and length. Called when a worker lacks it. @retval
     * QL_ENOTFOUND
     */
    int (*policy)(void *arg, const uint8_t digest[32], int *ret_fd, size_t *ret_len);
    void *arg;
};
/**
 * Start workers. Waits until the first one is ready (sandbox closed) or fails: start-up errors are reported
 * here.
 */
int ql_pool_new(const struct ql_pool_config *config, struct ql_pool **ret, struct ql_err *err);
/**
 * Jobs under way end with QL_POOL_CANCELLED, called back from in here. Not from inside a callback of the
 * pool.
 */
void ql_pool_free(struct ql_pool *p);
QL_DEFINE_CLEANUP(struct ql_pool, ql_pool_free)

enum ql_pool_status {
    QL_POOL_DONE, /**< `result` is the worker's frame */
    /** The evidence killed two workers or overran twice: fail closed (qoute_validation.worker_limit). */
    QL_POOL_KILLER,
    QL_POOL_CANCELLED, /**< pool is closing */
    QL_POOL_INTERNAL   /**< no worker could be started, policy missing: independent of the evidence */
};
struct ql_pool_result {
    enum ql_pool_status status;
    const struct ql_frame *result; /**< with QL_POOL_DONE; borrowed until the callback returns */
    const char *validator;         /**< with QL_POOL_KILLER: that was running, "" in core */
    const char *limit; /**< with QL_POOL_KILLER: "crash", "cpu", "wall time", "memory", "system call" */
    const char *text;  /**< with QL_POOL_INTERNAL: why */
};
typedef void (*ql_pool_done)(const struct ql_pool_result *result, void *arg);

/**
 * Queue a job. The frame is taken over on success.
 * @param affinity  agent id (or NULL): the same id goes to the same worker while that is free within 100 ms
 * @param large     evidence of QL_JOB_SMALL_MAX bytes or more
 * @param done      called exactly once on the loop thread, never from inside this function
 */
int ql_pool_submit(struct ql_pool *p, struct ql_frame *job, const char *affinity, bool large,
                   ql_pool_done done, void *arg, struct ql_err *err);
/**
 * Inside a `done` callback: the result that is being delivered is out of form (ql_attest_result_read() and
 * its like said QL_EPARSE). Its worker is replaced before it gets another job (decision 11).
 */
void ql_pool_suspect(struct ql_pool *p);
/** Replace all workers one after the other (SIGHUP). */
void ql_pool_restart(struct ql_pool *p);

struct ql_pool_stats {
    uint64_t jobs, killers, restarts, crashes;
    unsigned workers, waiting;
    int64_t cpu_ns; /**< of all workers, ended ones too */
};
void ql_pool_stats(const struct ql_pool *p, struct ql_pool_stats *ret);
/** Process ids of live workers. @return how many were written */
size_t ql_pool_pids(const struct ql_pool *p, int *pids, size_t room);
