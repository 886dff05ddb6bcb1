/* SPDX-License-Identifier: Apache-2.0 */
/* Writes where it must not while it judges. */
#include "fixture.h"
#include <stdlib.h>

static int fall(void *plugin, const struct ql_attest *attest, const void *compiled, const struct ql_state *in,
                struct ql_report *report, struct ql_state *out, struct ql_err *err)
{
    (void)plugin, (void)attest, (void)compiled, (void)in, (void)report, (void)out, (void)err;
    *(volatile int *)(uintptr_t)8 = 1;
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "crash-in-validate"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = idle_needs,
    .validate = fall};

QL_PLUGIN(.name = "crash-in-validate", .version = "1.0", .license = "Apache-2.0",
          .summary = "dies in validate", .components = ONE_COMPONENT(validator));
