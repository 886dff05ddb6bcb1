/* SPDX-License-Identifier: Apache-2.0 */
#include "mysql.h"

static int init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                struct ql_err *err)
{
    if (mysql_server_init(0, NULL, NULL) || !mysql_thread_safe())
        return host->fail(err, QL_EUNSUPPORTED, "libmariadb %s cannot be used", mysql_get_client_info());
    return sv_plugin_init(host, options, plugin, err);
}

static const struct ql_store_backend backend = {
    .head = {.size = sizeof(struct ql_store_backend), .kind = QL_KIND_STORE, .name = "mysql"},
    .open = sv_open,
    .close = sv_close,
    .tables = sv_tables,
    .begin = sv_begin,
    .commit = sv_commit,
    .rollback = sv_rollback,
    .get = sv_get,
    .put = sv_put,
    .del = sv_del,
    .scan = sv_scan,
    .claim = sv_claim,
    .renew = sv_renew,
    .yield = sv_yield,
    .put_many = sv_put_many,
};

static const struct ql_component *const components[] = {&backend.head, NULL};

QL_PLUGIN(.name = "mysql", .version = "0.1.0", .license = "Apache-2.0",
          .summary = "keeps the tables of a daemon in a MySQL or MariaDB database", .options = sv_options,
          .components = components, .init = init, .fini = sv_plugin_fini);
