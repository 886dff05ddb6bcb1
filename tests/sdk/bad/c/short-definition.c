/* SPDX-License-Identifier: Apache-2.0 */
/* Ends before the fields that every plugin must have. */
#include <quicklime/plugin.h>

struct stub {
    uint32_t magic, size, abi_major, abi_minor;
    const char *name;
};
extern const struct stub ql_plugin;
__attribute__((visibility("default"))) const struct stub ql_plugin = {
    QL_PLUGIN_MAGIC, sizeof(struct stub), QL_ABI_MAJOR, QL_ABI_MINOR, "short-definition"};
