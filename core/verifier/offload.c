/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

#include "error.h"
#include "offload.h"

struct task {
    STAILQ_ENTRY(task) next;
    ql_offload_work work;
    ql_offload_done done;
    void *arg;
};
STAILQ_HEAD(task_list, task);

struct ql_offload {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task_list waiting, finished;
    size_t count; /* of waiting */
    bool stopping, started;
    int wake_fd; /* tells the loop that something is finished */
    struct event *event;
};

static void *helper(void *arg)
{
    struct ql_offload *o = arg;

    (void)pthread_mutex_lock(&o->lock); /* cannot fail: initialised, not held */
    for (;;) {
        struct task *t = STAILQ_FIRST(&o->waiting);

        if (!t && o->stopping)
            break;
        if (!t) {
            (void)pthread_cond_wait(&o->wake, &o->lock); /* spurious or not: the loop looks again */
            continue;
        }
        STAILQ_REMOVE_HEAD(&o->waiting, next);
        o->count--;
        (void)pthread_mutex_unlock(&o->lock);
        t->work(t->arg);
        (void)pthread_mutex_lock(&o->lock);
        STAILQ_INSERT_TAIL(&o->finished, t, next);
        (void)eventfd_write(o->wake_fd,
                            1); /* fails only when 2^64 - 2 tasks were finished and not looked at */
    }
    (void)pthread_mutex_unlock(&o->lock);
    return NULL;
}

static void call_back(struct ql_offload *o)
{
    struct task_list list = STAILQ_HEAD_INITIALIZER(list);
    struct task *t;

    (void)pthread_mutex_lock(&o->lock);
    STAILQ_CONCAT(&list, &o->finished);
    (void)pthread_mutex_unlock(&o->lock);
    while ((t = STAILQ_FIRST(&list))) {
        STAILQ_REMOVE_HEAD(&list, next);
        t->done(t->arg);
        free(t);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    eventfd_t count;

    (void)what;
    (void)eventfd_read(fd, &count); /* empty: somebody else looked first */
    call_back(arg);
}

int ql_offload_new(struct event_base *base, struct ql_offload **ret, struct ql_err *err)
{
    ql_auto(ql_offload_freep) struct ql_offload *o = calloc(1, sizeof *o);
    sigset_t all, old;

    if (!o)
        return ql_fail_nomem(err);
    STAILQ_INIT(&o->waiting);
    STAILQ_INIT(&o->finished);
    (void)pthread_mutex_init(&o->lock, NULL); /* with default attributes these two cannot fail */
    (void)pthread_cond_init(&o->wake, NULL);
    o->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (o->wake_fd < 0)
        return ql_fail(err, QL_EIO, "no descriptor for the helper thread");
    o->event = event_new(base, o->wake_fd, EV_READ | EV_PERSIST, on_finished, o);
    if (!o->event || event_add(o->event, NULL) != 0)
        return ql_fail_nomem(err);
    /* Signals are the loop's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    o->started = pthread_create(&o->thread, NULL, helper, o) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!o->started)
        return ql_fail(err, QL_EIO, "helper thread cannot be started");
    *ret = ql_steal(o);
    return QL_OK;
}

int ql_offload_submit(struct ql_offload *o, ql_offload_work work, ql_offload_done done, void *arg,
                      struct ql_err *err)
{
    struct task *t;
    bool full;

    (void)pthread_mutex_lock(&o->lock);
    full = o->count >= QL_OFFLOAD_QUEUE_MAX;
    (void)pthread_mutex_unlock(&o->lock);
    if (full)
        return ql_fail(err, QL_EFULL, "more than %d tasks wait for the helper thread", QL_OFFLOAD_QUEUE_MAX);
    t = calloc(1, sizeof *t);
    if (!t)
        return ql_fail_nomem(err);
    *t = (struct task){.work = work, .done = done, .arg = arg};
    (void)pthread_mutex_lock(&o->lock);
    STAILQ_INSERT_TAIL(&o->waiting, t, next);
    o->count++;
    (void)pthread_cond_signal(&o->wake);
    (void)pthread_mutex_unlock(&o->lock);
    return QL_OK;
}

void ql_offload_free(struct ql_offload *o)
{
    if (!o)
        return;
    if (o->started) {
        (void)pthread_mutex_lock(&o->lock);
        o->stopping = true;
        (void)pthread_cond_signal(&o->wake);
        (void)pthread_mutex_unlock(&o->lock);
        (void)pthread_join(o->thread, NULL); /* ours, joinable, not joined yet */
        call_back(o);
    }
    if (o->event)
        event_free(o->event);
    ql_closep(&o->wake_fd);
    (void)pthread_cond_destroy(&o->wake);
    (void)pthread_mutex_destroy(&o->lock);
    free(o);
}
