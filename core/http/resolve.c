/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "error.h"
#include "resolve.h"

struct ql_resolving {
    STAILQ_ENTRY(ql_resolving) link;
    ql_resolve_done done; /* loop thread only; NULL: cancelled */
    void *arg;
    int failure; /* of getaddrinfo */
    struct ql_resolved found;
    char host[];
};

STAILQ_HEAD(job_list, ql_resolving);

/* Shared by the loop and the threads; the last one out frees it. */
struct shared {
    pthread_mutex_t lock;
    struct job_list todo, ready;
    unsigned refs, threads;
    int wake; /* eventfd */
    bool closed;
};

struct ql_resolver {
    struct shared *shared;
    struct event *event;
};

bool ql_is_numeric(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    return inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1;
}

static void free_jobs(struct job_list *list)
{
    struct ql_resolving *job;

    while ((job = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, link);
        free(job);
    }
}

/* Called with the lock held, which it releases. */
static void unref_unlock(struct shared *s)
{
    bool last = --s->refs == 0;

    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    free_jobs(&s->todo);
    free_jobs(&s->ready);
    close(s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void look_up(struct ql_resolving *job)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;

    job->failure = getaddrinfo(job->host, NULL, &hints, &list);
    /* With loopback interfaces alone AI_ADDRCONFIG hides "localhost" on some systems. */
    if (job->failure != 0) {
        hints.ai_flags = 0;
        job->failure = getaddrinfo(job->host, NULL, &hints, &list);
    }
    if (job->failure != 0)
        return;
    for (const struct addrinfo *ai = list; ai && job->found.count < QL_RESOLVED_MAX; ai = ai->ai_next)
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen, job->found.address[job->found.count],
                        QL_ADDRESS_TEXT_MAX, NULL, 0, NI_NUMERICHOST) == 0)
            job->found.count++;
    freeaddrinfo(list);
    if (job->found.count == 0)
        job->failure = EAI_NONAME;
}

static void *work(void *arg)
{
    struct shared *s = arg;
    struct ql_resolving *job;
    const uint64_t one = 1;

    pthread_mutex_lock(&s->lock);
    while (!s->closed && (job = STAILQ_FIRST(&s->todo))) {
        STAILQ_REMOVE_HEAD(&s->todo, link);
        pthread_mutex_unlock(&s->lock);
        look_up(job);
        pthread_mutex_lock(&s->lock);
        STAILQ_INSERT_TAIL(&s->ready, job, link);
        if (write(s->wake, &one, sizeof one) < 0)
            break; /* only when the counter is full: the loop is awake anyway */
    }
    s->threads--;
    unref_unlock(s);
    return NULL;
}

static bool start_thread(struct shared *s)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    bool ok;

    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals belong to the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_create(&thread, &attr, work, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct shared *s = ((struct ql_resolver *)arg)->shared;
    struct job_list ready = STAILQ_HEAD_INITIALIZER(ready);
    struct ql_resolving *job;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof count) < 0)
        return;
    pthread_mutex_lock(&s->lock);
    STAILQ_CONCAT(&ready, &s->ready);
    pthread_mutex_unlock(&s->lock);
    while ((job = STAILQ_FIRST(&ready))) {
        STAILQ_REMOVE_HEAD(&ready, link);
        if (job->done)
            job->done(job->failure ? NULL : &job->found, job->failure ? gai_strerror(job->failure) : "",
                      job->arg);
        free(job);
    }
}

int ql_resolver_new(struct event_base *base, struct ql_resolver **ret, struct ql_err *err)
{
    ql_auto(ql_resolver_freep) struct ql_resolver *r = calloc(1, sizeof *r);
    struct shared *s = r ? calloc(1, sizeof *s) : NULL;

    if (!s)
        return ql_fail_nomem(err);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake < 0) {
        free(s);
        return ql_fail(err, QL_EIO, "no descriptor for the name resolver");
    }
    pthread_mutex_init(&s->lock, NULL);
    STAILQ_INIT(&s->todo);
    STAILQ_INIT(&s->ready);
    s->refs = 1;
    r->shared = s;
    r->event = event_new(base, s->wake, EV_READ | EV_PERSIST, on_wake, r);
    if (!r->event || event_add(r->event, NULL) != 0)
        return ql_fail_nomem(err);
    *ret = ql_steal(r);
    return QL_OK;
}

void ql_resolver_free(struct ql_resolver *r)
{
    if (!r)
        return;
    if (r->event)
        event_free(r->event);
    if (r->shared) {
        pthread_mutex_lock(&r->shared->lock);
        r->shared->closed = true;
        unref_unlock(r->shared);
    }
    free(r);
}

struct ql_resolving *ql_resolve(struct ql_resolver *r, const char *host, ql_resolve_done done, void *arg)
{
    struct shared *s = r->shared;
    size_t len = strlen(host);
    struct ql_resolving *job = calloc(1, sizeof *job + len + 1);
    bool ok = true;

    if (!job)
        return NULL;
    memcpy(job->host, host, len + 1);
    job->done = done;
    job->arg = arg;
    pthread_mutex_lock(&s->lock);
    STAILQ_INSERT_TAIL(&s->todo, job, link);
    if (s->threads < QL_RESOLVE_THREADS) {
        s->threads++;
        s->refs++;
        ok = start_thread(s);
        if (!ok) {
            s->threads--;
            s->refs--;
        }
    }
    /* Without a new thread an old one will do. */
    if (!ok && s->threads > 0)
        ok = true;
    if (!ok)
        STAILQ_REMOVE(&s->todo, job, ql_resolving, link);
    pthread_mutex_unlock(&s->lock);
    if (!ok)
        free(job);
    return ok ? job : NULL;
}

void ql_resolve_cancel(struct ql_resolving *job)
{
    job->done = NULL;
}
