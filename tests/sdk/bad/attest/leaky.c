/* SPDX-License-Identifier: Apache-2.0 */
/* Remembers the first agent that it sees and fails every other: what no validator may do. */
#include <quicklime/validator.h>

static int leaky_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                         size_t *ret_size, struct ql_err *err)
{
    (void)plugin, (void)policy, (void)len, (void)origin, (void)err;
    *ret = NULL;
    *ret_size = 0;
    return QL_OK;
}

static void leaky_release(void *plugin, void *compiled)
{
    (void)plugin, (void)compiled;
}

static int leaky_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin, (void)compiled, (void)err;
    ret->pcr_mask = 0;
    ret->items = NULL;
    ret->item_count = 0;
    return QL_OK;
}

static int leaky_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                          const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                          struct ql_err *err)
{
    static unsigned seen;

    (void)plugin, (void)attest, (void)compiled, (void)in, (void)out, (void)err;
    if (seen++ > 0)
        report->fail(report, "leaky.second", NULL, 0, NULL);
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "leaky"},
    .prepare = leaky_prepare,
    .release = leaky_release,
    .needs = leaky_needs,
    .validate = leaky_validate,
};

QL_PLUGIN(.name = "leaky", .version = "1.0", .license = "Apache-2.0", .summary = "remembers agents",
          .components = ((const struct ql_component *const[]){&validator.head, NULL}));
