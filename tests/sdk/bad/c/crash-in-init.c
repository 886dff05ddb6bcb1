/* SPDX-License-Identifier: Apache-2.0 */
/* Dies as soon as it is started. */
#include "fixture.h"
#include <stdlib.h>

static int start(const struct ql_host *host, const struct ql_options *o, void **plugin, struct ql_err *err)
{
    (void)host, (void)o, (void)plugin, (void)err;
    abort();
}

static const struct ql_validator validator = IDLE_VALIDATOR("crash-in-init");

QL_PLUGIN(.name = "crash-in-init", .version = "1.0", .license = "Apache-2.0", .summary = "dies in init",
          .init = start, .components = ONE_COMPONENT(validator));
