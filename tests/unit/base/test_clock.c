/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

static void rfc3339_is_utc_with_milliseconds(void **state)
{
    char out[32];

    (void)state;
    assert_string_equal(ql_time_rfc3339(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(ql_time_rfc3339(INT64_C(1767323045678999999), out), "2026-01-02T03:04:05.678Z");
    assert_string_equal(ql_time_rfc3339(-1, out), "1969-12-31T23:59:59.999Z");
    assert_string_equal(ql_time_rfc3339(INT64_MAX, out), "2262-04-11T23:47:16.854Z");
    assert_string_equal(ql_time_rfc3339(INT64_MIN, out), "1677-09-21T00:12:43.145Z");
}

static void a_wait_becomes_whole_microseconds_and_never_a_negative_time(void **state)
{
    struct timeval tv = ql_timeval(2 * QL_NS_PER_S + 345 * QL_NS_PER_MS + 678901);

    (void)state;
    assert_int_equal(tv.tv_sec, 2);
    assert_int_equal(tv.tv_usec, 345678);
    tv = ql_timeval(-1);
    assert_true(tv.tv_sec == 0 && tv.tv_usec == 0);
    tv = ql_timeval(INT64_MIN);
    assert_true(tv.tv_sec == 0 && tv.tv_usec == 0);
    tv = ql_timeval(INT64_MAX);
    assert_int_equal(tv.tv_sec, INT64_MAX / QL_NS_PER_S);
    assert_int_equal(tv.tv_usec, INT64_MAX % QL_NS_PER_S / 1000);
}

static void asctime_is_local_time_in_the_form_of_c(void **state)
{
    time_t now = time(NULL);
    char out[32], expected[32];

    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    assert_string_equal(ql_time_asctime(INT64_C(1767323045) * QL_NS_PER_S, out), "Fri Jan  2 03:04:05 2026");
    assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
    tzset();
    assert_string_equal(ql_time_asctime(INT64_C(1767323045) * QL_NS_PER_S, out), "Fri Jan  2 08:34:05 2026");
    ctime_r(&now, expected);
    expected[strcspn(expected, "\n")] = '\0';
    assert_string_equal(ql_time_asctime((int64_t)now * QL_NS_PER_S, out), expected);
}

static void clocks_move_forward(void **state)
{
    int64_t mono = ql_mono_ns(), boot = ql_boot_ns(), now = ql_now_ns();

    (void)state;
    assert_true(mono > 0 && boot >= mono);
    assert_true(now / QL_NS_PER_S >= (int64_t)time(NULL) - 1);
    assert_true(ql_mono_ns() >= mono);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_is_utc_with_milliseconds),
        cmocka_unit_test(a_wait_becomes_whole_microseconds_and_never_a_negative_time),
        cmocka_unit_test(asctime_is_local_time_in_the_form_of_c),
        cmocka_unit_test(clocks_move_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
