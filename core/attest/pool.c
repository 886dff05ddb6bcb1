/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "items.h"
#include "kit.h"
#include "log.h"
#include "pool.h"
#include "process.h"
#include "queue.h"

enum {
    MEMORY_DEFAULT = 1024 * 1024 * 1024,
    CPU_MS_DEFAULT = 10000,
    WALL_MS_DEFAULT = 30000,
    JOBS_DEFAULT = 10000,
    WORKERS_MAX = 256,
    TICK_MS = 50,          /* how often running jobs are held against their limits */
    RESTART_MS = 1000,     /* pause after a worker that could not start */
    FAILED_STARTS_MAX = 3, /* in a row, with no worker left: waiting jobs are given up */
    TEXT_MAX = 504
};

/* The place of a worker: one process after the other. */
struct slot {
    struct ql_pool *pool;
    unsigned number;
    struct ql_process worker;
    struct ql_job *alone; /* to be the first one of the next worker here */
    bool retire;          /* not to be given another job */
    bool restart;         /* to be replaced when its turn comes */
};

struct ql_pool {
    struct ql_pool_config config;
    struct ql_kit kit;
    struct ql_process_rules rules;
    struct slot *slots;
    unsigned slot_count;
    struct ql_queue queue;
    struct event *tick;
    bool ticking, closing, restarting;
    uint64_t next_number;
    unsigned large_running, failed_starts;
    int64_t start_again_ns;
    struct slot *delivering;
    struct ql_pool_stats stats;
    char start_error[TEXT_MAX];
};

static void slot_start(struct slot *s); /* a worker that ended is replaced */

/* ---- results ---- */

static void finish(struct ql_pool *p, struct ql_job *job, const struct ql_pool_result *result)
{
    p->stats.jobs++;
    job->done(result, job->arg);
    ql_frame_free(job->frame);
    free(job);
}

static void finish_internal(struct ql_pool *p, struct ql_job *job, const char *text)
{
    finish(p, job, &(struct ql_pool_result){.status = QL_POOL_INTERNAL, .text = text});
}

static void keep_ticking(struct ql_pool *p)
{
    const struct timeval pause = ql_timeval(TICK_MS * QL_NS_PER_MS);

    if (p->ticking)
        return;
    p->ticking = event_add(p->tick, &pause) == 0;
}

/* ---- ends of workers ---- */

static void give_up_waiting(struct ql_pool *p)
{
    struct ql_job *job;
    char text[TEXT_MAX + 32];

    (void)snprintf(text, sizeof text, "no worker could be started: %s",
                   p->start_error); /* a cut text will do */
    while ((job = ql_queue_take_any(&p->queue)))
        finish_internal(p, job, text);
    for (unsigned i = 0; i < p->slot_count; i++) {
        job = ql_steal(p->slots[i].alone);
        if (job)
            finish_internal(p, job, text);
    }
}

static bool any_worker(const struct ql_pool *p)
{
    for (unsigned i = 0; i < p->slot_count; i++)
        if (ql_process_is_up(&p->slots[i].worker))
            return true;
    return false;
}

static void start_failed(struct ql_pool *p, const char *why)
{
    if (!p->start_error[0] || p->failed_starts == 0)
        (void)snprintf(p->start_error, sizeof p->start_error, "%s", why); /* a cut text will do */
    p->failed_starts++;
    p->start_again_ns = ql_mono_ns() + RESTART_MS * QL_NS_PER_MS;
    ql_log(QL_ERROR, "pool", "worker did not start: %s", p->start_error);
    if (p->failed_starts >= FAILED_STARTS_MAX && !any_worker(p))
        give_up_waiting(p);
    keep_ticking(p);
}

/* The job of a worker that died: once more, alone, in a fresh one; then its evidence is to blame. */
static void strike(struct slot *s, struct ql_job *job, const char *cause)
{
    struct ql_pool *p = s->pool;
    const struct ql_process *w = &s->worker;

    ql_log(QL_WARN, "pool", "worker pid=%d ended (%s) during job %llu, attempt %u%s%s", (int)w->child.pid,
           cause, (unsigned long long)job->number, job->attempt, w->validator[0] ? ", in validator " : "",
           w->validator);
    if (job->attempt >= 2) {
        p->stats.killers++;
        finish(p, job,
               &(struct ql_pool_result){.status = QL_POOL_KILLER, .validator = w->validator, .limit = cause});
        return;
    }
    job->attempt++;
    if (ql_frame_add_u64(job->frame, QL_TAG_ATTEMPT, job->attempt, NULL) < 0) {
        finish_internal(p, job, "out of memory");
        return;
    }
    s->alone = job;
}

static void on_ended(struct ql_process *w, const struct ql_process_end *end)
{
    struct slot *s = w->owner;
    struct ql_pool *p = s->pool;
    struct ql_job *job = end->job;

    p->stats.cpu_ns += end->cpu_ns;
    if (job && job->large)
        p->large_running--;
    if (w->is_expected)
        p->stats.restarts++;
    else
        p->stats.crashes++;
    if (job && p->closing)
        finish(p, job, &(struct ql_pool_result){.status = QL_POOL_CANCELLED});
    else if (job)
        strike(s, job, end->cause);
    else if (!w->is_expected && !w->is_ready && !p->closing)
        start_failed(p, end->cause);
    if (!p->closing)
        slot_start(s);
}

/* ---- handing out jobs ---- */

static bool large_ok(const struct ql_pool *p)
{
    /* One worker is kept for small jobs, where there is more than one. */
    return p->large_running < (p->slot_count > 1 ? p->slot_count - 1 : 1);
}

/* A job that was not taken waits again. */
static void give(struct slot *s, struct ql_job *job)
{
    struct ql_pool *p = s->pool;
    struct ql_err err = QL_ERR_INIT;

    job->number = job->frame->job = ++p->next_number;
    if (ql_process_give(&s->worker, job, &err) == QL_OK) {
        if (job->large)
            p->large_running++;
        keep_ticking(p);
        return;
    }
    /* It never got the job: that is no strike. */
    ql_log(QL_WARN, "pool", "worker pid=%d took no job: %s", (int)s->worker.child.pid, err.text);
    if (job->attempt >= 2)
        s->alone = job;
    else
        ql_queue_put_back(&p->queue, job);
    ql_process_retire(&s->worker);
}

static void fill_slot(struct slot *s)
{
    struct ql_pool *p = s->pool;
    struct ql_job *job;

    if (s->worker.state != QL_PROCESS_IDLE || p->closing)
        return;
    if (s->retire) {
        ql_process_retire(&s->worker);
        return;
    }
    job = ql_steal(s->alone);
    if (!job)
        job = ql_queue_take(&p->queue, s->number, large_ok(p), ql_mono_ns());
    if (job)
        give(s, job);
}

/* One after the other: the next one goes when all others are at work. */
static void restart_next(struct ql_pool *p)
{
    if (!p->restarting)
        return;
    for (unsigned i = 0; i < p->slot_count; i++)
        if (!ql_process_is_up(&p->slots[i].worker))
            return;
    p->restarting = false;
    for (unsigned i = 0; i < p->slot_count; i++) {
        if (!p->slots[i].restart)
            continue;
        p->restarting = true; /* a busy one goes at the end of its job */
        if (p->slots[i].worker.state != QL_PROCESS_IDLE)
            continue;
        ql_process_retire(&p->slots[i].worker);
        return;
    }
}

/* ---- what workers say ---- */

static void on_result(struct ql_process *w, struct ql_job *job, const struct ql_frame *f)
{
    struct slot *s = w->owner;
    struct ql_pool *p = s->pool;
    ql_auto_free char *text = NULL;
    uint64_t code = 0;

    if (job->large)
        p->large_running--;
    if (w->jobs_done >= p->config.jobs_max || p->config.isolation == QL_ISOLATION_JOB)
        s->retire = true;
    p->delivering = s;
    if (ql_frame_get_u64(f, QL_TAG_ERROR_CODE, &code) == QL_OK) {
        text = ql_frame_get_text(f, QL_TAG_REASONS, 0);
        finish_internal(p, job, text ? text : "the worker gave no reason");
    } else {
        finish(p, job, &(struct ql_pool_result){.status = QL_POOL_DONE, .result = f});
    }
    p->delivering = NULL;
    restart_next(p);
    fill_slot(s);
}

static void on_ready(struct ql_process *w)
{
    struct slot *s = w->owner;
    struct ql_pool *p = s->pool;

    p->failed_starts = 0;
    p->start_again_ns = 0;
    p->start_error[0] = '\0';
    fill_slot(s);
    restart_next(p);
}

static void on_troubled(struct ql_process *w, const char *text)
{
    const struct slot *s = w->owner;
    struct ql_pool *p = s->pool;

    (void)snprintf(p->start_error, sizeof p->start_error, "%s", text); /* a cut text will do */
    p->failed_starts = p->failed_starts ? p->failed_starts : 1;
}

/* ---- clock ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct ql_pool *p = arg;
    int64_t now_ns = ql_mono_ns();
    bool more = p->queue.waiting > 0;

    (void)fd;
    (void)what;
    p->ticking = false;
    for (unsigned i = 0; i < p->slot_count; i++) {
        struct slot *s = &p->slots[i];

        ql_process_check(&s->worker, now_ns);
        if (s->worker.state == QL_PROCESS_ENDING)
            ql_process_collect(&s->worker);
        if (s->worker.state == QL_PROCESS_NONE && !p->closing && now_ns >= p->start_again_ns)
            slot_start(s);
        /* Jobs that waited long enough for their own worker go to an idle one. */
        fill_slot(s);
        more = more || s->worker.state != QL_PROCESS_IDLE;
    }
    if (more && !p->closing)
        keep_ticking(p);
}

/* ---- starting workers ---- */

static int slot_try_start(struct slot *s, struct ql_err *err)
{
    int r = ql_process_start(&s->worker, err);

    if (s->worker.state == QL_PROCESS_NONE)
        return r;
    s->retire = s->restart = false;
    keep_ticking(s->pool);
    return r;
}

static void slot_start(struct slot *s)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_mono_ns() < s->pool->start_again_ns) {
        keep_ticking(s->pool);
        return;
    }
    if (slot_try_start(s, &err) < 0 && s->worker.state == QL_PROCESS_NONE)
        start_failed(s->pool, err.text);
}

/* Its first frame, or its end. The loop does not run yet, so it is waited for here. */
static int await_first(struct ql_pool *p, struct ql_err *err)
{
    struct ql_process *w = &p->slots[0].worker;
    int64_t until_ns = ql_mono_ns() + QL_PROCESS_START_MS * QL_NS_PER_MS;

    while (w->state == QL_PROCESS_STARTING) {
        struct pollfd wait = {.fd = w->child.sock, .events = POLLIN};
        int64_t left_ms = (until_ns - ql_mono_ns()) / QL_NS_PER_MS;

        if (left_ms <= 0)
            return ql_fail(err, QL_ETIMEOUT, "worker was not ready within %d s", QL_PROCESS_START_MS / 1000);
        if (poll(&wait, 1, (int)left_ms) > 0)
            ql_process_read(w);
    }
    if (w->state == QL_PROCESS_IDLE)
        return QL_OK;
    return ql_fail(err, QL_EIO, "worker did not start: %s",
                   p->start_error[0] ? p->start_error : "it ended without a word");
}

static void set_defaults(struct ql_pool *p, const struct ql_pool_config *config)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    p->config = *config;
    p->slot_count = config->workers ? config->workers : cpus > 0 ? (unsigned)cpus : 1;
    if (p->slot_count > WORKERS_MAX)
        p->slot_count = WORKERS_MAX;
    if (!p->config.memory_max)
        p->config.memory_max = MEMORY_DEFAULT;
    if (!p->config.cpu_ms)
        p->config.cpu_ms = CPU_MS_DEFAULT;
    if (!p->config.wall_ms)
        p->config.wall_ms = WALL_MS_DEFAULT;
    if (!p->config.jobs_max)
        p->config.jobs_max = JOBS_DEFAULT;
    p->rules = (struct ql_process_rules){
        .config = &p->config,
        .kit = &p->kit,
        .ready = on_ready,
        .troubled = on_troubled,
        .result = on_result,
        .ended = on_ended,
    };
}

int ql_pool_new(const struct ql_pool_config *config, struct ql_pool **ret, struct ql_err *err)
{
    ql_auto(ql_pool_freep) struct ql_pool *p = calloc(1, sizeof *p);
    int r;

    if (!p)
        return ql_fail_nomem(err);
    set_defaults(p, config);
    r = ql_kit_init(&p->config, &p->kit, err);
    if (r == QL_OK)
        r = ql_queue_new(p->slot_count, p->config.isolation == QL_ISOLATION_GROUP, &p->queue, err);
    if (r < 0)
        return r;
    p->slots = calloc(p->slot_count, sizeof *p->slots);
    p->tick = evtimer_new(p->config.base, on_tick, p);
    if (!p->slots || !p->tick)
        return ql_fail_nomem(err);
    for (unsigned i = 0; i < p->slot_count; i++)
        p->slots[i] =
            (struct slot){.pool = p, .number = i, .worker = {.rules = &p->rules, .owner = &p->slots[i]}};
    for (unsigned i = 0; r == QL_OK && i < p->slot_count; i++)
        r = slot_try_start(&p->slots[i], err);
    if (r == QL_OK)
        r = await_first(p, err);
    if (r == QL_OK)
        *ret = ql_steal(p);
    return r;
}

static void end_all(struct ql_pool *p)
{
    for (unsigned i = 0; p->slots && i < p->slot_count; i++)
        ql_process_retire(&p->slots[i].worker);
    for (unsigned i = 0; p->slots && i < p->slot_count; i++)
        if (p->slots[i].worker.state == QL_PROCESS_ENDING)
            ql_process_wait(&p->slots[i].worker);
}

void ql_pool_free(struct ql_pool *p)
{
    struct ql_job *job;

    if (!p)
        return;
    p->closing = true;
    end_all(p);
    while (p->queue.lists && (job = ql_queue_take_any(&p->queue)))
        finish(p, job, &(struct ql_pool_result){.status = QL_POOL_CANCELLED});
    for (unsigned i = 0; p->slots && i < p->slot_count; i++)
        if ((job = ql_steal(p->slots[i].alone)))
            finish(p, job, &(struct ql_pool_result){.status = QL_POOL_CANCELLED});
    if (p->tick)
        event_free(p->tick);
    ql_kit_done(&p->kit);
    ql_queue_done(&p->queue);
    free(p->slots);
    free(p);
}

static int home_of(const struct ql_pool *p, const char *affinity)
{
    uint32_t h = 2166136261u;

    if (!affinity)
        return -1;
    for (const unsigned char *c = (const unsigned char *)affinity; *c; c++)
        h = (h ^ *c) * 16777619u;
    return (int)(h % p->slot_count);
}

int ql_pool_submit(struct ql_pool *p, struct ql_frame *frame, const char *affinity, bool large,
                   ql_pool_done done, void *arg, struct ql_err *err)
{
    struct ql_job *job;

    if (p->closing)
        return ql_fail(err, QL_ECLOSED, "the pool is closing");
    if (p->queue.waiting >= QL_POOL_QUEUE_MAX)
        return ql_fail(err, QL_EFULL, "%d jobs are waiting already", QL_POOL_QUEUE_MAX);
    job = calloc(1, sizeof *job);
    if (!job)
        return ql_fail_nomem(err);
    *job = (struct ql_job){.frame = frame,
                           .large = large,
                           .home = home_of(p, affinity),
                           .attempt = 1,
                           .queued_ns = ql_mono_ns(),
                           .done = done,
                           .arg = arg};
    ql_queue_put(&p->queue, job);
    if (job->home >= 0)
        fill_slot(&p->slots[job->home]);
    else
        for (unsigned i = 0; i < p->slot_count && p->queue.waiting > 0; i++)
            fill_slot(&p->slots[i]);
    if (p->queue.waiting > 0)
        keep_ticking(p);
    return QL_OK;
}

void ql_pool_suspect(struct ql_pool *p)
{
    if (!p->delivering)
        return;
    ql_log(QL_ERROR, "pool", "worker pid=%d is replaced: its result was refused",
           (int)p->delivering->worker.child.pid);
    p->delivering->retire = true;
}

void ql_pool_restart(struct ql_pool *p)
{
    for (unsigned i = 0; i < p->slot_count; i++)
        p->slots[i].restart = ql_process_is_up(&p->slots[i].worker);
    p->restarting = true;
    restart_next(p);
}

void ql_pool_stats(const struct ql_pool *p, struct ql_pool_stats *ret)
{
    *ret = p->stats;
    ret->waiting = p->queue.waiting;
    ret->workers = 0;
    for (unsigned i = 0; i < p->slot_count; i++) {
        const struct ql_process *w = &p->slots[i].worker;
        int64_t cpu_ns;

        if (!ql_process_is_up(w))
            continue;
        ret->workers++;
        cpu_ns = ql_process_cpu_ns(w);
        ret->cpu_ns += cpu_ns > 0 ? cpu_ns : 0;
    }
}

size_t ql_pool_pids(const struct ql_pool *p, int *pids, size_t room)
{
    size_t count = 0;

    for (unsigned i = 0; i < p->slot_count && count < room; i++)
        if (ql_process_is_up(&p->slots[i].worker))
            pids[count++] = (int)p->slots[i].worker.child.pid;
    return count;
}
