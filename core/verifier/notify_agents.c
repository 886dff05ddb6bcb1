/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the agents. Each agent gets the events in order, one at a time; those that do not answer are tried again and
 * hold up nobody but themselves. Here is who waits for what; notify_call.c tells one agent of one event, notify_look.c
 * finds the agents that are not polled.
 */
#include <string.h>

#include "clock.h"
#include "digest.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "told.h"
#include "verifier.h"

enum {
    FIRST_BUCKETS = 1024,
    AT_ONCE_MS = 50, /* pause after a kept connection turned out to be closed */
    GRAIN_MS = 50    /* those that wait are looked at no more often */
};

unsigned ql_tell_wait_s(unsigned failures)
{
    unsigned wait = 1;

    for (unsigned i = 1; i < failures && wait < QL_TELL_WAIT_MAX_S; i++)
        wait *= 2;
    return wait < QL_TELL_WAIT_MAX_S ? wait : QL_TELL_WAIT_MAX_S;
}

size_t ql_told_count(const struct ql_told *t)
{
    return t->count;
}

static void at_once(struct event *e)
{
    static const struct timeval now = {0};

    if (evtimer_add(e, &now) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

/* ---- table ---- */

static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a; ids come from admins, none is chosen to collide */

    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static struct ql_lag **place(const struct ql_told *t, const char *id)
{
    struct ql_lag **at = &t->buckets[hash(id) & (t->bucket_count - 1)];

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->chain;
    return at;
}

static bool grow(struct ql_told *t)
{
    struct ql_told wide = {.bucket_count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS};

    if (t->count < t->bucket_count)
        return true;
    wide.buckets = calloc(wide.bucket_count, sizeof(struct ql_lag *));
    if (!wide.buckets)
        return false;
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct ql_lag *l = t->buckets[b], *next; l; l = next) {
            struct ql_lag **at = place(&wide, l->id);

            next = l->chain;
            l->chain = NULL;
            *at = l;
        }
    free(t->buckets);
    t->buckets = wide.buckets;
    t->bucket_count = wide.bucket_count;
    return true;
}

static void remove_lag(struct ql_lag *l)
{
    struct ql_told *t = l->told;
    struct ql_lag **at = place(t, l->id);
    struct ql_peer *peer = l->peer;

    *at = l->chain;
    t->count--;
    free(l);
    if (peer)
        ql_peer_free(peer);
}

/* ---- going on ---- */

static bool concerns(const struct ql_note *n, const char *id)
{
    return !n->is_expired && (!n->only || json_object_get(n->only, id));
}

void ql_told_passed(struct ql_told *t, struct ql_note *n)
{
    n->behind--;
    n->for_agents = n->behind > 0;
    ql_outbox_note_changed(t->runner, n);
}

/* To the next event that concerns it. @return false: it has got all */
static bool step_over(struct ql_lag *l, bool is_served)
{
    while (l->at && (is_served || !concerns(l->at, l->id))) {
        struct ql_note *n = l->at;

        is_served = false;
        do
            l->at = TAILQ_NEXT(l->at, next);
        while (l->at && !l->at->for_agents);
        ql_told_passed(l->told, n);
    }
    return l->at != NULL;
}

static void make_ready(struct ql_lag *l)
{
    struct ql_told *t = l->told;

    l->state = QL_LAG_READY;
    if (l->failures > 0)
        TAILQ_INSERT_TAIL(&t->retry, l, queued);
    else
        TAILQ_INSERT_TAIL(&t->ready, l, queued);
    at_once(t->pump);
}

/* The call is over. */
static void land(struct ql_lag *l)
{
    struct ql_told *t = l->told;

    t->flying--;
    t->retrying -= l->is_retry ? 1 : 0;
    l->is_retry = false;
    at_once(t->pump);
}

void ql_lag_served(struct ql_lag *l)
{
    land(l);
    l->failures = 0;
    if (step_over(l, true))
        make_ready(l);
    else
        remove_lag(l);
}

void ql_lag_again(struct ql_lag *l)
{
    land(l);
    make_ready(l);
}

void ql_lag_gone(struct ql_lag *l)
{
    land(l);
    while (step_over(l, true))
        ;
    remove_lag(l);
}

static void wake_at(struct ql_told *t, int64_t due_ns)
{
    int64_t wait = due_ns - ql_mono_ns();
    struct timeval tv;

    if (evtimer_pending(t->wake, NULL) && t->wake_ns <= due_ns)
        return;
    if (wait < GRAIN_MS * QL_NS_PER_MS)
        wait = GRAIN_MS * QL_NS_PER_MS;
    tv = ql_timeval(wait);
    t->wake_ns = due_ns;
    if (evtimer_add(t->wake, &tv) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

void ql_lag_failed(struct ql_lag *l, int code, const char *why)
{
    struct ql_told *t = l->told;
    unsigned wait;
    uint32_t random;

    land(l);
    if (!concerns(l->at, l->id)) {
        if (step_over(l, false))
            make_ready(l);
        else
            remove_lag(l);
        return;
    }
    wait = ql_tell_wait_s(++l->failures);
    ql_log(l->failures == 1   ? QL_INFO
           : l->failures == 2 ? QL_WARN
                              : QL_DEBUG,
           "revocation", "peer=%s agent=%s attempt=%u: not told yet: %s", l->id, l->at->row.agent_id,
           l->failures, why);
    /* Not all at the same moment when a network comes back. */
    ql_random(&random, sizeof random);
    if (l->failures == 1 && (code == QL_ECLOSED || code == QL_EIO))
        l->due_ns = ql_mono_ns() + AT_ONCE_MS * QL_NS_PER_MS;
    else
        l->due_ns = ql_mono_ns() + wait * QL_NS_PER_S + random % (wait * 250) * QL_NS_PER_MS;
    l->state = QL_LAG_WAITING;
    TAILQ_INSERT_TAIL(&t->waiting, l, queued);
    wake_at(t, l->due_ns);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct ql_told *t = arg;
    const int64_t now = ql_mono_ns();
    struct ql_lag *l, *next;
    const struct ql_lag *first;

    (void)fd;
    (void)what;
    for (l = TAILQ_FIRST(&t->waiting); l; l = next) {
        next = TAILQ_NEXT(l, queued);
        if (l->due_ns > now)
            continue;
        TAILQ_REMOVE(&t->waiting, l, queued);
        make_ready(l);
    }
    first = TAILQ_FIRST(&t->waiting);
    TAILQ_FOREACH(l, &t->waiting, queued)
        if (l->due_ns < first->due_ns)
            first = l;
    if (first)
        wake_at(t, first->due_ns);
}

/* ---- pump ---- */

static void start(struct ql_lag *l)
{
    struct ql_told *t = l->told;

    l->state = QL_LAG_FLYING;
    l->is_retry = l->failures > 0;
    t->flying++;
    t->retrying += l->is_retry ? 1 : 0;
    ql_lag_tell(l);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct ql_told *t = arg;

    (void)fd;
    (void)what;
    if (t->verifier->is_stopping || !ql_leases_lead(t->verifier))
        return;
    while (t->flying < QL_TELL_IN_FLIGHT) {
        struct ql_lag *l = TAILQ_FIRST(&t->ready);
        struct ql_lag_queue *from = &t->ready;

        if (!l && t->retrying < QL_TELL_AGAIN) {
            l = TAILQ_FIRST(&t->retry);
            from = &t->retry;
        }
        if (!l)
            return;
        TAILQ_REMOVE(from, l, queued);
        start(l);
    }
}

/* ---- new events ---- */

/* @return false: no memory */
static bool add_agent(struct ql_told *t, const char *id, struct ql_note *n)
{
    struct ql_lag *l = grow(t) ? calloc(1, sizeof *l) : NULL;

    if (!l) {
        ql_log(QL_ERROR, "revocation", "peer=%s: out of memory, not told", id);
        return false;
    }
    l->told = t;
    l->at = n;
    (void)snprintf(l->id, sizeof l->id, "%s", id); /* fits: an agent's id */
    *place(t, id) = l;
    t->count++;
    n->behind++;
    make_ready(l);
    return true;
}

void ql_told_add_from(struct ql_told *t, const char *id, struct ql_note *n, int64_t last)
{
    if (t->bucket_count && *place(t, id))
        return;
    while (n && n->row.seq <= last && (!n->for_agents || !concerns(n, id)))
        n = TAILQ_NEXT(n, next);
    if (!n || n->row.seq > last || !add_agent(t, id, n))
        return;
    for (n = TAILQ_NEXT(n, next); n; n = TAILQ_NEXT(n, next))
        if (n->for_agents)
            n->behind++;
}

/** New events. */
struct adding {
    struct ql_told *told;
    struct ql_note *first;
    int64_t last;
};

static void add_polled(struct ql_agent *a, void *arg)
{
    const struct adding *g = arg;

    a->told_seq = g->last;
    ql_told_add_from(g->told, a->id, g->first, g->last);
}

void ql_told_add(struct ql_told *t, struct ql_note *n)
{
    /* Those that wait for earlier ones get it after these; and it is pinned until all agents were looked up. */
    n->behind = t->count + 1;
    t->scan_wanted = n->row.seq;
    if (!t->first_new)
        t->first_new = n;
}

void ql_told_begin(struct ql_told *t)
{
    struct adding g = {t, t->first_new, t->scan_wanted};

    if (t->count > 0)
        at_once(t->pump); /* what had to wait while another verifier delivered */
    if (!t->first_new)
        return;
    t->first_new = NULL;
    ql_agents_visit(&t->verifier->agents, add_polled, &g);
    ql_told_look(t);
}

void ql_told_expire(struct ql_told *t)
{
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct ql_lag *l = t->buckets[b], *next; l; l = next) {
            next = l->chain;
            if (l->state == QL_LAG_FLYING || concerns(l->at, l->id))
                continue; /* what flies goes on when it lands */
            TAILQ_REMOVE(l->state == QL_LAG_WAITING ? &t->waiting
                         : l->failures > 0          ? &t->retry
                                                    : &t->ready,
                         l, queued);
            if (step_over(l, false))
                make_ready(l);
            else
                remove_lag(l);
        }
}

json_t *ql_told_pending(const struct ql_told *t, const struct ql_note *n)
{
    ql_auto_json json_t *list = json_array();

    if (n->behind > QL_NOTE_LISTED_MAX || (t->scanned < n->row.seq))
        return json_true();
    for (size_t b = 0; list && b < t->bucket_count; b++)
        for (const struct ql_lag *l = t->buckets[b]; l; l = l->chain)
            if (l->at->row.seq <= n->row.seq && concerns(n, l->id) &&
                json_array_append_new(list, json_string(l->id)) != 0)
                return NULL;
    return ql_steal(list);
}

int ql_told_new(struct ql_verifier *v, struct ql_outbox_runner *o, struct ql_told **ret, struct ql_err *err)
{
    struct ql_told *t = calloc(1, sizeof *t);

    if (!t)
        return ql_fail_nomem(err);
    t->verifier = v;
    t->runner = o;
    TAILQ_INIT(&t->ready);
    TAILQ_INIT(&t->retry);
    TAILQ_INIT(&t->waiting);
    t->pump = evtimer_new(v->base, on_pump, t);
    t->wake = evtimer_new(v->base, on_wake, t);
    t->rescan = evtimer_new(v->base, ql_told_on_rescan, t);
    if (!t->pump || !t->wake || !t->rescan) {
        ql_told_free(t);
        return ql_fail_nomem(err);
    }
    *ret = t;
    return QL_OK;
}

void ql_told_free(struct ql_told *t)
{
    if (!t)
        return;
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct ql_lag *l = t->buckets[b], *next; l; l = next) {
            next = l->chain;
            if (l->peer)
                ql_peer_free(l->peer); /* its callback sees that the verifier is closing */
            free(l);
        }
    free(t->buckets);
    if (t->pump)
        event_free(t->pump);
    if (t->wake)
        event_free(t->wake);
    if (t->rescan)
        event_free(t->rescan);
    free(t);
}
