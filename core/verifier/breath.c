/* SPDX-License-Identifier: Apache-2.0 */
#include "breath.h"

#include "log.h"
#include "loop.h"

enum {
    BEAT_MS = 500,
    SHORT_BEATS = 4,
    TOLD_EACH = 120 /* beats between two log lines */
};

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    struct ql_breath *b = arg;

    (void)fd;
    (void)what;
    b->beats = 0;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct ql_breath *b = arg;

    (void)fd;
    (void)what;
    if (b->beats++ % TOLD_EACH == SHORT_BEATS)
        ql_log(QL_WARN, "schedule",
               "too much to do: every second poll is left out, so that the API can be reached");
    event_active(b->idle, EV_TIMEOUT, 0);
}

int ql_breath_init(struct ql_breath *b, struct event_base *base, struct ql_err *err)
{
    static const struct timeval each = {.tv_usec = BEAT_MS * 1000};

    b->beat = event_new(base, -1, EV_PERSIST, on_beat, b);
    b->idle = event_new(base, -1, 0, on_idle, b);
    if (b->idle)
        ql_loop_set_priority(b->idle, QL_PRIORITY_IDLE);
    if (!b->beat || !b->idle || event_add(b->beat, &each) != 0)
        return ql_fail(err, QL_EINTERNAL, "timers cannot be set up");
    return QL_OK;
}

void ql_breath_done(struct ql_breath *b)
{
    if (b->beat)
        event_free(b->beat);
    if (b->idle)
        event_free(b->idle);
    b->beat = b->idle = NULL;
}

bool ql_breath_is_short(const struct ql_breath *b)
{
    return b->beats >= SHORT_BEATS;
}
