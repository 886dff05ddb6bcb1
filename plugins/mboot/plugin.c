/* SPDX-License-Identifier: Apache-2.0 */
/* Measured boot: the node's event log as evidence. */
#include <quicklime/plugin.h>

#include "collector.h"
#include "plugin.h"

static int plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                       struct ql_err *err)
{
    struct mb_plugin *p = host->alloc(host, sizeof *p);

    if (!p)
        return host->fail(err, QL_ENOMEM, "out of memory");
    *p = (struct mb_plugin){.host = host, .options = options};
    *plugin = p;
    return QL_OK;
}

static void plugin_fini(void *plugin)
{
    struct mb_plugin *p = plugin;

    p->host->free(p->host, p);
}

static const struct ql_option options[] = {
    {.name = MB_LOG_OPTION, .type = QL_OPT_STRING, .preset = MB_LOG_PATH, .help = "UEFI event log (agent)"},
    {.name = NULL},
};

static const struct ql_component *const components[] = {&mb_evidence.head, NULL};

QL_PLUGIN(.name = "mboot", .version = "1.0", .license = "Apache-2.0",
          .summary = "measured boot: the firmware's event log", .options = options, .components = components,
          .init = plugin_init, .fini = plugin_fini);
