/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <unistd.h>

#include "helpers.h"
#include "offload.h"

enum {
    COUNT = 500
};

struct job {
    unsigned number;
    pthread_t worked_on;
};

static unsigned worked[COUNT], finished[COUNT];
static unsigned worked_count, finished_count;
static pthread_t loop_thread;
static struct event_base *loop;

static void work(void *arg)
{
    struct job *j = arg;

    j->worked_on = pthread_self();
    worked[worked_count++] = j->number; /* read by the loop after the task has come back */
}

static void done(void *arg)
{
    const struct job *j = arg;

    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_false(pthread_equal(j->worked_on, loop_thread));
    finished[finished_count++] = j->number;
    if (finished_count == COUNT)
        (void)event_base_loopbreak(loop);
}

static struct ql_offload *start(void)
{
    struct ql_offload *o = NULL;

    worked_count = finished_count = 0;
    loop_thread = pthread_self();
    loop = event_base_new();
    assert_non_null(loop);
    assert_int_equal(ql_offload_new(loop, &o, NULL), QL_OK);
    return o;
}

static void submit_all(struct ql_offload *o, struct job *jobs)
{
    for (unsigned i = 0; i < COUNT; i++) {
        jobs[i].number = i;
        assert_int_equal(ql_offload_submit(o, work, done, &jobs[i], NULL), QL_OK);
    }
}

static void expect_order(void)
{
    assert_int_equal(worked_count, COUNT);
    assert_int_equal(finished_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(worked[i], i);
        assert_int_equal(finished[i], i);
    }
}

static void tasks_run_in_order_on_the_helper_and_come_back_on_the_loop(void **state)
{
    static struct job jobs[COUNT];
    struct ql_offload *o = start();
    const struct timeval limit = {.tv_sec = 20};

    (void)state;
    submit_all(o, jobs);
    assert_int_equal(finished_count, 0); /* never from inside */
    (void)event_base_loopexit(loop, &limit);
    (void)event_base_dispatch(loop);
    expect_order();
    ql_offload_free(o);
    event_base_free(loop);
}

static void tasks_that_wait_are_finished_before_the_end(void **state)
{
    static struct job jobs[COUNT];
    struct ql_offload *o = start();

    (void)state;
    submit_all(o, jobs);
    ql_offload_free(o);
    expect_order();
    event_base_free(loop);
}

static void an_idle_helper_ends_at_once(void **state)
{
    struct ql_offload *o = start();

    (void)state;
    ql_offload_free(o);
    ql_offload_free(NULL);
    event_base_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order_on_the_helper_and_come_back_on_the_loop),
        cmocka_unit_test(tasks_that_wait_are_finished_before_the_end),
        cmocka_unit_test(an_idle_helper_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
