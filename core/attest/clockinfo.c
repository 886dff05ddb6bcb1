/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "clockinfo.h"
#include "error.h"
#include "json.h"

char *ql_clock_text(const struct ql_clock *c)
{
    char *text = NULL;
    int len =
        asprintf(&text, "{\"clock\": %" PRIu64 ", \"resetCount\": %u, \"restartCount\": %u, \"safe\": %d}",
                 c->clock, c->reset_count, c->restart_count, c->safe ? 1 : 0);

    return len < 0 ? NULL : text;
}

int ql_clock_read(const json_t *object, struct ql_clock *ret, struct ql_err *err)
{
    int64_t clock = 0, resets = 0, restarts = 0, safe = 0;
    int r;

    if (!json_is_object(object))
        return ql_fail(err, QL_EPARSE, "clock is not an object");
    r = ql_json_get_int(object, "clock", 0, INT64_MAX, &clock, err);
    if (r == QL_OK)
        r = ql_json_get_int(object, "resetCount", 0, UINT32_MAX, &resets, err);
    if (r == QL_OK)
        r = ql_json_get_int(object, "restartCount", 0, UINT32_MAX, &restarts, err);
    if (r == QL_OK && json_is_boolean(json_object_get(object, "safe")))
        safe = json_is_true(json_object_get(object, "safe"));
    else if (r == QL_OK)
        r = ql_json_get_int(object, "safe", 0, 1, &safe, err);
    if (r < 0)
        return r == QL_ENOTFOUND
                   ? ql_fail(err, QL_EPARSE, "clock lacks clock, resetCount, restartCount or safe")
                   : r;
    *ret = (struct ql_clock){.clock = (uint64_t)clock,
                             .reset_count = (uint32_t)resets,
                             .restart_count = (uint32_t)restarts,
                             .safe = safe == 1};
    return QL_OK;
}
