/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the verifier, through its worker's part, up to the store. */
#include "verifier.h"

#include "daemon.h"

static void start(void)
{
    static struct ql_verifier verifier = {.state_dir = "/nowhere", .uuid = "default"};

    site_base = verifier.base = event_base_new();
    site_must(site_base != NULL);
    verifier.config = daemon_config("verifier", ql_verifier_options);
    site_open(ql_verifier_routes, ql_verifier_versions, NULL, &verifier);
    verifier.https = site_server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!site_base)
        start();
    return site_input(data, len, daemon_turn);
}
