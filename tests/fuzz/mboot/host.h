/* SPDX-License-Identifier: Apache-2.0 */
/** @file host.h  A host for the fuzz targets of measured boot. */
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quicklime/plugin.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline void *host_alloc(const struct ql_host *h, size_t len)
{
    (void)h;
    return malloc(len);
}

static inline void *host_realloc(const struct ql_host *h, void *p, size_t len)
{
    (void)h;
    return realloc(p, len);
}

static inline void host_free(const struct ql_host *h, void *p)
{
    (void)h;
    free(p);
}

static inline int __attribute__((format(printf, 3, 4)))
host_fail(struct ql_err *err, int32_t code, const char *fmt, ...)
{
    va_list ap;

    if (err) {
        va_start(ap, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

static const struct ql_host fuzz_host = {
    .size = sizeof fuzz_host,
    .alloc = host_alloc,
    .realloc = host_realloc,
    .free = host_free,
    .fail = host_fail,
};

/** What must hold. */
static inline void must(int holds)
{
    if (!holds)
        abort();
}
