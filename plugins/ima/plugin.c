/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime integrity: what ran on a node, as its kernel measured it, against what may run there. */
#include "ima.h"

static int plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                       struct ql_err *err)
{
    struct ima_plugin *p = NULL;
    int r = ima_plugin_new(host, options, &p, err);

    if (r == QL_OK)
        *plugin = p;
    return r;
}

static void plugin_fini(void *plugin)
{
    ima_plugin_free(plugin);
}

static const struct ql_component *const components[] = {&ima_validator.head, &ima_evidence.head, NULL};

QL_PLUGIN(.name = "ima", .version = "1.0", .license = "Apache-2.0",
          .summary = "runtime integrity: IMA measurement lists and runtime policies", .options = ima_options,
          .components = components, .init = plugin_init, .fini = plugin_fini);
