/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "journal.h"
#include "leases.h"
#include "log.h"
#include "reload.h"
#include "verifier.h"

struct reloading {
    struct ql_verifier *verifier;
    char id[81];
    struct ql_loaded loaded;
};

static int load(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct reloading *g = arg;
    int r;

    ql_loaded_done(&g->loaded);
    r = ql_loaded_get(t, g->id, &g->loaded, err);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static void loaded(int result, const struct ql_err *err, void *arg)
{
    struct reloading *g = arg;
    struct ql_agent *a = NULL;
    struct ql_err why = QL_ERR_INIT;

    if (result < 0)
        ql_log(QL_ERROR, "store", "agent=%s: not read, so not polled until a restart or reactivation: %s",
               g->id, err->text);
    else if (!ql_leases_own(g->verifier, &g->loaded.row)) {
        a = ql_agents_find(&g->verifier->agents, g->id);
        if (a)
            ql_agent_remove(a); /* another verifier reads it */
    } else if (g->loaded.row.agent_id && ql_state_is_live(g->loaded.row.operational_state)) {
        if (ql_agent_add(g->verifier, &g->loaded, &a, &why) == QL_OK)
            ql_schedule_after(a, 0);
        else
            ql_row_fail(g->verifier, &g->loaded.row, why.text);
    }
    ql_loaded_done(&g->loaded);
    free(g);
}

void ql_reload(struct ql_verifier *v, const char *agent_id)
{
    struct reloading *g = calloc(1, sizeof *g);
    struct ql_err err = QL_ERR_INIT;
    size_t len = strlen(agent_id);

    if (g && len < sizeof g->id) {
        g->verifier = v;
        memcpy(g->id, agent_id, len + 1);
        if (ql_store_submit(v->store, load, loaded, g, &err) == QL_OK)
            return;
    }
    free(g);
    ql_log(QL_ERROR, "store", "agent=%s: not read anew: %s", agent_id, err.text);
}

/* On the helper thread. */
static void clear(void *arg)
{
    struct ql_verifier *v = arg;
    struct ql_err err = QL_ERR_INIT;

    if (ql_journal_clear(v->journal, &err) < 0)
        ql_log(QL_ERROR, "store", "journal not cleared: %s", err.text);
}

static void cleared(void *arg)
{
    (void)arg;
}

void ql_journal_forget(struct ql_verifier *v)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_offload_submit(v->offload, clear, cleared, v, &err) < 0)
        ql_log(QL_ERROR, "store", "journal not cleared: %s", err.text);
}
