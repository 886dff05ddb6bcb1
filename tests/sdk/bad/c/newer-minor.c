/* SPDX-License-Identifier: Apache-2.0 */
/* Built against headers of a later release. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("newer-minor");

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default")))
const struct ql_plugin ql_plugin = {.magic = QL_PLUGIN_MAGIC,
                                    .size = sizeof(struct ql_plugin),
                                    .abi_major = QL_ABI_MAJOR,
                                    .abi_minor = QL_ABI_MINOR + 1,
                                    .name = "newer-minor",
                                    .version = "1.0",
                                    .license = "Apache-2.0",
                                    .summary = "wants a later host",
                                    .components = ONE_COMPONENT(validator)};
