/* SPDX-License-Identifier: Apache-2.0 */
/* The first field is somebody else's. */
#include "fixture.h"

static const struct ql_validator validator = IDLE_VALIDATOR("wrong-magic");

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default")))
const struct ql_plugin ql_plugin = {.magic = UINT32_C(0x6d616c63),
                                    .size = sizeof(struct ql_plugin),
                                    .abi_major = QL_ABI_MAJOR,
                                    .name = "wrong-magic",
                                    .version = "1.0",
                                    .license = "Apache-2.0",
                                    .summary = "has another magic",
                                    .components = ONE_COMPONENT(validator)};
