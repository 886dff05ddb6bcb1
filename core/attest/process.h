/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file process.h
 * One worker process as its pool sees it: started, watched, given one job at a time, held against the limits, ended and
 * collected. What an end means for its job and who comes after it is for the pool. Private to the pool.
 *
 * Runs on the loop thread.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "kit.h"
#include "queue.h"
#include "spawn.h"

enum {
    QL_PROCESS_START_MS = 30000 /**< a worker that is not ready by then never will be */
};

enum ql_process_state {
    QL_PROCESS_NONE,     /**< no process */
    QL_PROCESS_STARTING, /**< no HELLO yet */
    QL_PROCESS_IDLE,
    QL_PROCESS_BUSY,
    QL_PROCESS_ENDING /**< killed or dead, not collected yet */
};

struct ql_process;

/** How a worker ended. */
struct ql_process_end {
    const char *cause;  /**< in the words of ql_pool_result.limit */
    struct ql_job *job; /**< that it did not finish, now the pool's; NULL: none */
    int64_t cpu_ns;     /**< of its whole life */
};

/** What all workers of a pool share, and what they tell it. Each call may start, give or end this worker. */
struct ql_process_rules {
    const struct ql_pool_config *config; /**< limits set, no defaults left */
    const struct ql_kit *kit;
    /** It takes jobs now. */
    void (*ready)(struct ql_process *p);
    /** While it starts: what the operator must know should it end now. */
    void (*troubled)(struct ql_process *p, const char *text);
    /** It is idle again; @p job is the pool's, @p f borrowed. */
    void (*result)(struct ql_process *p, struct ql_job *job, const struct ql_frame *f);
    /** It is collected: the state is QL_PROCESS_NONE. */
    void (*ended)(struct ql_process *p, const struct ql_process_end *end);
};

/** Only process.c writes into it, save for the first two. */
struct ql_process {
    const struct ql_process_rules *rules; /**< borrowed */
    void *owner;                          /**< the pool's */
    enum ql_process_state state;
    struct ql_spawned child; /**< `pid` stays until the next start */
    struct event *readable, *ended;
    struct ql_job *job; /**< BUSY, or ENDING with a job that did not finish */
    bool is_ready;      /**< said HELLO */
    bool is_expected;   /**< we end it, and not for what it did */
    const char *limit;  /**< why we killed it; NULL: it died by itself */
    char validator[33]; /**< that said to be running; stays until the next start or job */
    unsigned jobs_done;
    int64_t since_ns;    /**< monotonic: start, or of the job that runs */
    int64_t cpu_base_ns; /**< CPU time when the job was first looked at; -1: not yet */
};

/** Start a process. After a failure the state says what is left: NONE, or ENDING and to be collected. */
int ql_process_start(struct ql_process *p, struct ql_err *err);
/** Give an idle one a job, which stays the pool's when that fails. */
int ql_process_give(struct ql_process *p, struct ql_job *job, struct ql_err *err);
/** Take what it has written; the loop calls this by itself. */
void ql_process_read(struct ql_process *p);
/** Kill it if it overran a limit. */
void ql_process_check(struct ql_process *p, int64_t now_ns);
/** End it without blame. Collecting comes later. */
void ql_process_retire(struct ql_process *p);
/** Collect one that is ENDING, if it has ended; the loop calls this by itself. */
void ql_process_collect(struct ql_process *p);
/** Collect one that is ENDING, however long it takes. */
void ql_process_wait(struct ql_process *p);
/** @return true when it has or may have a job */
bool ql_process_is_up(const struct ql_process *p);
/** CPU time up to now; -1: not known. */
int64_t ql_process_cpu_ns(const struct ql_process *p);
