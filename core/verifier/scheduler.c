/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When agents are polled. Each is polled on a grid of its own, which began with its first poll; first polls are begun
 * in order, spread over the interval and no faster than the loop keeps up. The grids have common ticks, so that one
 * wake-up of the loop, the workers and the store serves all agents of a tick; were they spread evenly, each poll would
 * wake sleeping processes with cold caches.
 */
#include <malloc.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "verifier.h"

enum {
    TICKS = 10,        /* in an interval, at least */
    TICK_MAX_MS = 100, /* then there are more of them */
    START_MS = 10,     /* a tick of the start queue */
    LATE_MS = 20,      /* a tick later than this: the loop is busy, begin one poll only */
    STUCK_S = 3600,    /* something that is under way for so long beyond all deadlines was forgotten */
};

int64_t ql_next_due(int64_t due_ns, int64_t interval_ns, int64_t now_ns)
{
    if (interval_ns <= 0 || due_ns <= 0)
        return now_ns + interval_ns;
    due_ns += interval_ns;
    if (due_ns <= now_ns)
        due_ns += ((now_ns - due_ns) / interval_ns + 1) * interval_ns;
    return due_ns;
}

int64_t ql_tick_of(int64_t due_ns, int64_t interval_ns)
{
    int64_t longest = TICK_MAX_MS * QL_NS_PER_MS;
    int64_t ticks = interval_ns / longest < TICKS ? TICKS : interval_ns / longest;
    int64_t tick = interval_ns / ticks;

    return tick > 0 ? (due_ns + tick / 2) / tick * tick : due_ns;
}

static void set_timer(struct ql_agent *a, int64_t due_ns)
{
    int64_t wait = due_ns - ql_mono_ns();
    const struct timeval tv = ql_timeval(wait);

    a->due_ns = due_ns;
    if (evtimer_add(a->timer, &tv) != 0)
        ql_log(QL_ERROR, "schedule", "agent=%s: no memory for a timer; the watchdog tries again", a->id);
}

void ql_schedule_cancel(struct ql_agent *a)
{
    if (a->is_starting) {
        TAILQ_REMOVE(&a->verifier->start_queue, a, starting);
        a->is_starting = false;
    }
    (void)evtimer_del(a->timer); /* not pending: nothing to do */
}

void ql_schedule_after(struct ql_agent *a, int64_t ms)
{
    if (a->verifier->is_stopping)
        return;
    ql_schedule_cancel(a);
    set_timer(a, ql_mono_ns() + ms * QL_NS_PER_MS);
}

void ql_schedule_next(struct ql_agent *a)
{
    int64_t interval = a->verifier->poll.interval_ms * QL_NS_PER_MS;

    if (a->verifier->is_stopping)
        return;
    ql_schedule_cancel(a);
    set_timer(a, ql_tick_of(ql_next_due(a->due_ns, interval, ql_mono_ns()), interval));
}

void ql_schedule_due(struct ql_agent *a)
{
    int64_t interval = a->verifier->poll.interval_ms * QL_NS_PER_MS;

    if (ql_breath_is_short(&a->verifier->breath) && interval > 0 && a->due_ns / interval % 2 != 0)
        ql_schedule_next(a);
    else
        ql_poll(a);
}

static void set_start_timer(struct ql_verifier *v, int64_t now_ns)
{
    const struct timeval tick = ql_timeval(START_MS * QL_NS_PER_MS);

    v->start_due_ns = now_ns + START_MS * QL_NS_PER_MS;
    if (evtimer_add(v->start_timer, &tick) != 0)
        ql_log(QL_ERROR, "schedule", "no memory for a timer; the watchdog tries again");
}

void ql_schedule_start(struct ql_agent *a)
{
    struct ql_verifier *v = a->verifier;

    if (v->is_stopping)
        return;
    ql_schedule_cancel(a);
    a->is_starting = true;
    TAILQ_INSERT_TAIL(&v->start_queue, a, starting);
    v->start_count++;
    if (!evtimer_pending(v->start_timer, NULL))
        set_start_timer(v, ql_mono_ns());
}

/* Polls to begin in a tick so that all in the queue are spread over one interval, within start_rate. */
static size_t per_tick(const struct ql_verifier *v)
{
    int64_t rate = ql_config_int(v->config, "verifier", "start_rate");
    int64_t interval = v->poll.interval_ms > 0 ? v->poll.interval_ms : 1;
    int64_t spread = (int64_t)v->start_count * START_MS / interval + 1;
    int64_t most = rate * START_MS / 1000 + 1;

    return (size_t)(spread < most ? spread : most);
}

static void on_start_tick(evutil_socket_t fd, short what, void *arg)
{
    struct ql_verifier *v = arg;
    int64_t now = ql_mono_ns();
    size_t count = now - v->start_due_ns > LATE_MS * QL_NS_PER_MS ? 1 : per_tick(v);

    (void)fd;
    (void)what;
    while (count-- > 0 && !TAILQ_EMPTY(&v->start_queue)) {
        struct ql_agent *a = TAILQ_FIRST(&v->start_queue);

        ql_schedule_cancel(a);
        a->due_ns = now;
        ql_poll(a);
    }
    if (TAILQ_EMPTY(&v->start_queue))
        v->start_count = 0;
    else
        set_start_timer(v, now);
}

/* No agent may be in a polled state with nothing that will poll it. */
static void watch_agent(struct ql_agent *a, void *arg)
{
    int64_t *now = arg;

    if (a->is_deleting || a->is_starting || evtimer_pending(a->timer, NULL))
        return;
    if (a->op && *now - a->op->started_ns < STUCK_S * QL_NS_PER_S)
        return;
    ql_log(QL_ERROR, "schedule", "agent=%s state=%lld: forgotten%s%s, polled again", a->id,
           (long long)a->state, a->op ? " during: " : "", a->op ? a->op->what : "");
    ql_agent_halt(a);
    ql_schedule_after(a, 0);
}

/*
 * Large answers arrive in small pieces among other small blocks, so the C library finds no end of the heap to give back,
 * and must look everywhere. That takes a moment: it is done when no more of them have come for a while.
 */
static void give_memory_back(struct ql_verifier *v)
{
#ifdef __GLIBC__
    if (v->keeps_memory && v->large_answers == 0)
        (void)malloc_trim(0); /* whether there was something to give back does not matter */
#endif
    v->keeps_memory = v->large_answers > 0;
    v->large_answers = 0;
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    struct ql_verifier *v = arg;
    int64_t now = ql_mono_ns();

    (void)fd;
    (void)what;
    ql_agents_visit(&v->agents, watch_agent, &now);
    give_memory_back(v);
    if (!TAILQ_EMPTY(&v->start_queue) && !evtimer_pending(v->start_timer, NULL))
        set_start_timer(v, now);
}

int ql_scheduler_init(struct ql_verifier *v, struct ql_err *err)
{
    static const struct timeval every = {.tv_sec = QL_WATCHDOG_S};

    TAILQ_INIT(&v->start_queue);
    v->start_timer = evtimer_new(v->base, on_start_tick, v);
    v->watchdog = event_new(v->base, -1, EV_PERSIST, on_watchdog, v);
    if (!v->start_timer || !v->watchdog || event_add(v->watchdog, &every) != 0)
        return ql_fail(err, QL_EINTERNAL, "timers cannot be set up");
    return ql_breath_init(&v->breath, v->base, err);
}

static void cancel(struct ql_agent *a, void *arg)
{
    (void)arg;
    ql_schedule_cancel(a);
}

void ql_scheduler_stop(struct ql_verifier *v)
{
    ql_agents_visit(&v->agents, cancel, NULL);
    if (v->start_timer)
        (void)evtimer_del(v->start_timer); /* not pending: nothing to do */
    if (v->watchdog)
        (void)event_del(v->watchdog);
}
