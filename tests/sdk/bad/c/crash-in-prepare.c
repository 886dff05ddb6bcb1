/* SPDX-License-Identifier: Apache-2.0 */
/* Dies while it compiles a policy. */
#include "fixture.h"
#include <stdlib.h>

static int fall(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                size_t *ret_size, struct ql_err *err)
{
    (void)plugin, (void)policy, (void)len, (void)origin, (void)ret, (void)ret_size, (void)err;
    abort();
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "crash-in-prepare"},
    .prepare = fall,
    .release = idle_release,
    .needs = idle_needs,
    .validate = idle_validate};

QL_PLUGIN(.name = "crash-in-prepare", .version = "1.0", .license = "Apache-2.0", .summary = "dies in prepare",
          .components = ONE_COMPONENT(validator));
