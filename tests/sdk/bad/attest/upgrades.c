/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: reads state of its layout 1 and 2, and adds an "x" at each quote. */
#include <string.h>

#include <quicklime/validator.h>

static const struct ql_host *services;

static int start(const struct ql_host *host, const struct ql_options *options, void **plugin,
                 struct ql_err *err)
{
    (void)options, (void)plugin, (void)err;
    services = host;
    return QL_OK;
}

static int prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                   size_t *ret_size, struct ql_err *err)
{
    (void)plugin, (void)policy, (void)len, (void)origin, (void)err;
    *ret = NULL;
    *ret_size = 0;
    return QL_OK;
}

static void release(void *plugin, void *compiled)
{
    (void)plugin, (void)compiled;
}

static int needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin, (void)compiled, (void)ret, (void)err;
    return QL_OK;
}

/* Bytes before and after the old ones. */
static int longer(const char *before, const struct ql_state *old, const char *after, struct ql_state *ret,
                  struct ql_err *err)
{
    const size_t head = strlen(before), tail = strlen(after);
    char *data = services->alloc(services, head + old->len + tail);

    if (!data)
        return services->fail(err, QL_ENOMEM, "out of memory");
    memcpy(data, before, head);
    if (old->len > 0)
        memcpy(data + head, old->data, old->len);
    memcpy(data + head + old->len, after, tail);
    ret->version = 2;
    ret->data = (const uint8_t *)data;
    ret->len = head + old->len + tail;
    ret->changed = 1;
    return QL_OK;
}

static int upgrade_state(void *plugin, const struct ql_state *old, struct ql_state *ret, struct ql_err *err)
{
    (void)plugin;
    if (old->version == 2)
        return QL_OK; /* as it is */
    if (old->version == 1)
        return longer("two:", old, "", ret, err);
    return services->fail(err, QL_EUNSUPPORTED, "state of version %u", old->version);
}

static int validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                    const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                    struct ql_err *err)
{
    (void)plugin, (void)attest, (void)compiled, (void)report;
    return longer("", in, "x", out, err);
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "upgrades"},
    .prepare = prepare,
    .release = release,
    .needs = needs,
    .validate = validate,
    .upgrade_state = upgrade_state,
};

QL_PLUGIN(.name = "upgrades", .version = "2.0", .license = "Apache-2.0", .summary = "has kept state for long",
          .init = start, .components = ((const struct ql_component *const[]){&validator.head, NULL}));
