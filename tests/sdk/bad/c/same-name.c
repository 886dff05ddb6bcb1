/* SPDX-License-Identifier: Apache-2.0 */
/* A second validator of a name that is taken. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("idle");

QL_PLUGIN(.name = "same-name", .version = "1.0", .license = "Apache-2.0", .summary = "takes another's name",
          .components = ONE_COMPONENT(validator));
