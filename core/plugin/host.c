/* SPDX-License-Identifier: Apache-2.0 */
/* The function table that a plugin gets: log, time, memory under an allowance. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "internal.h"
#include "log.h"
#include "lua_call.h"

/** Before every block: whose it is. Keeps the alignment of malloc. */
struct block {
    struct ql_plugin_host *owner;
    size_t len; /* with this header */
} __attribute__((aligned(16)));

static struct ql_plugin_host *of(const struct ql_host *h)
{
    return (struct ql_plugin_host *)(uintptr_t)h;
}

static void host_log(const struct ql_host *h, uint32_t level, const char *text)
{
    /* A level from a newer header is not to be lost among the debug lines. */
    enum ql_log_level to = level <= QL_LOG_DEBUG ? (enum ql_log_level)level : QL_ERROR;
    size_t len = text ? strnlen(text, QL_PLUGIN_LOG_MAX) : 0;

    while (len == QL_PLUGIN_LOG_MAX && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--; /* no half characters */
    ql_log(to, "plugin", "%s: %.*s", of(h)->name, (int)len, text ? text : "");
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
    return of(h)->registry->deadline_ns;
}

static bool take(struct ql_plugin_host *h, size_t len)
{
    size_t used = atomic_load(&h->used);

    do {
        if (len > h->limit - used)
            return false;
    } while (!atomic_compare_exchange_weak(&h->used, &used, used + len));
    return true;
}

static void *host_realloc(const struct ql_host *table, void *p, size_t len)
{
    struct ql_plugin_host *h = of(table);
    struct block *old = p ? (struct block *)p - 1 : NULL, *b;
    size_t old_len = old ? old->len : 0;

    if (len > SIZE_MAX - sizeof *b || !take(h, len + sizeof *b))
        return NULL;
    b = realloc(old, len + sizeof *b);
    if (!b) {
        atomic_fetch_sub(&h->used, len + sizeof *b);
        return NULL;
    }
    atomic_fetch_sub(&h->used, old_len);
    *b = (struct block){h, len + sizeof *b};
    return b + 1;
}

static void *host_alloc(const struct ql_host *h, size_t len)
{
    return host_realloc(h, NULL, len);
}

void ql_plugin_memory_free(void *p)
{
    struct block *b = p ? (struct block *)p - 1 : NULL;

    if (!b)
        return;
    atomic_fetch_sub(&b->owner->used, b->len);
    free(b);
}

static void host_free(const struct ql_host *h, void *p)
{
    (void)h;
    ql_plugin_memory_free(p);
}

__attribute__((format(printf, 3, 4))) static int host_fail(struct ql_err *err, int32_t code, const char *fmt,
                                                           ...)
{
    size_t room;
    va_list ap;

    /* Whatever the plugin passes, what it calls a failure is one. */
    if (code >= 0)
        code = QL_EINTERNAL;
    if (!err)
        return code;
    /* An err of the plugin's own may be of an older, shorter layout. */
    room = err->size > offsetof(struct ql_err, text) && err->size < sizeof *err
               ? err->size - offsetof(struct ql_err, text)
               : sizeof err->text;
    err->code = code;
    va_start(ap, fmt);
    if (vsnprintf(err->text, room, fmt, ap) < 0)
        err->text[0] = '\0';
    va_end(ap);
    for (unsigned char *c = (unsigned char *)err->text; *c != '\0'; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    return code;
}

void ql_plugin_host_init(struct ql_plugin_host *h, const struct ql_registry *r, const char *name,
                         size_t limit)
{
    h->table = (struct ql_host){
        .size = sizeof h->table,
        .abi_minor = QL_ABI_MINOR,
        .log = host_log,
        .now_ns = host_now,
        .mono_ns = host_mono,
        .deadline_ns = host_deadline,
        .alloc = host_alloc,
        .realloc = host_realloc,
        .free = host_free,
        .fail = host_fail,
    };
    ql_lua_slots(&h->table);
    h->registry = r;
    h->limit = limit;
    snprintf(h->name, sizeof h->name, "%s", name);
}

int ql_host_new(const struct ql_registry *r, const char *name, size_t limit, const struct ql_host **ret,
                struct ql_err *err)
{
    struct ql_plugin_host *h = calloc(1, sizeof *h);

    if (!h)
        return ql_fail_nomem(err);
    ql_plugin_host_init(h, r, name, limit);
    *ret = &h->table;
    return QL_OK;
}

void ql_host_free(const struct ql_host *h)
{
    free((struct ql_plugin_host *)(uintptr_t)h);
}
