/* SPDX-License-Identifier: Apache-2.0 */
/** @file clock.h  Time: stamps are int64_t ns since the epoch, deadlines are monotonic ns. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#define QL_NS_PER_MS INT64_C(1000000)
#define QL_NS_PER_S  INT64_C(1000000000)

int64_t ql_now_ns(void);  /**< wall clock */
int64_t ql_mono_ns(void); /**< CLOCK_MONOTONIC */
int64_t ql_boot_ns(void); /**< CLOCK_BOOTTIME: goes on during suspend; leases use it */

/** A wait as timers take it, rounded down to microseconds; negative: none. */
static inline struct timeval ql_timeval(int64_t ns)
{
    const int64_t us = ns > 0 ? ns / 1000 : 0;

    return (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
}

/** RFC 3339 UTC with milliseconds, "2026-01-02T03:04:05.678Z". @p out has room for 32. @return out */
char *ql_time_rfc3339(int64_t ns, char *out);
/** C asctime form of local time without newline, "Sun Nov 22 22:02:57 2026". @p out has room for 32. @return out */
char *ql_time_asctime(int64_t ns, char *out);
