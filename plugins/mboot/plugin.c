/* SPDX-License-Identifier: Apache-2.0 */
/* Measured boot: the node's event log as evidence, and its judge. */
#include "plugin.h"
#include "collector.h"

static int plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                       struct ql_err *err)
{
    struct mb_plugin *p = NULL;
    int r = mb_plugin_new(host, options, &p, err);

    if (r == QL_OK)
        *plugin = p;
    return r;
}

static void plugin_fini(void *plugin)
{
    mb_plugin_free(plugin);
}

static const struct ql_component *const components[] = {&mb_validator.head, &mb_evidence.head, NULL};

QL_PLUGIN(.name = "mboot", .version = "1.0", .license = "Apache-2.0",
          .summary = "measured boot: the firmware's event log and policies about it", .options = mb_options,
          .components = components, .init = plugin_init, .fini = plugin_fini);
