/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "clock.h"

enum {
    TEXT_ROOM = 32
};

static int64_t read_clock(clockid_t id)
{
    struct timespec t = {0};

    (void)clock_gettime(id, &t); /* cannot fail for the three clocks below */
    return (int64_t)t.tv_sec * QL_NS_PER_S + t.tv_nsec;
}

int64_t ql_now_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t ql_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t ql_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

/* Seconds rounded down, so that stamps before 1970 keep a positive rest. */
static time_t seconds_of(int64_t ns, int64_t *rest)
{
    int64_t s = ns / QL_NS_PER_S;

    *rest = ns % QL_NS_PER_S;
    if (*rest < 0) {
        *rest += QL_NS_PER_S;
        s--;
    }
    return (time_t)s;
}

char *ql_time_rfc3339(int64_t ns, char *out)
{
    struct tm tm = {0};
    int64_t rest;
    time_t s = seconds_of(ns, &rest);

    (void)gmtime_r(&s, &tm); /* int64_t ns reach years 1677 to 2262 only */
    if (snprintf(out, TEXT_ROOM, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(rest / QL_NS_PER_MS)) >= TEXT_ROOM)
        out[0] = '\0';
    return out;
}

char *ql_time_asctime(int64_t ns, char *out)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = {0};
    int64_t rest;
    time_t s = seconds_of(ns, &rest);

    (void)localtime_r(&s, &tm); /* as above */
    if (snprintf(out, TEXT_ROOM, "%s %s %2d %02d:%02d:%02d %d", days[tm.tm_wday], months[tm.tm_mon],
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900) >= TEXT_ROOM)
        out[0] = '\0';
    return out;
}
