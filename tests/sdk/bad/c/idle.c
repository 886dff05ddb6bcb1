/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is wrong with this one. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("idle");

QL_PLUGIN(.name = "idle", .version = "1.0", .license = "Apache-2.0", .summary = "does nothing",
          .components = ONE_COMPONENT(validator));
