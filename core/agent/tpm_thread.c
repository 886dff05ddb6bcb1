/* SPDX-License-Identifier: Apache-2.0 */
#include "tpm_thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

#include "error.h"

struct item {
    STAILQ_ENTRY(item) next;
    ql_tpm_work work; /* NULL: synchronous */
    ql_tpm_done done;
    ql_tpm_call call;
    void *arg;
    struct ql_err *err;
    int result;
    bool finished, ran;
};
STAILQ_HEAD(items, item);

struct ql_tpm_thread {
    pthread_t thread;
    bool started;
    int wake_fd; /* thread → loop */
    struct event *wake;
    struct ql_tpm *tpm;   /* the thread's */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct items todo, finished;
    unsigned todo_count;
    ql_tpm_call last;
    void *last_arg;
    bool stop;
};

static void *thread_main(void *arg)
{
    struct ql_tpm_thread *t = arg;

    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        struct item *i = STAILQ_FIRST(&t->todo);

        if (!i) {
            pthread_cond_wait(&t->changed, &t->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&t->todo, next);
        t->todo_count--;
        pthread_mutex_unlock(&t->lock);
        if (i->work)
            i->work(t->tpm, i->arg);
        else
            i->result = i->call(&t->tpm, i->arg, i->err);
        pthread_mutex_lock(&t->lock);
        i->ran = true;
        if (i->work) {
            STAILQ_INSERT_TAIL(&t->finished, i, next);
            (void)eventfd_write(t->wake_fd, 1); /* cannot fail before 2^64 items are waiting */
        } else {
            i->finished = true;
            pthread_cond_broadcast(&t->changed);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (t->last)
        (void)t->last(&t->tpm, t->last_arg, NULL); /* nobody is left to hear of a failure */
    ql_tpm_close(t->tpm);
    return NULL;
}

static void tell(struct items *list)
{
    struct item *i;

    while ((i = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, next);
        i->done(i->arg, i->ran);
        free(i);
    }
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
    struct ql_tpm_thread *t = arg;
    struct items list = STAILQ_HEAD_INITIALIZER(list);
    eventfd_t count;

    (void)what;
    (void)eventfd_read(fd, &count); /* the list says what there is */
    pthread_mutex_lock(&t->lock);
    STAILQ_CONCAT(&list, &t->finished);
    pthread_mutex_unlock(&t->lock);
    tell(&list);
}

int ql_tpm_thread_new(struct event_base *base, struct ql_tpm_thread **ret, struct ql_err *err)
{
    ql_auto(ql_tpm_thread_freep) struct ql_tpm_thread *t = calloc(1, sizeof *t);
    sigset_t all, before;
    int r;

    if (!t)
        return ql_fail_nomem(err);
    STAILQ_INIT(&t->todo);
    STAILQ_INIT(&t->finished);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake_fd >= 0)
        t->wake = event_new(base, t->wake_fd, EV_READ | EV_PERSIST, woken, t);
    if (!t->wake || event_add(t->wake, NULL) < 0)
        return ql_fail(err, QL_EIO, "TPM thread: no event descriptor");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&t->thread, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return ql_fail(err, QL_EIO, "TPM thread: %s", strerror(r));
    t->started = true;
    *ret = ql_steal(t);
    return QL_OK;
}

void ql_tpm_thread_at_end(struct ql_tpm_thread *t, ql_tpm_call last, void *arg)
{
    pthread_mutex_lock(&t->lock);
    t->last = last;
    t->last_arg = arg;
    pthread_mutex_unlock(&t->lock);
}

void ql_tpm_thread_free(struct ql_tpm_thread *t)
{
    if (!t)
        return;
    if (t->started) {
        pthread_mutex_lock(&t->lock);
        t->stop = true;
        pthread_cond_broadcast(&t->changed);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
        tell(&t->finished);
        tell(&t->todo);
    }
    if (t->wake)
        event_free(t->wake);
    ql_closep(&t->wake_fd);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int ql_tpm_thread_submit(struct ql_tpm_thread *t, ql_tpm_work work, ql_tpm_done done, void *arg,
                         struct ql_err *err)
{
    struct item *i = calloc(1, sizeof *i);
    bool full;

    if (!i)
        return ql_fail_nomem(err);
    *i = (struct item){.work = work, .done = done, .arg = arg};
    pthread_mutex_lock(&t->lock);
    full = t->todo_count >= QL_TPM_QUEUE_MAX;
    if (!full) {
        STAILQ_INSERT_TAIL(&t->todo, i, next);
        t->todo_count++;
        pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    if (full) {
        free(i);
        return ql_fail(err, QL_EFULL, "TPM queue: %d requests are waiting", QL_TPM_QUEUE_MAX);
    }
    return QL_OK;
}

int ql_tpm_thread_run(struct ql_tpm_thread *t, ql_tpm_call call, void *arg, struct ql_err *err)
{
    struct item i = {.call = call, .arg = arg, .err = err};

    pthread_mutex_lock(&t->lock);
    STAILQ_INSERT_TAIL(&t->todo, &i, next);
    t->todo_count++;
    pthread_cond_broadcast(&t->changed);
    while (!i.finished)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
    return i.result;
}
