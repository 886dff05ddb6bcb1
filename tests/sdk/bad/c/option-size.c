/* SPDX-License-Identifier: Apache-2.0 */
/* Its rows have a size that no row can have. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("option-size");

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default")))
const struct ql_plugin ql_plugin = {.magic = QL_PLUGIN_MAGIC,
                                    .size = sizeof(struct ql_plugin),
                                    .abi_major = QL_ABI_MAJOR,
                                    .abi_minor = QL_ABI_MINOR,
                                    .name = "option-size",
                                    .version = "1.0",
                                    .license = "Apache-2.0",
                                    .summary = "has rows of 12 bytes",
                                    .components = ONE_COMPONENT(validator),
                                    .option_size = 12};
