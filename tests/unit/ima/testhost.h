/* SPDX-License-Identifier: Apache-2.0 */
/** @file testhost.h  The services of a host, over the C library, for tests of a plugin's parts. */
#pragma once
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <quicklime/plugin.h>

static int64_t host_mono(const struct ql_host *h)
{
    struct timespec t;

    (void)h;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t host_never(const struct ql_host *h)
{
    (void)h;
    return INT64_MAX;
}

static void host_log(const struct ql_host *h, uint32_t level, const char *text)
{
    (void)h;
    fprintf(stderr, "%u: %s\n", level, text);
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
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return code;
}

static const struct ql_host test_host = {.size = sizeof test_host,
                                         .abi_minor = QL_ABI_MINOR,
                                         .log = host_log,
                                         .now_ns = host_mono,
                                         .mono_ns = host_mono,
                                         .deadline_ns = host_never,
                                         .alloc = host_alloc,
                                         .realloc = host_realloc,
                                         .free = host_free,
                                         .fail = host_fail};
