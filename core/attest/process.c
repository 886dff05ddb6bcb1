/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "items.h"
#include "log.h"
#include "worker.h"

bool ql_process_is_up(const struct ql_process *p)
{
    return p->state == QL_PROCESS_IDLE || p->state == QL_PROCESS_BUSY;
}

int64_t ql_process_cpu_ns(const struct ql_process *p)
{
    clockid_t clock;
    struct timespec t;

    if (clock_getcpuclockid(p->child.pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return -1;
    return (int64_t)t.tv_sec * QL_NS_PER_S + t.tv_nsec;
}

/* ---- its end ---- */

static void kill_it(struct ql_process *p, const char *limit)
{
    if (p->state == QL_PROCESS_NONE || p->state == QL_PROCESS_ENDING)
        return;
    if (!p->limit)
        p->limit = limit;
    if (p->readable)
        (void)event_del(p->readable);  /* what it still says is not listened to */
    (void)kill(p->child.pid, SIGKILL); /* not collected yet: the number is still its own */
    p->state = QL_PROCESS_ENDING;
}

void ql_process_retire(struct ql_process *p)
{
    if (p->state == QL_PROCESS_NONE || p->state == QL_PROCESS_ENDING)
        return;
    p->is_expected = true;
    kill_it(p, NULL);
}

static void close_it(struct ql_process *p)
{
    if (p->readable)
        event_free(p->readable);
    if (p->ended)
        event_free(p->ended);
    p->readable = p->ended = NULL;
    (void)close(p->child.sock); /* the other end is gone */
    (void)close(p->child.pidfd);
    p->state = QL_PROCESS_NONE;
}

/* In the words of pool.h: why a worker died that we did not kill. */
static const char *cause_of_death(const struct ql_process *p, int status, const struct rusage *usage)
{
    size_t most = (size_t)usage->ru_maxrss * 1024;

    if (WIFEXITED(status))
        return WEXITSTATUS(status) == QL_WORKER_NO_MEMORY ? "memory" : "crash";
    if (WTERMSIG(status) == SIGSYS)
        return "system call";
    /* Who ignores that there is no more memory falls over the next pointer. */
    return most >= p->rules->config->memory_max / 4 * 3 ? "memory" : "crash";
}

static void collect(struct ql_process *p, int status, const struct rusage *usage)
{
    struct ql_process_end end = {
        .cause = p->limit ? p->limit : cause_of_death(p, status, usage),
        .job = ql_steal(p->job),
        .cpu_ns = (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * QL_NS_PER_S +
                  (int64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000,
    };

    close_it(p);
    p->rules->ended(p, &end);
}

void ql_process_collect(struct ql_process *p)
{
    struct rusage usage = {0};
    int status = 0;
    pid_t pid = wait4(p->child.pid, &status, WNOHANG, &usage);

    if (pid < 0 && errno == ECHILD)
        status = SIGKILL; /* somebody else collected it: what of it died is lost */
    if (pid != 0)
        collect(p, status, &usage);
}

void ql_process_wait(struct ql_process *p)
{
    struct rusage usage = {0};
    int status = 0;

    if (wait4(p->child.pid, &status, 0, &usage) == p->child.pid)
        collect(p, status, &usage);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_process_collect(arg);
}

/* ---- limits ---- */

void ql_process_check(struct ql_process *p, int64_t now_ns)
{
    const struct ql_pool_config *limits = p->rules->config;
    int64_t cpu_ns;

    if (p->state == QL_PROCESS_STARTING && now_ns - p->since_ns > QL_PROCESS_START_MS * QL_NS_PER_MS)
        kill_it(p, "not ready in time");
    if (p->state != QL_PROCESS_BUSY)
        return;
    if (now_ns - p->since_ns > (int64_t)limits->wall_ms * QL_NS_PER_MS) {
        kill_it(p, "wall time");
        return;
    }
    cpu_ns = ql_process_cpu_ns(p);
    /* What the job used before it was first looked at is not counted: less than one tick. */
    if (p->cpu_base_ns < 0)
        p->cpu_base_ns = cpu_ns;
    else if (cpu_ns - p->cpu_base_ns > (int64_t)limits->cpu_ms * QL_NS_PER_MS)
        kill_it(p, "cpu");
}

/* ---- its jobs ---- */

int ql_process_give(struct ql_process *p, struct ql_job *job, struct ql_err *err)
{
    int r = ql_frame_send(p->child.sock, job->frame, err);

    if (r < 0)
        return r;
    p->state = QL_PROCESS_BUSY;
    p->job = job;
    p->validator[0] = '\0';
    p->since_ns = job->started_ns = ql_mono_ns();
    p->cpu_base_ns = -1;
    return QL_OK;
}

/* ---- what it says ---- */

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

static int send_policy(struct ql_process *p, const struct ql_frame *f)
{
    const struct ql_pool_config *config = p->rules->config;
    const struct ql_item *digest = ql_frame_get(f, QL_TAG_DIGEST, 0);
    ql_auto(ql_frame_freep) struct ql_frame *answer = ql_frame_new(QL_FRAME_POLICY, f->job);
    int fd = -1, r;
    size_t len = 0;

    if (!answer || !is_asked_for(p->job, digest))
        return QL_EPARSE;
    r = config->policy ? config->policy(config->arg, digest->data, &fd, &len) : QL_ENOTFOUND;
    if (r == QL_OK)
        (void)ql_frame_add_fd(answer, QL_TAG_POLICY, fd, len, NULL); /* a poisoned frame is not sent */
    return ql_frame_send(p->child.sock, answer, NULL);
}

static void take_result(struct ql_process *p, const struct ql_frame *f)
{
    p->jobs_done++;
    p->state = QL_PROCESS_IDLE;
    p->rules->result(p, ql_steal(p->job), f);
}

static int take_hello(struct ql_process *p, const struct ql_frame *f)
{
    ql_auto_free char *text = ql_frame_get_text(f, QL_TAG_ERROR_TEXT, 0);

    if (text) {
        p->rules->troubled(p, text); /* its end follows */
        return QL_OK;
    }
    p->is_ready = true;
    p->state = QL_PROCESS_IDLE;
    p->rules->ready(p);
    return QL_OK;
}

/* Which plugin it is about to load: should it end now, that is what the operator must know. */
static int take_loading(struct ql_process *p, const struct ql_frame *f)
{
    ql_auto_free char *name = ql_frame_get_text(f, QL_TAG_VALIDATOR, 0);
    char text[128];

    if (!name)
        return QL_EPARSE;
    (void)snprintf(text, sizeof text, "it ended while it loaded plugin %.64s", name); /* fits */
    p->rules->troubled(p, text);
    return QL_OK;
}

/* Main accepts one thing from a worker: what belongs to the one job it has there (decision 11). */
static int take_frame(struct ql_process *p, const struct ql_frame *f)
{
    const struct ql_item *name;

    if (p->state == QL_PROCESS_STARTING && f->kind == QL_FRAME_HELLO)
        return take_hello(p, f);
    if (p->state == QL_PROCESS_STARTING && f->kind == QL_FRAME_ENTERING)
        return take_loading(p, f);
    if (p->state != QL_PROCESS_BUSY || f->job != p->job->number)
        return QL_EPARSE;
    switch (f->kind) {
    case QL_FRAME_RESULT:
        take_result(p, f);
        return QL_OK;
    case QL_FRAME_NEED_POLICY:
        return send_policy(p, f);
    case QL_FRAME_ENTERING:
        name = ql_frame_get(f, QL_TAG_VALIDATOR, 0);
        if (!name || name->len >= sizeof p->validator || memchr(name->data, 0, name->len))
            return QL_EPARSE;
        memcpy(p->validator, name->data, name->len);
        p->validator[name->len] = '\0';
        return QL_OK;
    default:
        return QL_EPARSE;
    }
}

void ql_process_read(struct ql_process *p)
{
    /* Until nothing is left, or the worker is not the one any more that wrote it. */
    while (p->state != QL_PROCESS_NONE && p->state != QL_PROCESS_ENDING) {
        ql_auto(ql_frame_freep) struct ql_frame *f = NULL;
        struct ql_err err = QL_ERR_INIT;
        int r = ql_frame_recv(p->child.sock, &f, &err);

        if (r == QL_EAGAIN)
            return;
        if (r == QL_ECLOSED) {
            /* It ends or has ended; what of, its exit status says. */
            (void)event_del(p->readable);
            (void)kill(p->child.pid, SIGKILL); /* not collected yet: the number is still its own */
            p->state = QL_PROCESS_ENDING;
            return;
        }
        if (r == QL_OK)
            r = take_frame(p, f);
        /* After a result nothing more is due for a while; should there be, the loop calls again. */
        if (r == QL_OK && f->kind == QL_FRAME_RESULT)
            return;
        if (r < 0) {
            ql_log(QL_ERROR, "pool", "worker pid=%d said something that it must not: %s", (int)p->child.pid,
                   err.text[0] ? err.text : "frame out of place");
            kill_it(p, "crash");
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_process_read(arg);
}

/* ---- its start ---- */

static int watch(struct ql_process *p, struct ql_err *err)
{
    int r;

    p->readable = event_new(p->rules->config->base, p->child.sock, EV_READ | EV_PERSIST, on_readable, p);
    p->ended = event_new(p->rules->config->base, p->child.pidfd, EV_READ, on_ended, p);
    if (!p->readable || !p->ended || event_add(p->readable, NULL) != 0 || event_add(p->ended, NULL) != 0)
        return ql_fail(err, QL_ENOMEM, "watching a worker");
    r = ql_frame_send(p->child.sock, p->rules->kit->setup, err);
    return r == QL_ECLOSED ? QL_OK : r; /* it has ended already; that is seen to like any other end */
}

int ql_process_start(struct ql_process *p, struct ql_err *err)
{
    int r = ql_spawn(&p->rules->kit->spawn, &p->child, err);

    if (r < 0)
        return r;
    p->state = QL_PROCESS_STARTING;
    p->is_ready = p->is_expected = false;
    p->limit = NULL;
    p->validator[0] = '\0';
    p->jobs_done = 0;
    p->since_ns = ql_mono_ns();
    r = watch(p, err);
    if (r < 0)
        kill_it(p, "crash"); /* collected like any other */
    return r;
}
