/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: one component of an older and shorter, one of a newer and longer layout, one of an unknown kind. */
#include "fixture.h"

static const char *const after_second[] = {"newer", NULL};
static const struct ql_validator older = {.head = {.size = offsetof(struct ql_validator, upgrade_state),
                                                   .kind = QL_KIND_VALIDATOR,
                                                   .name = "older",
                                                   .after = after_second},
                                          .prepare = idle_prepare,
                                          .release = idle_release,
                                          .needs = idle_needs,
                                          .validate = idle_validate,
                                          /* Beyond the size: must not be seen. */
                                          .explain = (int (*)(void *, const void *, const struct ql_attest *,
                                                              struct ql_text_sink *, struct ql_err *))0x1};
static const struct {
    struct ql_validator known;
    void (*later)(void);
} newer = {.known = {.head = {.size = sizeof newer, .kind = QL_KIND_VALIDATOR, .name = "newer"},
                     .prepare = idle_prepare,
                     .release = idle_release,
                     .needs = idle_needs,
                     .validate = idle_validate}};
static const struct ql_component unknown = {.size = sizeof unknown, .kind = 4711, .name = "from-the-future"};

QL_PLUGIN(.name = "odd-sizes", .version = "1.0", .license = "Apache-2.0", .summary = "is of several ages",
          .components = (const struct ql_component *const[]){&older.head, &newer.known.head, &unknown, NULL});
