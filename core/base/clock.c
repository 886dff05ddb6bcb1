/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "clock.h"

enum {
    TIME_ROOM = 32
};

static int64_t read_clock(clockid_t id)
{
    struct timespec t = {0};

    (void)clock_gettime(id, &t); /* cannot fail for these clocks */
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

char *ql_time_rfc3339(int64_t ns, char *out)
{
    time_t s = (time_t)(ns / QL_NS_PER_S);
    int ms = (int)(ns % QL_NS_PER_S / QL_NS_PER_MS);
    struct tm tm = {0};

    if (!gmtime_r(&s, &tm) ||
        snprintf(out, TIME_ROOM, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms) >= TIME_ROOM)
        out[0] = '\0';
    return out;
}

char *ql_time_asctime(int64_t ns, char *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t s = (time_t)(ns / QL_NS_PER_S);
    struct tm tm = {0};

    /* Names are written out here: the C library's follow the locale. */
    if (!localtime_r(&s, &tm) ||
        snprintf(out, TIME_ROOM, "%s %s %2d %02d:%02d:%02d %d", days[tm.tm_wday % 7], months[tm.tm_mon % 12],
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900) >= TIME_ROOM)
        out[0] = '\0';
    return out;
}
