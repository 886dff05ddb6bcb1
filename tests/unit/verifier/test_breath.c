/* SPDX-License-Identifier: Apache-2.0 */
/* Does the loop find time for strangers? One that always has something else to do must notice that it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "breath.h"
#include "clock.h"
#include "loop.h"

static struct event *busy;
static bool is_busy;

/* Due again in each turn of the loop. */
static void on_busy(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval now = {0};

    (void)fd;
    (void)what;
    (void)arg;
    if (is_busy)
        evtimer_add(busy, &now);
}

static void turn(struct event_base *base, int64_t ms)
{
    const struct timeval tv = ql_timeval(ms * QL_NS_PER_MS);

    assert_int_equal(event_base_loopexit(base, &tv), 0);
    assert_int_equal(event_base_dispatch(base), 0);
}

static void a_loop_that_is_never_idle_is_short_of_breath(void **state)
{
    struct event_base *base = ql_loop_new(0);
    struct ql_breath b = {0};

    (void)state;
    assert_int_equal(ql_breath_init(&b, base, NULL), QL_OK);
    busy = event_new(base, -1, 0, on_busy, NULL);
    turn(base, 1100);
    assert_false(ql_breath_is_short(&b)); /* nothing to do */
    is_busy = true;
    event_active(busy, EV_TIMEOUT, 0); /* begins it */
    turn(base, 1000);
    assert_false(ql_breath_is_short(&b)); /* not for long */
    turn(base, 1700);
    assert_true(ql_breath_is_short(&b));
    is_busy = false;
    turn(base, 50);
    assert_false(ql_breath_is_short(&b));
    event_free(busy);
    ql_breath_done(&b);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_is_never_idle_is_short_of_breath),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
