/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agents.h"
#include "error.h"
#include "policy_use.h"

struct search {
    const char *kind, *name;
    char *out;
    bool is_found;
};

bool ql_policy_used_by(const struct ql_agent_row *row, const char *kind, const char *name)
{
    const char *linked = strcmp(kind, "runtime") == 0 ? row->runtime_policy_name
                         : strcmp(kind, "mb") == 0    ? row->mb_policy_name
                                                      : row->agent_id; /* custom ones go by the agent's id */

    return linked && strcmp(linked, name) == 0;
}

static int look(void *arg, struct ql_agent_row *row)
{
    struct search *s = arg;

    if (!ql_policy_used_by(row, s->kind, s->name))
        return 0;
    s->is_found = true;
    (void)snprintf(s->out, 81, "%s", row->agent_id); /* ids are no longer */
    return 1;
}

int ql_policy_user(struct ql_txn *t, const char *kind, const char *name, char *out, struct ql_err *err)
{
    struct search s = {.kind = kind, .name = name, .out = out};
    int r = ql_agents_each(t, look, &s, NULL, err);

    if (r < 0)
        return r;
    return s.is_found ? QL_OK : QL_ENOTFOUND;
}
