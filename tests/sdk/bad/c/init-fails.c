/* SPDX-License-Identifier: Apache-2.0 */
/* Cannot start, and says why. */
#include "fixture.h"

static int start(const struct ql_host *host, const struct ql_options *options, void **plugin,
                 struct ql_err *err)
{
    (void)options, (void)plugin;
    return host->fail(err, QL_EUNSUPPORTED, "the moon is in the wrong phase");
}

static const struct ql_validator validator = IDLE_VALIDATOR("init-fails");

QL_PLUGIN(.name = "init-fails", .version = "1.0", .license = "Apache-2.0", .summary = "does not start",
          .init = start, .components = ONE_COMPONENT(validator));
