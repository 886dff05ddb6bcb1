/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "internal.h"
struct ql_lua_script {
    int unused;
};
int ql_lua_script_load(struct ql_registry *r, struct ql_loaded *p, const struct ql_plugin_file *file,
                       struct ql_err *err)
{
    (void)r;
    (void)p;
    return ql_fail(err, QL_EUNSUPPORTED, "%s.lua: scripts are not supported by this build", file->name);
}
void ql_lua_script_free(struct ql_lua_script *s)
{
    free(s);
}
