/* SPDX-License-Identifier: Apache-2.0 */
#include "postgresql.h"

static int init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                struct ql_err *err)
{
    if (!PQisthreadsafe() || PQlibVersion() < PG_OLDEST)
        return host->fail(err, QL_EUNSUPPORTED,
                          "libpq %d is too old or was built without threads, at least %d is needed",
                          PQlibVersion(), PG_OLDEST);
    return sv_plugin_init(host, options, plugin, err);
}

static const struct ql_store_backend backend = SV_BACKEND("postgresql");

static const struct ql_component *const components[] = {&backend.head, NULL};

QL_PLUGIN(.name = "postgresql", .version = "0.1.0", .license = "Apache-2.0",
          .summary = "keeps the tables of a daemon in a PostgreSQL database", .options = sv_options,
          .components = components, .init = init, .fini = sv_plugin_fini);
