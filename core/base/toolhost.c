/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "error.h"
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

const struct ql_host ql_tool_host = {.size = sizeof ql_tool_host,
                                     .abi_minor = QL_ABI_MINOR,
                                     .log = host_log,
                                     .now_ns = host_now,
                                     .mono_ns = host_mono,
                                     .deadline_ns = host_deadline,
                                     .alloc = host_alloc,
                                     .realloc = host_realloc,
                                     .free = host_free,
                                     .fail = ql_fail};
