/* SPDX-License-Identifier: Apache-2.0 */
/* Agents that are not polled are told, too: after new events the store says who they are. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "told.h"
#include "verifier.h"

enum {
    RESCAN_S = 5
};

/** Ids of this verifier's agents. */
struct scan {
    struct ql_told *told;
    int64_t seq;
    char (*ids)[81];
    size_t count, room;
};

static int take_id(void *arg, struct ql_agent_row *row)
{
    struct scan *s = arg;

    if (!row->verifier_id || strcmp(row->verifier_id, s->told->verifier->uuid) != 0 ||
        row->operational_state == QL_STATE_TERMINATED || strlen(row->agent_id) >= sizeof *s->ids)
        return 0;
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 256;
        char(*wide)[81] = reallocarray(s->ids, room, sizeof *wide);

        if (!wide)
            return QL_ENOMEM;
        s->ids = wide;
        s->room = room;
    }
    memcpy(s->ids[s->count++], row->agent_id, strlen(row->agent_id) + 1);
    return 0;
}

static int scan_agents(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct scan *s = arg;
    size_t skipped = 0;

    s->count = 0; /* a transaction may run more than once */
    return ql_agents_each(t, take_id, s, &skipped, err);
}

static void scan_later(struct ql_told *t)
{
    static const struct timeval pause = {.tv_sec = RESCAN_S};

    if (evtimer_add(t->rescan, &pause) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

void ql_told_on_rescan(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_told_look(arg);
}

/* The first event that came after the last look, and that an agent may not have been told of. */
static struct ql_note *first_after(const struct ql_told *t, int64_t seq)
{
    struct ql_note *n;

    TAILQ_FOREACH(n, ql_outbox_notes(t->runner), next)
        if (n->row.seq > seq && n->for_agents && !n->is_expired)
            return n;
    return NULL;
}

/* The events of the look wait for nobody but agents from here on. */
static void unpin(struct ql_told *t, int64_t last)
{
    struct ql_note *n;

    TAILQ_FOREACH(n, ql_outbox_notes(t->runner), next)
        if (n->row.seq > t->scanned && n->row.seq <= last && n->for_agents)
            ql_told_passed(t, n);
}

static void scanned(int result, const struct ql_err *err, void *arg)
{
    struct scan *s = arg;
    struct ql_told *t = s->told;
    struct ql_note *first = first_after(t, t->scanned);

    t->is_scanning = false;
    if (result < 0)
        ql_log(QL_WARN, "revocation", "agents that are not polled are not told yet: %s", err->text);
    for (size_t i = 0; result == QL_OK && first && i < s->count; i++) {
        const struct ql_agent *a = ql_agents_find(&t->verifier->agents, s->ids[i]);

        if (!a || a->told_seq < s->seq) /* not polled when the events came */
            ql_told_add_from(t, s->ids[i], first, s->seq);
    }
    if (result == QL_OK) {
        unpin(t, s->seq);
        t->scanned = s->seq;
    }
    free(s->ids);
    free(s);
    if (t->verifier->is_closing)
        return;
    if (result < 0)
        scan_later(t); /* until then the events stay */
    else if (t->scan_wanted > t->scanned)
        ql_told_look(t);
}

void ql_told_look(struct ql_told *t)
{
    struct scan *s;
    struct ql_err err = QL_ERR_INIT;

    if (t->is_scanning)
        return;
    s = calloc(1, sizeof *s);
    if (s) {
        s->told = t;
        s->seq = t->scan_wanted;
        t->is_scanning = ql_store_submit(t->verifier->store, scan_agents, scanned, s, &err) == QL_OK;
    }
    if (!t->is_scanning) {
        ql_log(QL_ERROR, "revocation", "agents that are not polled are not told yet: %s",
               s ? err.text : "out of memory");
        free(s);
        scan_later(t);
    }
}
