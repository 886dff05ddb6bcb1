/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "pyrepr.h"
#include "tenant.h"

void ql_say_python(const json_t *value)
{
    ql_auto_free char *text = ql_pyrepr(value);

    printf("%s\n", text ? text : "None");
    fflush(stdout);
}

const char *ql_state_text(int64_t state)
{
    static const char *const texts[] = {
        "Registered",        "Start",  "Saved",      "Get Quote",     "Get Quote (retry)",   "Provide V",
        "Provide V (retry)", "Failed", "Terminated", "Invalid Quote", "Tenant Quote Failed",
    };

    return state >= 0 && (size_t)state < QL_ARRAY_LEN(texts) ? texts[state] : "Unknown";
}
