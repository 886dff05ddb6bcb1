/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the agent that are answered without its TPM: halves of the bootstrap key, and what is in no table. */
#include "agent.h"

#include "site.h"

static struct ql_agent agent = {.enc_alg = "rsa2048", .payload_allowed = true};

static void start(void)
{
    static struct ql_route routes[SITE_ROUTES_MAX];
    size_t count = 0;

    site_base = agent.base = event_base_new();
    site_must(site_base && ql_key_generate_rsa(2048, &agent.nk, NULL) == QL_OK);
    agent.nk_pem = strdup("");
    site_must(agent.nk_pem != NULL);
    for (unsigned i = 0; i < QL_AGENT_VERSIONS; i++)
        agent.versions[i] = QL_API(2, i + 1);
    for (const struct ql_route *r = QL_AGENT_ROUTES; r->pattern; r++)
        if (strncmp(r->pattern, "/keys/", 6) == 0 || strcmp(r->pattern, "/version") == 0)
            routes[count++] = *r;
    site_open(routes, agent.versions, ql_agent_miss, &agent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int r;

    if (!site_base)
        start();
    site_must(ql_bootstrap_new("a1", &agent.bootstrap, NULL) == QL_OK); /* nothing stays of the last input */
    r = site_input(data, len, NULL);
    ql_bootstrap_free(agent.bootstrap);
    agent.bootstrap = NULL;
    return r;
}
