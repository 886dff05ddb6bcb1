/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"
#include "clock.h"
#include "error.h"

int ql_queue_new(unsigned slots, bool tied, struct ql_queue *ret, struct ql_err *err)
{
    struct ql_queue q = {.slots = slots, .tied = tied};

    q.lists = calloc(slots + 1, sizeof *q.lists);
    if (!q.lists)
        return ql_fail_nomem(err);
    for (unsigned i = 0; i <= slots; i++) {
        TAILQ_INIT(&q.lists[i][0]);
        TAILQ_INIT(&q.lists[i][1]);
    }
    *ret = q;
    return QL_OK;
}

void ql_queue_done(struct ql_queue *q)
{
    free(q->lists);
    *q = (struct ql_queue){0};
}

static struct ql_jobs *list_of(struct ql_queue *q, const struct ql_job *job)
{
    return &q->lists[job->home < 0 ? q->slots : (unsigned)job->home][job->large ? 1 : 0];
}

void ql_queue_put(struct ql_queue *q, struct ql_job *job)
{
    TAILQ_INSERT_TAIL(list_of(q, job), job, at);
    q->waiting++;
}

void ql_queue_put_back(struct ql_queue *q, struct ql_job *job)
{
    TAILQ_INSERT_HEAD(list_of(q, job), job, at);
    q->waiting++;
}

static struct ql_job *older(struct ql_job *a, struct ql_job *b)
{
    return !a || (b && b->queued_ns < a->queued_ns) ? b : a;
}

/*
 * The oldest job of a size that this slot may have: its own, nobody's, or one whose own worker is too busy.
 */
static struct ql_job *best(struct ql_queue *q, unsigned slot, unsigned size, int64_t now_ns)
{
    struct ql_job *job = older(TAILQ_FIRST(&q->lists[slot][size]), TAILQ_FIRST(&q->lists[q->slots][size]));

    if (job || q->tied)
        return job;
    for (unsigned i = 0; i < q->slots; i++) {
        struct ql_job *theirs = TAILQ_FIRST(&q->lists[i][size]);

        if (theirs && now_ns - theirs->queued_ns >= QL_AFFINITY_MS * QL_NS_PER_MS)
            job = older(job, theirs);
    }
    return job;
}

static struct ql_job *take(struct ql_queue *q, struct ql_job *job)
{
    if (!job)
        return NULL;
    TAILQ_REMOVE(list_of(q, job), job, at);
    q->waiting--;
    return job;
}

struct ql_job *ql_queue_take(struct ql_queue *q, unsigned slot, bool large_ok, int64_t now_ns)
{
    struct ql_job *small = best(q, slot, 0, now_ns), *large = large_ok ? best(q, slot, 1, now_ns) : NULL;

    /* Small ones first, but not for ever. */
    if (large && (!small || now_ns - large->queued_ns >= QL_LARGE_FIRST_MS * QL_NS_PER_MS))
        return take(q, large);
    return take(q, small);
}

struct ql_job *ql_queue_take_any(struct ql_queue *q)
{
    for (unsigned i = 0; i <= q->slots; i++)
        for (unsigned size = 0; size < 2; size++)
            if (!TAILQ_EMPTY(&q->lists[i][size]))
                return take(q, TAILQ_FIRST(&q->lists[i][size]));
    return NULL;
}
