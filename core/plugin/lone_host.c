/* SPDX-License-Identifier: Apache-2.0 */
#include "lone_host.h"

#include "error.h"
#include "internal.h"

struct ql_lone_host {
    struct ql_registry *registry; /* empty: limits of Lua, and the deadline */
    struct ql_plugin_host host;
};

int ql_lone_host_new(const char *name, size_t memory, struct ql_lone_host **ret, struct ql_err *err)
{
    const struct ql_registry_config config = {.plugin_memory = memory};
    struct ql_lone_host *h = calloc(1, sizeof *h);
    int r = h ? ql_registry_new(&config, &h->registry, err) : ql_fail_nomem(err);

    if (r < 0) {
        free(h);
        return r;
    }
    ql_plugin_host_init(&h->host, h->registry, name, memory);
    *ret = h;
    return QL_OK;
}

void ql_lone_host_free(struct ql_lone_host *h)
{
    if (!h)
        return;
    ql_registry_free(h->registry);
    free(h);
}

const struct ql_host *ql_lone_host_table(const struct ql_lone_host *h)
{
    return &h->host.table;
}

size_t ql_lone_host_used(const struct ql_lone_host *h)
{
    return atomic_load(&((struct ql_lone_host *)(uintptr_t)h)->host.used);
}
