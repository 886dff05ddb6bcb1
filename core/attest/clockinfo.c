/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "clockinfo.h"
#include "error.h"
#include "json.h"
#include "scan.h"

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

/** Members as the walk finds them. */
struct reading {
    struct {
        const char *name;
        int64_t max, value;
        bool found;
    } members[4];
    int next; /* the member whose value comes; negative: none of them */
};

static int on_event(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    struct reading *r = arg;
    int64_t value;

    if (e->kind == QL_SCAN_ARRAY && e->depth == 1)
        return ql_fail(err, QL_EPARSE, "clock is not an object");
    if (e->depth != 1 || e->kind == QL_SCAN_OBJECT || e->kind == QL_SCAN_OBJECT_END)
        return QL_OK;
    if (e->kind == QL_SCAN_KEY) {
        r->next = -1;
        for (int i = 0; i < 4; i++)
            if (ql_text_is(&e->text, r->members[i].name))
                r->next = i;
        return QL_OK;
    }
    if (r->next < 0)
        return QL_OK;
    value = e->kind == QL_SCAN_INTEGER                 ? e->integer
            : r->next == 3 && e->kind == QL_SCAN_TRUE  ? 1
            : r->next == 3 && e->kind == QL_SCAN_FALSE ? 0
                                                       : -1;
    if (value < 0 || value > r->members[r->next].max)
        return ql_fail(err, QL_EPARSE, "clock: %s is not a number in range", r->members[r->next].name);
    r->members[r->next].value = value;
    r->members[r->next].found = true;
    return QL_OK;
}

int ql_clock_read_text(const char *text, size_t len, struct ql_clock *ret, struct ql_err *err)
{
    struct reading r = {.members = {{"clock", INT64_MAX, 0, false},
                                    {"resetCount", UINT32_MAX, 0, false},
                                    {"restartCount", UINT32_MAX, 0, false},
                                    {"safe", 1, 0, false}},
                        .next = -1};
    int result = ql_scan(text, len, on_event, &r, err);

    if (result < 0)
        return result;
    for (int i = 0; i < 4; i++)
        if (!r.members[i].found)
            return ql_fail(err, QL_EPARSE, "clock lacks %s", r.members[i].name);
    *ret = (struct ql_clock){.clock = (uint64_t)r.members[0].value,
                             .reset_count = (uint32_t)r.members[1].value,
                             .restart_count = (uint32_t)r.members[2].value,
                             .safe = r.members[3].value == 1};
    return QL_OK;
}
