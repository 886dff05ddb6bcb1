/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tpm_thread.h"

struct fixture {
    struct event_base *base;
    struct ql_tpm_thread *thread;
    atomic_int worked;
    atomic_bool hold;
    int told, told_ran;
    int expect;
    bool ended;
};

static void work(struct ql_tpm *tpm, void *arg)
{
    struct fixture *f = arg;

    assert_null(tpm);
    while (atomic_load(&f->hold))
        usleep(100);
    atomic_fetch_add(&f->worked, 1);
}

static void done(void *arg, bool ran)
{
    struct fixture *f = arg;

    f->told++;
    f->told_ran += ran;
    if (f->told == f->expect)
        event_base_loopbreak(f->base);
}

static int answer(struct ql_tpm **tpm, void *arg, struct ql_err *err)
{
    (void)tpm;
    (void)err;
    *(int *)arg = 42;
    return QL_EFULL;
}

static int at_end(struct ql_tpm **tpm, void *arg, struct ql_err *err)
{
    struct fixture *f = arg;

    (void)tpm;
    (void)err;
    f->ended = true;
    return QL_OK;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->base = event_base_new();
    assert_int_equal(ql_tpm_thread_new(f->base, &f->thread, NULL), QL_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ql_tpm_thread_free(f->thread);
    event_base_free(f->base);
    free(f);
    return 0;
}

static void work_is_done_on_the_thread_and_told_on_the_loop(void **state)
{
    struct fixture *f = *state;

    f->expect = 50;
    for (int i = 0; i < 50; i++)
        assert_int_equal(ql_tpm_thread_submit(f->thread, work, done, f, NULL), QL_OK);
    assert_int_equal(f->told, 0); /* nothing is told before the loop runs */
    event_base_dispatch(f->base);
    assert_int_equal(f->told, 50);
    assert_int_equal(f->told_ran, 50);
    assert_int_equal(atomic_load(&f->worked), 50);
}

static void the_queue_has_a_limit(void **state)
{
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    int queued = 0;

    atomic_store(&f->hold, true);
    while (queued <= QL_TPM_QUEUE_MAX + 1 && ql_tpm_thread_submit(f->thread, work, done, f, &err) == QL_OK)
        queued++;
    assert_in_range(queued, QL_TPM_QUEUE_MAX, QL_TPM_QUEUE_MAX + 1); /* one may have been taken already */
    assert_non_null(strstr(err.text, "64"));
    f->expect = queued;
    atomic_store(&f->hold, false);
    event_base_dispatch(f->base);
    assert_int_equal(f->told, queued);
}

static void a_synchronous_call_returns_its_result(void **state)
{
    struct fixture *f = *state;
    int value = 0;

    assert_int_equal(ql_tpm_thread_run(f->thread, answer, &value, NULL), QL_EFULL);
    assert_int_equal(value, 42);
}

static void ending_tells_every_item_whether_it_ran(void **state)
{
    struct fixture *f = *state;

    ql_tpm_thread_at_end(f->thread, at_end, f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ql_tpm_thread_submit(f->thread, work, done, f, NULL), QL_OK);
    ql_tpm_thread_free(f->thread);
    f->thread = NULL;
    assert_int_equal(f->told, 20);
    assert_int_equal(f->told_ran, atomic_load(&f->worked));
    assert_true(f->ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(work_is_done_on_the_thread_and_told_on_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(the_queue_has_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_synchronous_call_returns_its_result, setup, teardown),
        cmocka_unit_test_setup_teardown(ending_tells_every_item_whether_it_ran, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
