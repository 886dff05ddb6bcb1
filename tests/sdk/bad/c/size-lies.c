/* SPDX-License-Identifier: Apache-2.0 */
/* Claims more bytes than the symbol has. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("size-lies");

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default")))
const struct ql_plugin ql_plugin = {.magic = QL_PLUGIN_MAGIC,
                                    .size = 4096,
                                    .abi_major = QL_ABI_MAJOR,
                                    .abi_minor = QL_ABI_MINOR,
                                    .name = "size-lies",
                                    .version = "1.0",
                                    .license = "Apache-2.0",
                                    .summary = "claims 4096 bytes",
                                    .components = ONE_COMPONENT(validator)};
