/* SPDX-License-Identifier: Apache-2.0 */
#include "registrar.h"

#define V2 QL_API(2, 0), QL_API(2, 6)
#define V3 QL_API(3, 0), QL_API(3, 0)

const unsigned ql_registrar_versions[] = {
    QL_API(2, 0), QL_API(2, 1), QL_API(2, 2),
    QL_API(2, 3), QL_API(2, 4), QL_API(2, 5),
    QL_API(2, 6), QL_API(3, 0), 0,
};

/* Registration is public: whoever registers proves itself by the challenge. Everything else is for admins. */
const struct ql_route ql_registrar_routes[] = {
    {QL_GET, "/version", 0, 0, QL_WHO_PUBLIC, "read_version", 0, ql_registrar_version,
     "API versions of this server"},
    {QL_GET, "/", V3, QL_WHO_PUBLIC, "read_server_info", 0, ql_registrar_root,
     "probe of API 3.0; empty answer"},
    {QL_GET, "/agents", V2, QL_WHO_ADMIN, "list_registrations", 0, ql_registrar_list,
     "ids of all registrations"},
    {QL_POST, "/agents", V2, QL_WHO_PUBLIC, "register_agent", 0, ql_registrar_register,
     "register, id in the body"},
    {QL_GET, "/agents/{agent_id}", V2, QL_WHO_ADMIN, "read_registration", 0, ql_registrar_show,
     "one registration"},
    {QL_POST, "/agents/{agent_id}", V2, QL_WHO_PUBLIC, "register_agent", 0, ql_registrar_register,
     "register"},
    {QL_PUT, "/agents/{agent_id}", V2, QL_WHO_PUBLIC, "activate_agent", 0, ql_registrar_activate, "activate"},
    {QL_DELETE, "/agents/{agent_id}", V2, QL_WHO_ADMIN, "delete_registration", 0, ql_registrar_delete,
     "forget an agent"},
    {QL_PUT, "/agents/{agent_id}/activate", V2, QL_WHO_PUBLIC, "activate_agent", 0, ql_registrar_activate,
     "activate"},
    {QL_POST, "/agents/{agent_id}/activate", V2, QL_WHO_PUBLIC, "activate_agent", 0, ql_registrar_activate,
     "activate"},
    {QL_GET, "/agents", V3, QL_WHO_ADMIN, "list_registrations", 0, ql_registrar_list,
     "ids of all registrations"},
    {QL_POST, "/agents", V3, QL_WHO_PUBLIC, "register_agent", 0, ql_registrar_register,
     "register, id in the body"},
    {QL_GET, "/agents/{agent_id}", V3, QL_WHO_ADMIN, "read_registration", 0, ql_registrar_show,
     "one registration"},
    {QL_DELETE, "/agents/{agent_id}", V3, QL_WHO_ADMIN, "delete_registration", 0, ql_registrar_delete,
     "forget an agent"},
    {QL_POST, "/agents/{agent_id}/activate", V3, QL_WHO_PUBLIC, "activate_agent", 0, ql_registrar_activate,
     "activate"},
    {.pattern = NULL},
};
