/* SPDX-License-Identifier: Apache-2.0 */
/* Waits for a validator that does not exist. */
#include "fixture.h"

static const struct ql_validator validator =
    IDLE_VALIDATOR("after-nobody", .after = (const char *const[]){"nobody", NULL});

QL_PLUGIN(.name = "after-nobody", .version = "1.0", .license = "Apache-2.0", .summary = "waits for nobody",
          .components = ONE_COMPONENT(validator));
