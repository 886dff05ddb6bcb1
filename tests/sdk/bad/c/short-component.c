/* SPDX-License-Identifier: Apache-2.0 */
/* A component that ends before its last required function. */
#include "fixture.h"

static const struct ql_validator validator = {.head = {.size = offsetof(struct ql_validator, validate),
                                                       .kind = QL_KIND_VALIDATOR,
                                                       .name = "short-component"},
                                              .prepare = idle_prepare,
                                              .release = idle_release,
                                              .needs = idle_needs};

QL_PLUGIN(.name = "short-component", .version = "1.0", .license = "Apache-2.0", .summary = "ends early",
          .components = ONE_COMPONENT(validator));
