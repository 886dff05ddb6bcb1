/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: takes memory from the host until there is no more, gives it back, hands one block out as state. */
#include "fixture.h"

static const struct ql_host *host;

static int start(const struct ql_host *h, const struct ql_options *o, void **plugin, struct ql_err *err)
{
    (void)o, (void)plugin, (void)err;
    host = h;
    return QL_OK;
}

static int hoard(void *plugin, const struct ql_attest *attest, const void *compiled,
                 const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                 struct ql_err *err)
{
    void *blocks[64];
    size_t count = 0;
    uint8_t *kept;

    (void)plugin, (void)attest, (void)compiled, (void)in, (void)report;
    while (count < 64 && (blocks[count] = host->alloc(host, 65536)) != NULL)
        count++;
    for (size_t i = 0; i < count; i++)
        host->free(host, blocks[i]);
    kept = host->alloc(host, 1);
    kept = kept ? host->realloc(host, kept, 4) : NULL;
    if (!kept)
        return host->fail(err, QL_ENOMEM, "nothing left");
    kept[0] = (uint8_t)count;
    out->data = kept;
    out->len = 4;
    out->changed = 1;
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "memory"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = idle_needs,
    .validate = hoard};

QL_PLUGIN(.name = "memory", .version = "1.0", .license = "Apache-2.0", .summary = "takes what it can get",
          .init = start, .components = ONE_COMPONENT(validator));
