/* SPDX-License-Identifier: Apache-2.0 */
/* What clients ask to find out whom they talk to. */
#include "verifier.h"

void ql_api_version(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply(req, 200, "Success",
                 json_pack("{s:s, s:[s,s,s,s,s,s,s,s,s]}", "current_version", "2.6", "supported_versions",
                           "1.0", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.0"));
}

void ql_api_root(struct ql_http_req *req, void *arg)
{
    (void)arg;
    (void)ql_req_add_header(req, "Location", "/v3.0/"); /* constant text: cannot be refused */
    ql_req_reply_empty(req, 307);
}

void ql_api_probe(struct ql_http_req *req, void *arg)
{
    (void)arg;
    if (ql_req_version(req) >= QL_API(3, 0))
        ql_req_reply_empty(req, 200);
    else
        ql_req_reply(req, 200, "Success", NULL);
}

void ql_api_not_here(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply_empty(req, 404);
}
