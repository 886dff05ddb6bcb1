/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /notifications/revocation: first as it comes, then what it says, and names of actions. */
#include <string.h>

#include "lookup.h"
#include "notice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_notice *n = NULL;
    struct ql_action_names names = {.count = 0};

    if (ql_notice_parse(data, len, &n, NULL) == QL_OK) {
        char *body;

        (void)ql_notice_read(n, NULL); /* either way */
        body = ql_notice_body(n);
        if (!body)
            __builtin_trap();
        free(body);
        ql_notice_free(n);
    }
    (void)ql_action_names_add(&names, (const char *)data, len, NULL); /* either way */
    for (size_t i = 0; i < names.count; i++)
        (void)ql_action_name_ok(names.names[i], strlen(names.names[i]));
    ql_action_names_done(&names);
    return 0;
}
