/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include "error.h"
#include "log.h"
#include "paths.h"

static const char *text(const struct ql_daemon *d, const char *name)
{
    return ql_config_string(d->config, d->group, name);
}

static unsigned number(const struct ql_daemon *d, const char *name)
{
    return (unsigned)ql_config_int(d->config, d->group, name);
}

int ql_daemon_load_backend(const struct ql_daemon *d, struct ql_registry **ret, struct ql_err *err)
{
    const struct ql_registry_config config = {.sites = 1u << QL_KIND_STORE};
    ql_auto(ql_registry_freep) struct ql_registry *plugins = NULL;
    char backend[32];
    const char *name = backend;
    int r = ql_store_backend_name(text(d, "database_url"), backend, err);

    if (r == QL_OK)
        r = ql_registry_new(&config, &plugins, err);
    if (r == QL_OK)
        r = ql_registry_load_all(plugins, ql_plugin_dir(text(d, "plugin_dir")), &name, 1, d->config, err);
    if (r == QL_OK)
        *ret = ql_steal(plugins);
    return r;
}

int ql_daemon_open_store(const struct ql_daemon *d, const struct ql_registry *plugins,
                         const struct ql_schema *schema, struct ql_store **ret, struct ql_err *err)
{
    struct ql_schema wanted = *schema;
    struct ql_store_config config = {
        .base = d->base,
        .url = text(d, "database_url"),
        .state_dir = d->state_dir,
        .schema = &wanted,
    };
    char backend[32];
    int r = ql_store_backend_name(config.url, backend, err);

    if (r < 0)
        return r;
    wanted.may_migrate = ql_config_bool(d->config, d->group, "auto_migrate_db");
    config.backend = ql_registry_find(plugins, QL_KIND_STORE, backend);
    if (!config.backend.head)
        return ql_fail(err, QL_ENOTFOUND, "database_url names backend %s, which no loaded plugin offers",
                       backend);
    return ql_store_open(&config, ret, err);
}

int ql_daemon_tls(const struct ql_daemon *d, enum ql_tls_role role, struct ql_tls **ret, struct ql_err *err)
{
    const enum ql_client_cert clients = role == QL_TLS_SERVER ? QL_CLIENT_CERT_OPTIONAL : QL_CLIENT_CERT_NONE;
    struct ql_tls_paths paths = {0};
    int r = ql_tls_paths_resolve(d->config, d->group, d->state_dir, d->own_ca, role, &paths, err);

    if (r == QL_OK)
        r = ql_tls_from_paths(&paths, role, clients, ret, err);
    ql_tls_paths_done(&paths);
    return r;
}

struct ql_http_limits ql_daemon_limits(const struct ql_daemon *d)
{
    return (struct ql_http_limits){
        .header_max = number(d, "http_header_max"),
        .body_max = number(d, "max_upload_size"),
        .connections_max = number(d, "http_connections_max"),
        .per_address_max = number(d, "http_per_address_max"),
        .handshake_ms = number(d, "http_handshake_ms"),
        .header_ms = number(d, "http_header_ms"),
        .body_ms = number(d, "http_body_ms"),
        .idle_ms = number(d, "http_idle_ms"),
    };
}

int ql_daemon_check_offered(const struct ql_daemon *d, struct ql_err *err)
{
    if (*text(d, "durable_attestation_import") != '\0')
        return ql_fail(err, QL_EUNSUPPORTED, "durable_attestation_import is not offered; leave it empty");
    return QL_OK;
}

void ql_daemon_reopen_log(const struct ql_daemon *d)
{
    struct ql_err err = QL_ERR_INIT;
    const char *log_file = text(d, "log_file");

    if (*log_file != '\0' && ql_log_open(log_file, &err) < 0)
        ql_log(QL_ERROR, "main", "log file not reopened: %s", err.text);
}
