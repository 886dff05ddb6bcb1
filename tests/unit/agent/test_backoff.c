/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "backoff.h"

static void delays_double_up_to_the_limit_with_half_of_them_drawn(void **state)
{
    static const int64_t full[] = {1000, 2000, 4000, 5000, 5000};

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct ql_backoff b = {.initial_ms = 1000, .max_ms = 5000, .max_tries = 5};

        for (int i = 0; i < 5; i++) {
            int64_t delay = ql_backoff_next(&b, NULL);

            assert_true(delay >= full[i] / 2);
            assert_true(delay <= full[i]);
        }
        assert_int_equal(ql_backoff_next(&b, NULL), -1);
        assert_int_equal(ql_backoff_next(&b, "1"), -1);
    }
}

static void huge_limits_do_not_overflow(void **state)
{
    struct ql_backoff b = {.initial_ms = 86400000, .max_ms = 86400000, .max_tries = 1000000};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t delay = ql_backoff_next(&b, NULL);

        assert_true(delay >= 43200000 && delay <= 86400000);
    }
}

static void retry_after_is_obeyed_in_both_forms(void **state)
{
    const int64_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */

    (void)state;
    assert_int_equal(ql_retry_after_ms("0", now), 0);
    assert_int_equal(ql_retry_after_ms("120", now), 120000);
    assert_int_equal(ql_retry_after_ms("99999999999999999999", now), QL_RETRY_AFTER_MAX_S * 1000);
    assert_int_equal(ql_retry_after_ms("Sun, 06 Nov 1994 08:50:37 GMT", now), 60000);
    assert_int_equal(ql_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", now), 0);
    assert_int_equal(ql_retry_after_ms("Sat, 05 Nov 1994 08:49:37 GMT", now), 0);
    assert_int_equal(ql_retry_after_ms("Mon, 07 Nov 2094 08:49:37 GMT", now), QL_RETRY_AFTER_MAX_S * 1000);
}

static void a_retry_after_that_is_neither_is_ignored(void **state)
{
    static const char *const bad[] = {"",
                                      "-1",
                                      "1.5",
                                      "soon",
                                      "1 ",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 anF 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sunday, 06-Nov-94 08:49:37 GMT",
                                      "Sun, 0x Nov 1994 08:49:37 GMT"};
    struct ql_backoff b = {.initial_ms = 1000, .max_ms = 5000, .max_tries = 5};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ql_retry_after_ms(bad[i], 0), -1);
    assert_true(ql_backoff_next(&b, "soon") >= 500);
    assert_int_equal(ql_backoff_next(&b, "0"), 0);
}

static void only_answers_that_may_change_are_repeated(void **state)
{
    static const int yes[] = {408, 429, 500, 502, 503, 599},
                     no[] = {200, 301, 400, 401, 403, 404, 409, 600, 0};

    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(ql_backoff_status(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(ql_backoff_status(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_the_limit_with_half_of_them_drawn),
        cmocka_unit_test(huge_limits_do_not_overflow),
        cmocka_unit_test(retry_after_is_obeyed_in_both_forms),
        cmocka_unit_test(a_retry_after_that_is_neither_is_ignored),
        cmocka_unit_test(only_answers_that_may_change_are_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
