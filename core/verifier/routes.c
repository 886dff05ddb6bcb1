/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "verifier.h"

#define V2 QL_API(2, 0), QL_API(2, 6)
#define V3 QL_API(3, 0), QL_API(3, 0)

const unsigned ql_verifier_versions[] = {
    QL_API(2, 0), QL_API(2, 1), QL_API(2, 2),
    QL_API(2, 3), QL_API(2, 4), QL_API(2, 5),
    QL_API(2, 6), QL_API(3, 0), 0,
};

const struct ql_route ql_verifier_routes[] = {
    {QL_GET, "/", 0, 0, QL_WHO_PUBLIC, "read_server_info", 0, ql_api_root, "redirection to the newest API"},
    {QL_GET, "/version", 0, 0, QL_WHO_PUBLIC, "read_version", 0, ql_api_version,
     "API versions of this server"},
    {QL_GET, "/versions", 0, 0, QL_WHO_PUBLIC, "read_version", 0, ql_api_version,
     "API versions of this server"},
    {QL_GET, "/", V2, QL_WHO_PUBLIC, "read_server_info", 0, ql_api_probe, "probe of an API version"},
    {QL_GET, "/", V3, QL_WHO_PUBLIC, "read_server_info", 0, ql_api_probe, "probe of API 3.0; empty answer"},

    {QL_GET, "/agents", V2, QL_WHO_ADMIN, "list_agents", 0, ql_api_agents_list,
     "ids of all agents; with bulk their status"},
    {QL_GET, "/agents/{agent_id}", V2, QL_WHO_ADMIN, "read_agent", 0, ql_api_agent_show,
     "status of an agent"},
    {QL_GET, "/agents/{agent_id}/policies", V2, QL_WHO_ADMIN, "read_agent_policies", 0, ql_api_agent_policies,
     "what an agent is judged by, in the members of a recorded attestation"},
    {QL_POST, "/agents/{agent_id}", V2, QL_WHO_ADMIN, "create_agent", 0, ql_api_agent_add,
     "add an agent, begin to attest it"},
    {QL_DELETE, "/agents/{agent_id}", V2, QL_WHO_ADMIN, "delete_agent", 0, ql_api_agent_delete,
     "remove an agent"},
    {QL_PUT, "/agents/{agent_id}/stop", V2, QL_WHO_ADMIN, "stop_agent", 0, ql_api_agent_stop,
     "stop attesting an agent"},
    {QL_PUT, "/agents/{agent_id}/reactivate", V2, QL_WHO_ADMIN, "reactivate_agent", 0,
     ql_api_agent_reactivate, "attest a failed or stopped agent again"},

    {QL_GET, "/allowlists", V2, QL_WHO_ADMIN, "list_runtime_policies", 0, ql_api_runtime_list,
     "names of the runtime policies"},
    {QL_GET, "/allowlists/{name}", V2, QL_WHO_ADMIN, "read_runtime_policy", 0, ql_api_runtime_show,
     "a runtime policy as uploaded"},
    {QL_POST, "/allowlists/{name}", V2, QL_WHO_ADMIN, "create_runtime_policy", 0, ql_api_runtime_create,
     "store a runtime policy"},
    {QL_PUT, "/allowlists/{name}", V2, QL_WHO_ADMIN, "update_runtime_policy", 0, ql_api_runtime_replace,
     "replace a runtime policy, for the agents that use it too"},
    {QL_DELETE, "/allowlists/{name}", V2, QL_WHO_ADMIN, "delete_runtime_policy", 0, ql_api_runtime_delete,
     "remove a runtime policy"},

    {QL_GET, "/mbpolicies", V2, QL_WHO_ADMIN, "list_mb_policies", 0, ql_api_mb_list,
     "names of the measured boot policies"},
    {QL_GET, "/mbpolicies/{name}", V2, QL_WHO_ADMIN, "read_mb_policy", 0, ql_api_mb_show,
     "a measured boot policy as uploaded"},
    {QL_POST, "/mbpolicies/{name}", V2, QL_WHO_ADMIN, "create_mb_policy", 0, ql_api_mb_create,
     "store a measured boot policy"},
    {QL_PUT, "/mbpolicies/{name}", V2, QL_WHO_ADMIN, "update_mb_policy", 0, ql_api_mb_replace,
     "replace a measured boot policy, for the agents that use it too"},
    {QL_DELETE, "/mbpolicies/{name}", V2, QL_WHO_ADMIN, "delete_mb_policy", 0, ql_api_mb_delete,
     "remove a measured boot policy"},

    {QL_GET, "/verify/identity", V2, QL_WHO_PUBLIC, "verify_identity", 0, ql_api_identity,
     "check an identity quote of a known agent"},
    {QL_POST, "/verify/evidence", V2, QL_WHO_PUBLIC, "verify_evidence", QL_EVIDENCE_BODY_MAX, ql_api_evidence,
     "judge evidence without adding an agent"},

    /* Paths of API 3.0 that are served by API 2 alone: known, so that callers hear of their rights first. */
    {QL_GET, "/agents", V3, QL_WHO_ADMIN, "list_agents", 0, ql_api_not_here, "use API 2"},
    {QL_GET, "/agents/{agent_id}", V3, QL_WHO_ADMIN, "read_agent", 0, ql_api_not_here, "use API 2"},
    {.pattern = NULL},
};

struct ql_route *ql_verifier_routes_for(const char *verify_evidence)
{
    struct ql_route *routes = calloc(QL_ARRAY_LEN(ql_verifier_routes), sizeof *routes);
    size_t at = 0;

    for (size_t i = 0; routes && i < QL_ARRAY_LEN(ql_verifier_routes); i++) {
        bool is_oneshot = ql_verifier_routes[i].handler == ql_api_evidence;

        if (is_oneshot && strcmp(verify_evidence, "off") == 0)
            continue;
        routes[at] = ql_verifier_routes[i];
        if (is_oneshot && strcmp(verify_evidence, "mtls") == 0)
            routes[at].who = QL_WHO_CLIENT;
        at++;
    }
    return routes;
}
