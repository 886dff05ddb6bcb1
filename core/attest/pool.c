/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "items.h"
#include "json.h"
#include "log.h"
#include "pool.h"
#include "queue.h"
#include "spawn.h"
#include "worker.h"

enum {
    MEMORY_DEFAULT = 1024 * 1024 * 1024,
    CPU_MS_DEFAULT = 10000,
    WALL_MS_DEFAULT = 30000,
    JOBS_DEFAULT = 10000,
    WORKERS_MAX = 256,
    TICK_MS = 50,          /* how often running jobs are held against their limits */
    START_MS = 30000,      /* a worker that is not ready by then never will be */
    RESTART_MS = 1000,     /* pause after a worker that could not start */
    FAILED_STARTS_MAX = 3, /* in a row, with no worker left: waiting jobs are given up */
    TEXT_MAX = 504
};

enum worker_state {
    WORKER_NONE,     /* slot is empty */
    WORKER_STARTING, /* no HELLO yet */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_ENDING /* killed or dead, not collected yet */
};

struct slot {
    struct ql_pool *pool;
    unsigned number;
    enum worker_state state;
    struct ql_spawned process;
    struct event *readable, *ended;
    struct ql_job *job;   /* BUSY, or ENDING with a job that did not finish */
    struct ql_job *alone; /* to be the first one of the next worker here */
    bool ready;           /* said HELLO */
    bool retire;          /* not to be given another job */
    bool restart;         /* to be replaced when its turn comes */
    bool expected;        /* we end it, and not for what it did */
    const char *limit;    /* why we killed it; NULL: it died by itself */
    char validator[33];   /* that said to be running */
    char last_validator[33];
    unsigned jobs_done;
    int64_t since_ns;    /* start, or of the job that runs */
    int64_t cpu_base_ns; /* CPU time when the job was first looked at; -1: not yet */
};

struct ql_pool {
    struct ql_pool_config config;
    struct ql_spawn spawn;
    struct slot *slots;
    unsigned slot_count;
    struct ql_queue queue;
    struct event *tick;
    bool ticking, closing, restarting;
    struct ql_frame *setup;
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

/* ---- clock ---- */

static int64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return -1;
    return (int64_t)t.tv_sec * QL_NS_PER_S + t.tv_nsec;
}

static void keep_ticking(struct ql_pool *p)
{
    const struct timeval pause = ql_timeval(TICK_MS * QL_NS_PER_MS);

    if (p->ticking)
        return;
    p->ticking = event_add(p->tick, &pause) == 0;
}

/* ---- ending workers ---- */

static void slot_kill(struct slot *s, const char *limit)
{
    if (s->state == WORKER_NONE || s->state == WORKER_ENDING)
        return;
    if (!s->limit)
        s->limit = limit;
    if (s->readable)
        (void)event_del(s->readable);    /* what it still says is not listened to */
    (void)kill(s->process.pid, SIGKILL); /* not collected yet: the number is still its own */
    s->state = WORKER_ENDING;
}

/* Replace without blame. */
static void slot_retire(struct slot *s)
{
    s->expected = true;
    slot_kill(s, NULL);
}

static void slot_close(struct slot *s)
{
    if (s->readable)
        event_free(s->readable);
    if (s->ended)
        event_free(s->ended);
    s->readable = s->ended = NULL;
    (void)close(s->process.sock); /* the other end is gone */
    (void)close(s->process.pidfd);
    s->state = WORKER_NONE;
}

/* In the words of pool.h: why a worker died that we did not kill. */
static const char *cause_of_death(const struct ql_pool *p, int status, const struct rusage *usage)
{
    size_t most = (size_t)usage->ru_maxrss * 1024;

    if (WIFEXITED(status))
        return WEXITSTATUS(status) == QL_WORKER_NO_MEMORY ? "memory" : "crash";
    if (WTERMSIG(status) == SIGSYS)
        return "system call";
    /* Who ignores that there is no more memory falls over the next pointer. */
    return most >= p->config.memory_max / 4 * 3 ? "memory" : "crash";
}

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
        if (p->slots[i].state == WORKER_IDLE || p->slots[i].state == WORKER_BUSY)
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

    ql_log(QL_WARN, "pool", "worker pid=%d ended (%s) during job %llu, attempt %u%s%s", (int)s->process.pid,
           cause, (unsigned long long)job->number, job->attempt, s->validator[0] ? ", in validator " : "",
           s->validator);
    if (job->attempt >= 2) {
        p->stats.killers++;
        finish(p, job,
               &(struct ql_pool_result){
                   .status = QL_POOL_KILLER, .validator = s->last_validator, .limit = cause});
        return;
    }
    job->attempt++;
    if (ql_frame_add_u64(job->frame, QL_TAG_ATTEMPT, job->attempt, NULL) < 0) {
        finish_internal(p, job, "out of memory");
        return;
    }
    s->alone = job;
}

static void collect(struct slot *s, int status, const struct rusage *usage)
{
    struct ql_pool *p = s->pool;
    const char *cause = s->limit ? s->limit : cause_of_death(p, status, usage);
    struct ql_job *job = ql_steal(s->job);

    p->stats.cpu_ns += (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * QL_NS_PER_S +
                       (int64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
    slot_close(s);
    if (job && job->large)
        p->large_running--;
    if (s->expected)
        p->stats.restarts++;
    else
        p->stats.crashes++;
    if (job && p->closing)
        finish(p, job, &(struct ql_pool_result){.status = QL_POOL_CANCELLED});
    else if (job) {
        memcpy(s->last_validator, s->validator, sizeof s->last_validator);
        strike(s, job, cause);
    } else if (!s->expected && !s->ready && !p->closing) {
        start_failed(p, cause);
    }
    if (!p->closing)
        slot_start(s);
}

static void try_collect(struct slot *s)
{
    struct rusage usage = {0};
    int status = 0;
    pid_t pid = wait4(s->process.pid, &status, WNOHANG, &usage);

    if (pid < 0 && errno == ECHILD)
        status = SIGKILL; /* somebody else collected it: what of it died is lost */
    if (pid != 0)
        collect(s, status, &usage);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    try_collect(arg);
}

/* ---- handing out jobs ---- */

static bool large_ok(const struct ql_pool *p)
{
    /* One worker is kept for small jobs, where there is more than one. */
    return p->large_running < (p->slot_count > 1 ? p->slot_count - 1 : 1);
}

static bool give(struct slot *s, struct ql_job *job)
{
    struct ql_pool *p = s->pool;
    struct ql_err err = QL_ERR_INIT;
    int r;

    job->number = job->frame->job = ++p->next_number;
    r = ql_frame_send(s->process.sock, job->frame, &err);
    if (r < 0) {
        /* It never got the job: that is no strike. */
        ql_log(QL_WARN, "pool", "worker pid=%d took no job: %s", (int)s->process.pid, err.text);
        if (job->attempt >= 2)
            s->alone = job;
        else
            ql_queue_put_back(&p->queue, job);
        slot_retire(s);
        return false;
    }
    s->state = WORKER_BUSY;
    s->job = job;
    s->validator[0] = '\0';
    s->since_ns = job->started_ns = ql_mono_ns();
    s->cpu_base_ns = -1;
    if (job->large)
        p->large_running++;
    keep_ticking(p);
    return true;
}

static void fill_slot(struct slot *s)
{
    struct ql_pool *p = s->pool;
    struct ql_job *job;

    if (s->state != WORKER_IDLE || p->closing)
        return;
    if (s->retire) {
        slot_retire(s);
        return;
    }
    job = ql_steal(s->alone);
    if (!job)
        job = ql_queue_take(&p->queue, s->number, large_ok(p), ql_mono_ns());
    if (job)
        (void)give(s, job); /* a job that was not taken waits again */
}

/* One after the other: the next one goes when all others are at work. */
static void restart_next(struct ql_pool *p)
{
    if (!p->restarting)
        return;
    for (unsigned i = 0; i < p->slot_count; i++)
        if (p->slots[i].state != WORKER_IDLE && p->slots[i].state != WORKER_BUSY)
            return;
    p->restarting = false;
    for (unsigned i = 0; i < p->slot_count; i++) {
        if (!p->slots[i].restart)
            continue;
        p->restarting = true; /* a busy one goes at the end of its job */
        if (p->slots[i].state != WORKER_IDLE)
            continue;
        slot_retire(&p->slots[i]);
        return;
    }
}

/* ---- what workers say ---- */

static bool is_asked_for(const struct ql_job *job, const struct ql_item *digest)
{
    const struct ql_item *one;

    if (!digest || digest->len != 32)
        return false;
    for (size_t i = 0; (one = ql_frame_get(job->frame, QL_TAG_DIGEST, i)); i++)
        if (one->len == 32 && memcmp(one->data, digest->data, 32) == 0)
            return true;
    return false;
}

static int send_policy(struct slot *s, const struct ql_frame *f)
{
    const struct ql_item *digest = ql_frame_get(f, QL_TAG_DIGEST, 0);
    ql_auto(ql_frame_freep) struct ql_frame *answer = ql_frame_new(QL_FRAME_POLICY, f->job);
    int fd = -1, r;
    size_t len = 0;

    if (!answer || !is_asked_for(s->job, digest))
        return QL_EPARSE;
    r = s->pool->config.policy ? s->pool->config.policy(s->pool->config.arg, digest->data, &fd, &len)
                               : QL_ENOTFOUND;
    if (r == QL_OK)
        (void)ql_frame_add_fd(answer, QL_TAG_POLICY, fd, len, NULL); /* a poisoned frame is not sent */
    return ql_frame_send(s->process.sock, answer, NULL);
}

static void take_result(struct slot *s, const struct ql_frame *f)
{
    struct ql_pool *p = s->pool;
    struct ql_job *job = ql_steal(s->job);
    ql_auto_free char *text = NULL;
    uint64_t code = 0;

    if (job->large)
        p->large_running--;
    s->jobs_done++;
    s->state = WORKER_IDLE;
    if (s->jobs_done >= p->config.jobs_max || p->config.isolation == QL_ISOLATION_JOB)
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

static int take_hello(struct slot *s, const struct ql_frame *f)
{
    struct ql_pool *p = s->pool;
    ql_auto_free char *text = ql_frame_get_text(f, QL_TAG_ERROR_TEXT, 0);

    if (text) {
        (void)snprintf(p->start_error, sizeof p->start_error, "%s", text); /* a cut text will do */
        p->failed_starts = p->failed_starts ? p->failed_starts : 1;
        return QL_OK; /* its end follows */
    }
    p->failed_starts = 0;
    p->start_again_ns = 0;
    p->start_error[0] = '\0';
    s->ready = true;
    s->state = WORKER_IDLE;
    fill_slot(s);
    restart_next(p);
    return QL_OK;
}

/* Which plugin a worker that starts is about to load: should it end now, that is what the operator must know. */
static int take_loading(struct slot *s, const struct ql_frame *f)
{
    ql_auto_free char *name = ql_frame_get_text(f, QL_TAG_VALIDATOR, 0);
    struct ql_pool *p = s->pool;

    if (!name)
        return QL_EPARSE;
    (void)snprintf(p->start_error, sizeof p->start_error, "it ended while it loaded plugin %.64s",
                   name); /* fits */
    p->failed_starts = p->failed_starts ? p->failed_starts : 1;
    return QL_OK;
}

/* Main accepts one thing from a worker: what belongs to the one job it has there (decision 11). */
static int take_frame(struct slot *s, const struct ql_frame *f)
{
    const struct ql_item *name;

    if (s->state == WORKER_STARTING && f->kind == QL_FRAME_HELLO)
        return take_hello(s, f);
    if (s->state == WORKER_STARTING && f->kind == QL_FRAME_ENTERING)
        return take_loading(s, f);
    if (s->state != WORKER_BUSY || f->job != s->job->number)
        return QL_EPARSE;
    switch (f->kind) {
    case QL_FRAME_RESULT:
        take_result(s, f);
        return QL_OK;
    case QL_FRAME_NEED_POLICY:
        return send_policy(s, f);
    case QL_FRAME_ENTERING:
        name = ql_frame_get(f, QL_TAG_VALIDATOR, 0);
        if (!name || name->len >= sizeof s->validator || memchr(name->data, 0, name->len))
            return QL_EPARSE;
        memcpy(s->validator, name->data, name->len);
        s->validator[name->len] = '\0';
        return QL_OK;
    default:
        return QL_EPARSE;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct slot *s = arg;

    (void)what;
    /* Until nothing is left, or the worker is not the one any more that wrote it. */
    while (s->state != WORKER_NONE && s->state != WORKER_ENDING) {
        ql_auto(ql_frame_freep) struct ql_frame *f = NULL;
        struct ql_err err = QL_ERR_INIT;
        int r = ql_frame_recv(fd, &f, &err);

        if (r == QL_EAGAIN)
            return;
        if (r == QL_ECLOSED) {
            /* It ends or has ended; what of, its exit status says. */
            (void)event_del(s->readable);
            (void)kill(s->process.pid, SIGKILL); /* not collected yet: the number is still its own */
            s->state = WORKER_ENDING;
            return;
        }
        if (r == QL_OK)
            r = take_frame(s, f);
        /* After a result nothing more is due for a while; should there be, the loop calls again. */
        if (r == QL_OK && f->kind == QL_FRAME_RESULT)
            return;
        if (r < 0) {
            ql_log(QL_ERROR, "pool", "worker pid=%d said something that it must not: %s", (int)s->process.pid,
                   err.text[0] ? err.text : "frame out of place");
            slot_kill(s, "crash");
        }
    }
}

/* ---- limits ---- */

static void check_limits(struct slot *s, int64_t now_ns)
{
    const struct ql_pool_config *c = &s->pool->config;
    int64_t cpu_ns;

    if (s->state == WORKER_STARTING && now_ns - s->since_ns > START_MS * QL_NS_PER_MS)
        slot_kill(s, "not ready in time");
    if (s->state != WORKER_BUSY)
        return;
    if (now_ns - s->since_ns > (int64_t)c->wall_ms * QL_NS_PER_MS) {
        slot_kill(s, "wall time");
        return;
    }
    cpu_ns = process_cpu_ns(s->process.pid);
    /* What the job used before it was first looked at is not counted: less than one tick. */
    if (s->cpu_base_ns < 0)
        s->cpu_base_ns = cpu_ns;
    else if (cpu_ns - s->cpu_base_ns > (int64_t)c->cpu_ms * QL_NS_PER_MS)
        slot_kill(s, "cpu");
}

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

        check_limits(s, now_ns);
        if (s->state == WORKER_ENDING)
            try_collect(s);
        if (s->state == WORKER_NONE && !p->closing && now_ns >= p->start_again_ns)
            slot_start(s);
        /* Jobs that waited long enough for their own worker go to an idle one. */
        fill_slot(s);
        more = more || s->state != WORKER_IDLE;
    }
    if (more && !p->closing)
        keep_ticking(p);
}

/* ---- starting workers ---- */

static int slot_watch(struct slot *s, struct ql_err *err)
{
    int r;

    s->readable = event_new(s->pool->config.base, s->process.sock, EV_READ | EV_PERSIST, on_readable, s);
    s->ended = event_new(s->pool->config.base, s->process.pidfd, EV_READ, on_ended, s);
    if (!s->readable || !s->ended || event_add(s->readable, NULL) != 0 || event_add(s->ended, NULL) != 0)
        return ql_fail(err, QL_ENOMEM, "watching a worker");
    r = ql_frame_send(s->process.sock, s->pool->setup, err);
    return r == QL_ECLOSED ? QL_OK : r; /* it has ended already; that is seen to like any other end */
}

static int slot_try_start(struct slot *s, struct ql_err *err)
{
    int r = ql_spawn(&s->pool->spawn, &s->process, err);

    if (r < 0)
        return r;
    s->state = WORKER_STARTING;
    s->ready = s->retire = s->restart = s->expected = false;
    s->limit = NULL;
    s->validator[0] = '\0';
    s->jobs_done = 0;
    s->since_ns = ql_mono_ns();
    keep_ticking(s->pool);
    return slot_watch(s, err);
}

static void slot_start(struct slot *s)
{
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (ql_mono_ns() < s->pool->start_again_ns) {
        keep_ticking(s->pool);
        return;
    }
    r = slot_try_start(s, &err);
    if (r == QL_OK)
        return;
    if (s->state == WORKER_STARTING)
        slot_kill(s, "crash"); /* collected like any other */
    else
        start_failed(s->pool, err.text);
}

static int make_setup(struct ql_pool *p, const struct ql_plugin_file *files, struct ql_err *err)
{
    ql_auto_json json_t *setup = NULL, *plugins = json_array(), *readable = json_array();
    const char *text = p->config.config_text ? p->config.config_text : "";
    int level = QL_ERROR, r = QL_OK;

    while (level < QL_DEBUG && ql_log_on((enum ql_log_level)(level + 1)))
        level++;
    for (size_t i = 0; r == QL_OK && i < p->config.plugin_count; i++)
        if (json_array_append_new(
                plugins, json_pack("{s:s, s:b}", "name", files[i].name, "lua", files[i].is_lua ? 1 : 0)) != 0)
            r = ql_fail_nomem(err);
    if (p->config.readable_count > QL_POOL_READABLE_MAX)
        return ql_fail(err, QL_ELIMIT, "plugins want to read %zu files, at most %d", p->config.readable_count,
                       QL_POOL_READABLE_MAX);
    for (size_t i = 0; r == QL_OK && i < p->config.readable_count; i++)
        if (json_array_append_new(readable, json_string(p->config.readable[i])) != 0)
            r = ql_fail_nomem(err);
    if (r < 0)
        return r;
    setup = json_pack("{s:O, s:O, s:I, s:I, s:s, s:i}", "plugins", plugins, "readable", readable,
                      "memory_max", (json_int_t)p->config.memory_max, "wall_ms",
                      (json_int_t)p->config.wall_ms, "options", text, "log_level", level);
    p->setup = ql_frame_new(QL_FRAME_HELLO, 0);
    if (!setup || !p->setup)
        return ql_fail_nomem(err);
    return ql_frame_add_json(p->setup, QL_TAG_OPTIONS, setup, err);
}

static int open_kept(const char *path, int flags, int *ret, struct ql_err *err)
{
    ql_auto_close int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: %s", path, strerror(errno));
    return ql_spawn_keep(fd, ret, err);
}

/* The program and the plugins as they are now: an upgrade under a running daemon never mixes versions. */
static int open_files(struct ql_pool *p, struct ql_err *err)
{
    struct ql_plugin_file files[QL_PLUGINS_MAX];
    size_t opened = 0;
    int r;

    p->spawn.program = p->spawn.null = -1;
    if (p->config.plugin_count > QL_PLUGINS_MAX)
        return ql_fail(err, QL_ELIMIT, "%zu plugins, at most %d", p->config.plugin_count, QL_PLUGINS_MAX);
    p->spawn.plugins = calloc(p->config.plugin_count + 1, sizeof *p->spawn.plugins);
    if (!p->spawn.plugins)
        return ql_fail_nomem(err);
    r = open_kept(p->config.worker_path, O_RDONLY, &p->spawn.program, err);
    if (r == QL_OK)
        r = open_kept("/dev/null", O_RDWR, &p->spawn.null, err);
    for (; r == QL_OK && opened < p->config.plugin_count; opened++) {
        r = ql_plugin_file_open(p->config.plugin_dir, p->config.plugins[opened], &files[opened], err);
        if (r < 0)
            break;
        r = ql_spawn_keep(files[opened].fd, &p->spawn.plugins[opened], err);
        if (r == QL_OK)
            p->spawn.plugin_count++;
    }
    if (r == QL_OK)
        r = make_setup(p, files, err);
    while (opened > 0)
        ql_plugin_file_close(&files[--opened]);
    return r;
}

/* Its first frame, or its end. The loop does not run yet, so it is waited for here. */
static int await_first(struct slot *s, struct ql_err *err)
{
    int64_t until_ns = ql_mono_ns() + START_MS * QL_NS_PER_MS;

    while (s->state == WORKER_STARTING) {
        struct pollfd wait = {.fd = s->process.sock, .events = POLLIN};
        int64_t left_ms = (until_ns - ql_mono_ns()) / QL_NS_PER_MS;

        if (left_ms <= 0)
            return ql_fail(err, QL_ETIMEOUT, "worker was not ready within %d s", START_MS / 1000);
        if (poll(&wait, 1, (int)left_ms) > 0)
            on_readable(s->process.sock, EV_READ, s);
    }
    if (s->state == WORKER_IDLE)
        return QL_OK;
    return ql_fail(err, QL_EIO, "worker did not start: %s",
                   s->pool->start_error[0] ? s->pool->start_error : "it ended without a word");
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
}

int ql_pool_new(const struct ql_pool_config *config, struct ql_pool **ret, struct ql_err *err)
{
    ql_auto(ql_pool_freep) struct ql_pool *p = calloc(1, sizeof *p);
    int r;

    if (!p)
        return ql_fail_nomem(err);
    set_defaults(p, config);
    r = open_files(p, err);
    if (r == QL_OK)
        r = ql_queue_new(p->slot_count, p->config.isolation == QL_ISOLATION_GROUP, &p->queue, err);
    if (r < 0)
        return r;
    p->slots = calloc(p->slot_count, sizeof *p->slots);
    p->tick = evtimer_new(p->config.base, on_tick, p);
    if (!p->slots || !p->tick)
        return ql_fail_nomem(err);
    for (unsigned i = 0; i < p->slot_count; i++)
        p->slots[i] = (struct slot){.pool = p, .number = i};
    for (unsigned i = 0; r == QL_OK && i < p->slot_count; i++)
        r = slot_try_start(&p->slots[i], err);
    if (r == QL_OK)
        r = await_first(&p->slots[0], err);
    if (r == QL_OK)
        *ret = ql_steal(p);
    return r;
}

static void end_all(struct ql_pool *p)
{
    for (unsigned i = 0; p->slots && i < p->slot_count; i++)
        if (p->slots[i].state != WORKER_NONE && p->slots[i].state != WORKER_ENDING)
            slot_retire(&p->slots[i]);
    for (unsigned i = 0; p->slots && i < p->slot_count; i++) {
        struct slot *s = &p->slots[i];
        struct rusage usage = {0};
        int status = 0;

        if (s->state == WORKER_ENDING && wait4(s->process.pid, &status, 0, &usage) == s->process.pid)
            collect(s, status, &usage);
    }
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
    for (size_t i = 0; i < p->spawn.plugin_count; i++)
        (void)close(p->spawn.plugins[i]); /* read only */
    free(p->spawn.plugins);
    ql_closep(&p->spawn.program);
    ql_closep(&p->spawn.null);
    ql_queue_done(&p->queue);
    ql_frame_free(p->setup);
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
           (int)p->delivering->process.pid);
    p->delivering->retire = true;
}

void ql_pool_restart(struct ql_pool *p)
{
    for (unsigned i = 0; i < p->slot_count; i++)
        p->slots[i].restart = p->slots[i].state == WORKER_IDLE || p->slots[i].state == WORKER_BUSY;
    p->restarting = true;
    restart_next(p);
}

void ql_pool_stats(const struct ql_pool *p, struct ql_pool_stats *ret)
{
    *ret = p->stats;
    ret->waiting = p->queue.waiting;
    ret->workers = 0;
    for (unsigned i = 0; i < p->slot_count; i++) {
        const struct slot *s = &p->slots[i];
        int64_t cpu_ns;

        if (s->state != WORKER_IDLE && s->state != WORKER_BUSY)
            continue;
        ret->workers++;
        cpu_ns = process_cpu_ns(s->process.pid);
        ret->cpu_ns += cpu_ns > 0 ? cpu_ns : 0;
    }
}

size_t ql_pool_pids(const struct ql_pool *p, int *pids, size_t room)
{
    size_t count = 0;

    for (unsigned i = 0; i < p->slot_count && count < room; i++)
        if (p->slots[i].state == WORKER_IDLE || p->slots[i].state == WORKER_BUSY)
            pids[count++] = (int)p->slots[i].process.pid;
    return count;
}
