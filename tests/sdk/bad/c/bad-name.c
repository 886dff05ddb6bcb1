/* SPDX-License-Identifier: Apache-2.0 */
/* A component whose name is none. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("Not A Name");

QL_PLUGIN(.name = "bad-name", .version = "1.0", .license = "Apache-2.0", .summary = "has a bad name",
          .components = ONE_COMPONENT(validator));
