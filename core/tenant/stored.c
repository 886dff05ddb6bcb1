/* SPDX-License-Identifier: Apache-2.0 */
/* One call about a stored policy, and its answer in the form that scripts read (spec/server.md 10.1). */
#include <stdio.h>

#include "error.h"
#include "pyrepr.h"
#include "server.h"
#include "tenant.h"

/* The answer as it came; where it is an error, once more as a record. */
static int say_answer(const char *title, struct ql_reply *reply)
{
    ql_auto_free char *text = reply->body ? ql_pyrepr(reply->body) : NULL;
    int status = reply->status;

    if (title)
        printf("%s command response: %d.\n", title, status);
    printf("%s\n", text ? text : "{}");
    if (status >= 400)
        ql_say_error("%s", text ? text : "{}");
    ql_reply_done(reply);
    return status < 400 ? 0 : 1;
}

int ql_stored_call(struct ql_tenant *t, unsigned method, const char *collection, const char *name,
                   const json_t *body, const char *title)
{
    ql_auto_free char *part = ql_url_encode(name);
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;

    if (!part)
        return 1;
    if (ql_link_callf(t, &t->verifier, method, body, &reply, &err, "/%s/%s", collection, part) < 0) {
        ql_say_error("%s", err.text);
        return 1;
    }
    return say_answer(title, &reply);
}
