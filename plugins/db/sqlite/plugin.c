/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sqlite.h"

static int init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                struct ql_err *err)
{
    struct sq_plugin *p = NULL;

    if (sqlite3_libversion_number() < 3040000)
        return host->fail(err, QL_EUNSUPPORTED, "sqlite3 %s is too old, at least 3.40 is needed",
                          sqlite3_libversion());
    if (!sqlite3_threadsafe())
        return host->fail(err, QL_EUNSUPPORTED, "sqlite3 %s was built without threads", sqlite3_libversion());
    p = calloc(1, sizeof *p);
    if (!p)
        return host->fail(err, QL_ENOMEM, "out of memory");
    p->host = host;
    p->busy_timeout_ms = options ? options->get_int(options, "busy_timeout") : 5000;
    *plugin = p;
    return QL_OK;
}

static void fini(void *plugin)
{
    free(plugin);
}

static const struct ql_option options[] = {
    {.name = "busy_timeout",
     .type = QL_OPT_INT,
     .min = 0,
     .max = 60000,
     .preset = "5000",
     .help = "longest wait for another process that holds the database, milliseconds"},
    {.name = NULL},
};

static const struct ql_store_backend backend = {
    .head = {.size = sizeof(struct ql_store_backend), .kind = QL_KIND_STORE, .name = "sqlite"},
    .open = sq_open,
    .close = sq_close,
    .tables = sq_tables,
    .begin = sq_begin,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .get = sq_get,
    .put = sq_put,
    .del = sq_del,
    .scan = sq_scan,
    .claim = sq_claim,
    .renew = sq_renew,
    .yield = sq_yield,
};

static const struct ql_component *const components[] = {&backend.head, NULL};

QL_PLUGIN(.name = "sqlite", .version = "0.1.0", .license = "Apache-2.0",
          .summary = "keeps the tables of a daemon in one SQLite file", .options = options,
          .components = components, .init = init, .fini = fini);
