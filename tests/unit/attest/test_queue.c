/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock.h"
#include "queue.h"

#define MS QL_NS_PER_MS

static struct ql_job job(int home, bool large, int64_t queued_ms)
{
    return (struct ql_job){.home = home, .large = large, .queued_ns = queued_ms * MS};
}

static void jobs_go_to_their_own_worker_first(void **state)
{
    struct ql_queue q;
    struct ql_job mine = job(0, false, 10), theirs = job(1, false, 5), nobodys = job(-1, false, 7);

    (void)state;
    assert_int_equal(ql_queue_new(2, false, &q, NULL), QL_OK);
    ql_queue_put(&q, &mine);
    ql_queue_put(&q, &theirs);
    ql_queue_put(&q, &nobodys);
    assert_int_equal(q.waiting, 3);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 20 * MS), &nobodys);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 20 * MS), &mine);
    assert_null(ql_queue_take(&q, 0, true, 20 * MS));
    assert_ptr_equal(ql_queue_take(&q, 1, true, 20 * MS), &theirs);
    assert_int_equal(q.waiting, 0);
    ql_queue_done(&q);
}

static void affinity_is_given_up_after_100_ms(void **state)
{
    struct ql_queue q;
    struct ql_job old = job(1, false, 0), older = job(2, false, -5);

    (void)state;
    assert_int_equal(ql_queue_new(3, false, &q, NULL), QL_OK);
    ql_queue_put(&q, &old);
    ql_queue_put(&q, &older);
    assert_null(ql_queue_take(&q, 0, true, 94 * MS));
    assert_ptr_equal(ql_queue_take(&q, 0, true, 95 * MS), &older);
    assert_null(ql_queue_take(&q, 0, true, 99 * MS));
    assert_ptr_equal(ql_queue_take(&q, 0, true, 100 * MS), &old);
    ql_queue_done(&q);
}

static void tied_jobs_wait_for_their_own_worker_for_ever(void **state)
{
    struct ql_queue q;
    struct ql_job theirs = job(1, false, 0);

    (void)state;
    assert_int_equal(ql_queue_new(2, true, &q, NULL), QL_OK);
    ql_queue_put(&q, &theirs);
    assert_null(ql_queue_take(&q, 0, true, 1000000 * MS));
    assert_ptr_equal(ql_queue_take(&q, 1, true, 0), &theirs);
    ql_queue_done(&q);
}

static void small_jobs_go_first_but_not_for_ever(void **state)
{
    struct ql_queue q;
    struct ql_job large = job(-1, true, 0), small = job(-1, false, 3000), late = job(-1, false, 4000);

    (void)state;
    assert_int_equal(ql_queue_new(1, false, &q, NULL), QL_OK);
    ql_queue_put(&q, &large);
    ql_queue_put(&q, &small);
    ql_queue_put(&q, &late);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 4999 * MS), &small);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 5000 * MS), &large);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 5000 * MS), &late);
    ql_queue_done(&q);
}

static void large_jobs_wait_while_enough_of_them_run(void **state)
{
    struct ql_queue q;
    struct ql_job large = job(-1, true, 0);

    (void)state;
    assert_int_equal(ql_queue_new(1, false, &q, NULL), QL_OK);
    ql_queue_put(&q, &large);
    assert_null(ql_queue_take(&q, 0, false, 1000000 * MS));
    assert_ptr_equal(ql_queue_take(&q, 0, true, 0), &large);
    ql_queue_done(&q);
}

static void job_that_was_not_taken_is_the_next(void **state)
{
    struct ql_queue q;
    struct ql_job first = job(0, false, 0), second = job(0, false, 0);

    (void)state;
    assert_int_equal(ql_queue_new(1, false, &q, NULL), QL_OK);
    ql_queue_put(&q, &first);
    ql_queue_put(&q, &second);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 0), &first);
    ql_queue_put_back(&q, &first);
    assert_ptr_equal(ql_queue_take(&q, 0, true, 0), &first);
    assert_ptr_equal(ql_queue_take_any(&q), &second);
    assert_null(ql_queue_take_any(&q));
    ql_queue_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_go_to_their_own_worker_first),
        cmocka_unit_test(affinity_is_given_up_after_100_ms),
        cmocka_unit_test(tied_jobs_wait_for_their_own_worker_for_ever),
        cmocka_unit_test(small_jobs_go_first_but_not_for_ever),
        cmocka_unit_test(large_jobs_wait_while_enough_of_them_run),
        cmocka_unit_test(job_that_was_not_taken_is_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
