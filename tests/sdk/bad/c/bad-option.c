/* SPDX-License-Identifier: Apache-2.0 */
/* An option row of a type that does not exist. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("bad-option");
static const struct ql_option rows[] = {{.name = "limit", .type = 77, .help = "of an unknown type"}, {0}};

QL_PLUGIN(.name = "bad-option", .version = "1.0", .license = "Apache-2.0", .summary = "has a bad option",
          .options = rows, .components = ONE_COMPONENT(validator));
