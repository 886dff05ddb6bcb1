/* SPDX-License-Identifier: Apache-2.0 */
/* Built for another ABI; nothing after the numbers may be believed, so the rest is garbage. */
#include <quicklime/plugin.h>

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default"))) const struct ql_plugin ql_plugin = {.magic = QL_PLUGIN_MAGIC,
                                                                           .size = sizeof(struct ql_plugin),
                                                                           .abi_major = QL_ABI_MAJOR + 1,
                                                                           .name = (const char *)0x1,
                                                                           .version = (const char *)0x1};
