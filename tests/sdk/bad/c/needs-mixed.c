/* SPDX-License-Identifier: Apache-2.0 */
/* The items of its needs do not say the same size. */
#include "fixture.h"

static int mixed_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    static const struct ql_need items[] = {
        {.size = sizeof(struct ql_need), .evidence = "one", .bound = QL_BOUND_NONCE},
        {.size = sizeof(struct ql_need) + 8, .evidence = "two", .bound = QL_BOUND_NONCE},
    };

    (void)plugin, (void)compiled, (void)err;
    ret->items = items;
    ret->item_count = 2;
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "needs-mixed"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = mixed_needs,
    .validate = idle_validate};

QL_PLUGIN(.name = "needs-mixed", .version = "1.0", .license = "Apache-2.0", .summary = "needs odd things",
          .components = ONE_COMPONENT(validator));
