/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/rest.md from the route tables of the three servers, so that the page cannot say what the code does not. */
#include <stdio.h>

#include "registrar.h"
#include "verifier.h"

/* Of the agent's agent.h; the verifier has a header of that name too. */
extern const struct ql_route QL_AGENT_ROUTES[];

static const char *method_name(unsigned method)
{
    switch (method) {
    case QL_GET:
        return "GET";
    case QL_POST:
        return "POST";
    case QL_PUT:
        return "PUT";
    case QL_DELETE:
        return "DELETE";
    case QL_PATCH:
        return "PATCH";
    default:
        return "?";
    }
}

static const char *who_name(enum ql_who who, bool mtls_listener)
{
    if (mtls_listener)
        return "client certificate";
    switch (who) {
    case QL_WHO_NOBODY:
        return "nobody";
    case QL_WHO_PUBLIC:
        return "anyone";
    case QL_WHO_TLS:
        return "anyone, over TLS";
    case QL_WHO_CLIENT:
        return "client certificate";
    case QL_WHO_ADMIN:
        return "administrator";
    }
    return "?";
}

static void print_version(const struct ql_route *r)
{
    if (r->first == 0) {
        printf("| | ");
        return;
    }
    if (r->first == r->last)
        printf("| %u.%u | ", r->first >> 8, r->first & 0xff);
    else
        printf("| %u.%u–%u.%u | ", r->first >> 8, r->first & 0xff, r->last >> 8, r->last & 0xff);
}

static void print_routes(const char *title, const char *text, const struct ql_route *routes,
                         bool mtls_listener)
{
    printf("\n## %s\n\n%s\n\n| method | path | API | who | action | what |\n| --- | --- | --- | --- | --- | "
           "--- |\n",
           title, text);
    for (const struct ql_route *r = routes; r->pattern; r++) {
        printf("| %s | `%s%s` ", method_name(r->method), r->first ? "/vX.Y" : "", r->pattern);
        print_version(r);
        printf("%s | `%s` | %s |\n", who_name(r->who, mtls_listener), r->action ? r->action : "",
               r->help ? r->help : "");
    }
}

int main(void)
{
    printf("# REST reference\n\n"
           "This page is made from the route tables in the code (`scripts/docs` writes it, a test compares "
           "it).\n\n"
           "Answers are `{\"code\": …, \"status\": \"…\", \"results\": {…}}` with Content-Type "
           "application/json. Answers of the "
           "framework itself (no such path, wrong method, malformed JSON) have no body. 401 and 403 have "
           "`{\"errors\": "
           "[…]}`. A client's `X-Request-ID` is sent back. Paths take one trailing slash or none. `/v2/…` is "
           "the newest "
           "2.x. Over TLS, who shows no certificate that verifies gets one answer a connection "
           "(`Connection: close`).\n\n"
           "An *administrator* presents a client certificate with a common name that chains to "
           "`trusted_client_ca`, fit "
           "for clients, and no `Authorization` header: one that is not a session's token is refused with "
           "401.\n");
    print_routes("Verifier", "HTTPS, port 8881.", ql_verifier_routes, false);
    print_routes("Registrar",
                 "HTTP, port 8890, and HTTPS, port 8891. Routes for administrators answer on HTTPS alone "
                 "(400 on HTTP).",
                 ql_registrar_routes, false);
    print_routes("Agent",
                 "HTTPS, port 9002; the whole listener asks for a client certificate of `trusted_client_ca`. "
                 "A success "
                 "without data has `\"results\": null`.",
                 QL_AGENT_ROUTES, true);
    return 0;
}
