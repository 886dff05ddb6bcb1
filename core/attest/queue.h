/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue.h
 * Jobs waiting for a worker: small ones first, each with the worker that keeps its agent warm, given up after
 * a while (decision 14). Private to the pool.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pool.h"

enum {
    QL_AFFINITY_MS = 100,    /**< waiting time after which any worker will do */
    QL_LARGE_FIRST_MS = 5000 /**< waiting time after which a large job goes before small ones */
};

struct ql_job {
    TAILQ_ENTRY(ql_job) at;
    struct ql_frame *frame; /* owned */
    bool large;
    int home; /* slot that its agent is tied to; -1: none */
    unsigned attempt;
    int64_t queued_ns; /* monotonic */
    int64_t started_ns;
    uint64_t number;
    ql_pool_done done;
    void *arg;
};
TAILQ_HEAD(ql_jobs, ql_job);

/** Queues of a pool: [slot][small, large]; one more for jobs without a home. */
struct ql_queue {
    struct ql_jobs (*lists)[2];
    unsigned slots;
    unsigned waiting;
    bool tied; /* isolation "group": nobody else's jobs, however long they wait */
};

int ql_queue_new(unsigned slots, bool tied, struct ql_queue *ret, struct ql_err *err);
void ql_queue_done(struct ql_queue *q);
void ql_queue_put(struct ql_queue *q, struct ql_job *job);
/** In front of its list: it was taken and could not be handed over. */
void ql_queue_put_back(struct ql_queue *q, struct ql_job *job);
/** Next job for a slot, NULL: none that it may have. @param large_ok large jobs may start now */
struct ql_job *ql_queue_take(struct ql_queue *q, unsigned slot, bool large_ok, int64_t now_ns);
/** Any job, for emptying. */
struct ql_job *ql_queue_take_any(struct ql_queue *q);
