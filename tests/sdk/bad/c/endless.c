/* SPDX-License-Identifier: Apache-2.0 */
/* Never comes to a verdict. */
#include "fixture.h"
#include <stdlib.h>

static int turn(void *plugin, const struct ql_attest *attest, const void *compiled, const struct ql_state *in,
                struct ql_report *report, struct ql_state *out, struct ql_err *err)
{
    (void)plugin, (void)attest, (void)compiled, (void)in, (void)report, (void)out, (void)err;
    for (volatile unsigned i = 0;; i++)
        ;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "endless"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = idle_needs,
    .validate = turn};

QL_PLUGIN(.name = "endless", .version = "1.0", .license = "Apache-2.0", .summary = "does not end",
          .components = ONE_COMPONENT(validator));
