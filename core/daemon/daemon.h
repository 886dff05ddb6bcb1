/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file daemon.h
 * Steps of a start that verifier and registrar share: from the options of option_rows.h to a store, a TLS context and a
 * listener's limits.
 *
 * Layer: daemon, above store and http. No state of its own; the caller owns all that is made.
 */
#pragma once
#include <event2/event.h>

#include "config.h"
#include "registry.h"
#include "server.h"
#include "store.h"
#include "tlsdir.h"

/** Whose options, and where it lives. All borrowed. */
struct ql_daemon {
    struct event_base *base;
    struct ql_config *config;
    const char *group;     /**< of the options: "verifier" */
    const char *state_dir; /**< absolute */
    const char *own_ca;    /**< folder below it that `tls_dir = "generate"` means: "cv_ca" */
};

/**
 * Load the plugin that database_url names; its options become known to the configuration.
 * @param[out] ret  owned by the caller, free it before the configuration; the registry offers the one backend
 */
int ql_daemon_load_backend(const struct ql_daemon *d, struct ql_registry **ret, struct ql_err *err);
/**
 * Open the database of database_url.
 * @param plugins  of ql_daemon_load_backend(); must outlive the store
 * @param schema   what it must hold; auto_migrate_db says whether an older one is brought forward
 * @retval QL_ENOTFOUND no loaded plugin offers the backend
 */
int ql_daemon_open_store(const struct ql_daemon *d, const struct ql_registry *plugins,
                         const struct ql_schema *schema, struct ql_store **ret, struct ql_err *err);
/**
 * TLS context of one role, from the files as they are now. Clients of a server may come without a certificate: each
 * route says who may call it.
 * @retval QL_ENOTFOUND a file is missing (names it): the caller may wait for it
 */
int ql_daemon_tls(const struct ql_daemon *d, enum ql_tls_role role, struct ql_tls **ret, struct ql_err *err);
/** Limits of a listener that both programs have options for; the others are 0. */
struct ql_http_limits ql_daemon_limits(const struct ql_daemon *d);
/** @retval QL_EUNSUPPORTED durable_attestation_import is set */
int ql_daemon_check_offered(const struct ql_daemon *d, struct ql_err *err);
/** After a rotation: write to log_file anew. What fails is logged. */
void ql_daemon_reopen_log(const struct ql_daemon *d);
