/* SPDX-License-Identifier: Apache-2.0 */
#include "mysql.h"

static int init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                struct ql_err *err)
{
    if (mysql_server_init(0, NULL, NULL) || !mysql_thread_safe())
        return host->fail(err, QL_EUNSUPPORTED, "libmariadb %s cannot be used", mysql_get_client_info());
    return sv_plugin_init(host, options, plugin, err);
}

static const struct ql_store_backend backend = SV_BACKEND("mysql");

static const struct ql_component *const components[] = {&backend.head, NULL};

QL_PLUGIN(.name = "mysql", .version = "0.1.0", .license = "Apache-2.0",
          .summary = "keeps the tables of a daemon in a MySQL or MariaDB database", .options = sv_options,
          .components = components, .init = init, .fini = sv_plugin_fini);
