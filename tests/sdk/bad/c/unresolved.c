/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a function that nobody offers: found at loading, not in the middle of an attestation. */
#include "fixture.h"

void quicklime_internal_function(void);

static int call_it(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin, (void)compiled, (void)ret, (void)err;
    quicklime_internal_function();
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "unresolved"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = call_it,
    .validate = idle_validate};

QL_PLUGIN(.name = "unresolved", .version = "1.0", .license = "Apache-2.0", .summary = "misses a symbol",
          .components = ONE_COMPONENT(validator));
