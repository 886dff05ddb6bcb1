/* SPDX-License-Identifier: Apache-2.0 */
/* Takes and touches memory past the host until the process has no more, and ignores that. */
#include "fixture.h"
#include <stdlib.h>

static int eat(void *plugin, const struct ql_attest *attest, const void *compiled, const struct ql_state *in,
               struct ql_report *report, struct ql_state *out, struct ql_err *err)
{
    (void)plugin, (void)attest, (void)compiled, (void)in, (void)report, (void)out, (void)err;
    for (;;) {
        volatile char *p = malloc((size_t)16 << 20);

        for (size_t i = 0; p && i < (size_t)16 << 20; i += 4096)
            p[i] = 1;
        if (!p)
            *(volatile char *)p = 1;
    }
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "memory-hog"},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = idle_needs,
    .validate = eat};

QL_PLUGIN(.name = "memory-hog", .version = "1.0", .license = "Apache-2.0", .summary = "eats all memory",
          .components = ONE_COMPONENT(validator));
