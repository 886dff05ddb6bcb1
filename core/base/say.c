/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"

void ql_say(const char *area, const char *level, const char *fmt, ...)
{
    int64_t now_ns = ql_now_ns();
    time_t now = (time_t)(now_ns / QL_NS_PER_S);
    struct tm tm;
    char stamp[32] = "";
    va_list ap;

    if (localtime_r(&now, &tm))
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm); /* fits: the form has a fixed length */
    printf("%s.%03d - %s - %s - ", stamp, (int)(now_ns / QL_NS_PER_MS % 1000), area, level);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}
