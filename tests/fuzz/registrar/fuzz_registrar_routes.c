/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the registrar, through its worker's part, up to the store. */
#include "registrar.h"

#include "daemon.h"

static void start(void)
{
    static struct ql_registrar registrar = {.state_dir = "/nowhere", .ek_needed = true};

    site_base = registrar.base = event_base_new();
    site_must(site_base != NULL);
    registrar.config = daemon_config("registrar", ql_registrar_options);
    site_open(ql_registrar_routes, ql_registrar_versions, NULL, &registrar);
    registrar.http = registrar.https = site_server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!site_base)
        start();
    return site_input(data, len, daemon_turn);
}
