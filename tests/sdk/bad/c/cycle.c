/* SPDX-License-Identifier: Apache-2.0 */
/* Two validators that wait for each other. */
#include "fixture.h"

static const struct ql_validator egg = IDLE_VALIDATOR("egg", .after = (const char *const[]){"hen", NULL});
static const struct ql_validator hen = IDLE_VALIDATOR("hen", .after = (const char *const[]){"egg", NULL});

QL_PLUGIN(.name = "cycle", .version = "1.0", .license = "Apache-2.0", .summary = "goes in circles",
          .components = (const struct ql_component *const[]){&egg.head, &hen.head, NULL});
