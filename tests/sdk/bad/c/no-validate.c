/* SPDX-License-Identifier: Apache-2.0 */
/* A validator that cannot judge. */
#include "fixture.h"

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "no-validate"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = idle_needs};

QL_PLUGIN(.name = "no-validate", .version = "1.0", .license = "Apache-2.0", .summary = "has no validate",
          .components = ONE_COMPONENT(validator));
