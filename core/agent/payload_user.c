/* SPDX-License-Identifier: Apache-2.0 */
#include "payload_user.h"

#include <string.h>

#include "error.h"

int ql_payload_user_parse(const char *text, struct ql_run_as *ret, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (strcmp(text, "root:root") == 0) {
        *ret = (struct ql_run_as){0};
        return QL_OK;
    }
    r = ql_run_as_parse(text, ret, &why);
    return r < 0 ? ql_fail(err, r, "payload_run_as: %s", why.text) : r;
}

int ql_payload_user_become(const char *text, struct ql_err *err)
{
    ql_auto(ql_run_as_done) struct ql_run_as user = {0};
    int r = ql_payload_user_parse(text, &user, err);

    return r < 0 || user.uid == 0 ? r : ql_run_as_drop(&user, err);
}
