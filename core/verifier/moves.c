/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that come to this process, or leave it for another: a row changes hands in a transaction, with what memory knew
 * of it; then it is polled, or forgotten.
 */
#include <string.h>

#include "clock.h"
#include "encode.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "policies.h"
#include "verifier.h"

/** One agent of a batch. */
struct moving {
    struct ql_move move;
    struct ql_live *live; /* to give: what memory has of it */
    struct ql_member to;
    struct ql_loaded loaded;
    bool is_done;
    int damage; /* its row cannot be polled, for `why` */
    struct ql_err why;
};

/** Content of a policy that is not in memory yet; read once for all agents of the batch. */
struct wanted {
    uint8_t digest[32];
    char *text; /* NULL: it is not stored any more */
    size_t len;
};

struct batch {
    struct ql_leases *leases;
    struct ql_member self;
    struct moving agents[QL_MOVES_BATCH];
    size_t count;
    struct wanted *wanted;
    size_t wanted_count;
};

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        ql_live_free(b->agents[i].live);
        ql_loaded_done(&b->agents[i].loaded);
    }
    for (size_t i = 0; i < b->wanted_count; i++)
        free(b->wanted[i].text);
    free(b->wanted);
    free(b);
}

/* ---- the list ---- */

void ql_moves_add(struct ql_leases *l, enum ql_move_kind kind, const char *id, int64_t generation)
{
    struct ql_move *m;

    if (l->move_count == l->move_room) {
        size_t room = l->move_room ? l->move_room * 2 : 256;
        struct ql_move *wide = reallocarray(l->moves, room, sizeof *wide);

        if (!wide) {
            l->wants_survey = true; /* found again then */
            return;
        }
        l->moves = wide;
        l->move_room = room;
    }
    m = &l->moves[l->move_count++];
    *m = (struct ql_move){.kind = kind, .generation = generation};
    (void)snprintf(m->id, sizeof m->id, "%s", id); /* ids are no longer */
}

void ql_moves_clear(struct ql_leases *l)
{
    l->move_count = l->move_at = 0;
}

/* ---- the store's side ---- */

static int change_hands(struct ql_txn *t, const struct batch *b, struct moving *m, struct ql_err *err)
{
    const bool gives = m->move.kind == QL_MOVE_GIVE;
    struct ql_agent_row *row = &m->loaded.row;
    const int64_t before = row->generation;
    int r = gives ? ql_live_apply(m->live, row, err) : QL_OK;

    if (r == QL_OK)
        r = ql_member_own(gives ? &m->to : &b->self, row, err);
    row->generation = before + 1;
    return r == QL_OK ? ql_agents_update(t, row, before, err) : r;
}

/* A row that was changed meanwhile is left alone: it is decided anew when the change is read. */
static int move_one(struct ql_txn *t, const struct batch *b, struct moving *m, struct ql_err *err)
{
    const struct ql_agent_row *row = &m->loaded.row;
    int r;

    m->is_done = false;
    m->damage = QL_OK;
    ql_loaded_done(&m->loaded);
    r = ql_agents_get(t, m->move.id, &m->loaded.row, err);
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    if (m->move.kind != QL_MOVE_READ && row->generation != m->move.generation)
        return QL_OK;
    if (m->move.kind != QL_MOVE_TAKE && (!row->lease_owner || strcmp(row->lease_owner, b->self.name) != 0))
        return QL_OK;
    if (m->move.kind != QL_MOVE_READ)
        r = change_hands(t, b, m, err);
    m->is_done = r == QL_OK;
    if (r == QL_OK && m->move.kind != QL_MOVE_GIVE)
        m->damage = ql_loaded_refs(&m->loaded, &m->why);
    return r == QL_ECONFLICT ? QL_OK : r;
}

static int move_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct batch *b = arg;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < b->count; i++)
        r = move_one(t, b, &b->agents[i], err);
    return r;
}

static int contents_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct batch *b = arg;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < b->wanted_count; i++) {
        struct wanted *w = &b->wanted[i];
        char hex[65];

        free(w->text); /* a transaction may run more than once */
        w->text = NULL;
        ql_hex_encode(w->digest, sizeof w->digest, hex);
        r = ql_policies_content(t, hex, &w->text, &w->len, err);
        r = r == QL_ENOTFOUND ? QL_OK : r;
    }
    return r;
}

/* ---- when it is done ---- */

static void batch_ended(struct batch *b)
{
    struct ql_leases *l = b->leases;

    l->is_moving = false;
    batch_free(b);
    if (!l->verifier->is_stopping)
        ql_moves_run(l);
}

static void given(struct ql_leases *l, const struct moving *m)
{
    struct ql_agent *a = ql_agents_find(&l->verifier->agents, m->move.id);

    if (!a || !a->is_deleting || a->generation != m->move.generation)
        return; /* an order came between, and has seen to it */
    if (m->is_done) {
        ql_agent_remove(a);
        return;
    }
    a->is_deleting = false;
    ql_schedule_after(a, 0);
}

static struct wanted *wanted_of(struct batch *b, const uint8_t digest[32])
{
    for (size_t i = 0; i < b->wanted_count; i++)
        if (memcmp(b->wanted[i].digest, digest, sizeof b->wanted[i].digest) == 0)
            return &b->wanted[i];
    return NULL;
}

/** @return false: a policy has left memory meanwhile, it has to be read again */
static bool fill_policies(struct batch *b, struct ql_loaded *loaded)
{
    struct ql_contents *contents = b->leases->verifier->contents;

    for (size_t i = 0; i < loaded->policy_count; i++) {
        const uint8_t *digest = loaded->policies[i].digest;
        struct wanted *w = wanted_of(b, digest);

        if (ql_contents_has(contents, digest))
            continue;
        if (strcmp(loaded->policies[i].validator, "tpm-policy") == 0) {
            loaded->policies[i].content = loaded->row.tpm_policy ? strdup(loaded->row.tpm_policy) : NULL;
            loaded->policies[i].len = loaded->policies[i].content ? strlen(loaded->policies[i].content) : 0;
        } else if (!w) {
            return false;
        } else {
            loaded->policies[i].content = ql_steal(w->text);
            loaded->policies[i].len = w->len;
        }
    }
    return true;
}

static void adopt(struct batch *b, struct moving *m)
{
    struct ql_leases *l = b->leases;
    struct ql_verifier *v = l->verifier;
    const struct ql_agent_row *row = &m->loaded.row;
    const struct ql_agent *a = ql_agents_find(&v->agents, m->move.id);
    int r = m->damage;

    if (!m->is_done || !ql_leases_own(v, row) ||
        !ql_agent_is_polled(v, row->operational_state, row->severity_level))
        return;
    if (a && (a->is_deleting || a->generation == row->generation))
        return;
    if (r == QL_OK && !fill_policies(b, &m->loaded)) {
        ql_moves_add(l, QL_MOVE_READ, m->move.id, row->generation);
        return;
    }
    if (r == QL_OK)
        r = ql_agent_resume(v, &m->loaded, true, &m->why);
    if (r == QL_ENOMEM) {
        l->wants_survey = true;
    } else if (r < 0) {
        ql_log(QL_ERROR, "store", "agent=%s: cannot be polled: %s", m->move.id, m->why.text);
        ql_row_fail(v, row, m->why.text);
    }
}

static void adopt_all(struct batch *b)
{
    size_t taken = 0;

    for (size_t i = 0; i < b->count; i++) {
        taken += b->agents[i].is_done && b->agents[i].move.kind == QL_MOVE_TAKE;
        if (b->agents[i].move.kind != QL_MOVE_GIVE)
            adopt(b, &b->agents[i]);
    }
    if (taken > 0)
        ql_log(QL_INFO, "lease", "%zu agents taken over", taken);
    batch_ended(b);
}

static void contents_read(int result, const struct ql_err *err, void *arg)
{
    struct batch *b = arg;

    if (b->leases->verifier->is_closing || result < 0) {
        if (result < 0)
            ql_log(QL_ERROR, "lease", "policies of agents not read: %s", err->text);
        b->leases->wants_survey = true;
        batch_ended(b);
        return;
    }
    adopt_all(b);
}

/* Contents that no agent in memory has. @return false: no memory */
static bool find_wanted(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct ql_loaded *loaded = &b->agents[i].loaded;

        for (size_t p = 0; b->agents[i].is_done && p < loaded->policy_count; p++) {
            struct wanted *wide;

            if (b->agents[i].move.kind == QL_MOVE_GIVE ||
                strcmp(loaded->policies[p].validator, "tpm-policy") == 0 ||
                ql_contents_has(b->leases->verifier->contents, loaded->policies[p].digest) ||
                wanted_of(b, loaded->policies[p].digest))
                continue;
            wide = reallocarray(b->wanted, b->wanted_count + 1, sizeof *wide);
            if (!wide)
                return false;
            b->wanted = wide;
            b->wanted[b->wanted_count] = (struct wanted){0};
            memcpy(b->wanted[b->wanted_count++].digest, loaded->policies[p].digest, 32);
        }
    }
    return true;
}

static void moved(int result, const struct ql_err *err, void *arg)
{
    struct batch *b = arg;
    struct ql_leases *l = b->leases;
    struct ql_err why = QL_ERR_INIT;

    if (l->verifier->is_closing) {
        batch_ended(b);
        return;
    }
    if (result < 0)
        ql_log(QL_WARN, "lease", "agents not moved, tried again: %s", err->text);
    for (size_t i = 0; i < b->count; i++) {
        b->agents[i].is_done = b->agents[i].is_done && result == QL_OK;
        if (b->agents[i].move.kind == QL_MOVE_GIVE)
            given(l, &b->agents[i]);
    }
    if (result < 0 || !find_wanted(b)) {
        l->wants_survey = true;
        batch_ended(b);
    } else if (b->wanted_count == 0) {
        adopt_all(b);
    } else if (ql_store_submit(l->verifier->store, contents_txn, contents_read, b, &why) < 0) {
        contents_read(why.code, &why, b);
    }
}

/* ---- beginning ---- */

/* From here on nothing is asked of it, and what is under way changes nothing. @return false: not now, or not at all */
static bool let_go(struct ql_leases *l, struct moving *m)
{
    struct ql_agent *a = ql_agents_find(&l->verifier->agents, m->move.id);
    const struct ql_member *best = ql_member_for(&l->members, m->move.id);

    if (!a || a->is_deleting || a->generation != m->move.generation || !best ||
        strcmp(best->name, l->name) == 0)
        return false;
    if (a->op && a->op->failing) {
        l->wants_survey = true; /* its failure is being stored: that comes first */
        return false;
    }
    m->live = ql_live_take(a);
    if (!m->live)
        return false;
    m->to = *best;
    ql_agent_halt(a);
    a->is_deleting = true;
    ql_agents_progress_drop(l->verifier->store, a->id);
    return true;
}

void ql_moves_run(struct ql_leases *l)
{
    const struct ql_member *self = ql_member_find(&l->members, l->name);
    struct ql_err err = QL_ERR_INIT;
    struct batch *b;

    if (l->move_at == l->move_count)
        ql_moves_clear(l);
    if (l->is_moving || l->move_count == 0 || !self || !ql_leases_hold(l->verifier) ||
        l->verifier->is_stopping)
        return;
    b = calloc(1, sizeof *b);
    if (!b)
        return;
    b->leases = l;
    b->self = *self;
    while (l->move_at < l->move_count && b->count < QL_MOVES_BATCH) {
        struct moving *m = &b->agents[b->count];

        *m = (struct moving){.move = l->moves[l->move_at++], .why = QL_ERR_INIT};
        b->count += m->move.kind != QL_MOVE_GIVE || let_go(l, m);
    }
    if (b->count == 0) {
        free(b);
        return;
    }
    l->is_moving = true;
    if (ql_store_submit(l->verifier->store, move_txn, moved, b, &err) < 0)
        moved(err.code, &err, b);
}
