/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "toolhost.h"

static void host_log(const struct ql_host *h, uint32_t level, const char *text)
{
    (void)h;
    if (level <= QL_LOG_WARN)
        fprintf(stderr, "%s\n", text);
}

static int64_t host_now(const struct ql_host *h)
{
    (void)h;
    return ql_now_ns();
}

static int64_t host_mono(const struct ql_host *h)
{
    (void)h;
    return ql_mono_ns();
}

static int64_t host_deadline(const struct ql_host *h)
{
    (void)h;
    return INT64_MAX;
}

static void *host_alloc(const struct ql_host *h, size_t len)
{
    (void)h;
    return malloc(len);
}

static void *host_realloc(const struct ql_host *h, void *p, size_t len)
{
    (void)h;
    return realloc(p, len);
}

static void host_free(const struct ql_host *h, void *p)
{
    (void)h;
    free(p);
}

__attribute__((format(printf, 3, 4))) static int host_fail(struct ql_err *err, int32_t code, const char *fmt,
                                                           ...)
{
    va_list args;

    if (!err)
        return code;
    err->code = code;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args); /* too long: cut */
    va_end(args);
    return code;
}

const struct ql_host ql_tool_host = {.size = sizeof ql_tool_host,
                                     .abi_minor = QL_ABI_MINOR,
                                     .log = host_log,
                                     .now_ns = host_now,
                                     .mono_ns = host_mono,
                                     .deadline_ns = host_deadline,
                                     .alloc = host_alloc,
                                     .realloc = host_realloc,
                                     .free = host_free,
                                     .fail = host_fail};
