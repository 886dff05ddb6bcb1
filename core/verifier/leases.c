/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "changes.h"
#include "clock.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

/* Sealed into each member's row: whoever can open it has the same store_key_file. */
static const char proof_text[] = "quicklime member";

/** What a look at the database found of one agent. */
struct sight {
    char id[81];
    bool is_there, is_ours; /* ours: of this uuid */
    char owner[QL_MEMBER_NAME_MAX + 1];
    int64_t generation, state, severity;
};

struct sights {
    struct sight *all;
    size_t count, room;
};

/** One look. Made on the loop, filled on the store thread. */
struct beat {
    struct ql_leases *leases;
    char name[QL_MEMBER_NAME_MAX + 1];
    bool joins, spares;
    int64_t began_ns; /* CLOCK_BOOTTIME, before the database was asked */
    int64_t after;
    /* what came out */
    bool held;
    struct ql_member_list members;
    struct ql_err proof_err; /* code 0: all have our key */
    struct sights sights;
    int64_t seen, outbox;
    bool has_gap, has_more;
};

/** A look at all agents. */
struct survey {
    struct ql_leases *leases;
    struct sights sights;
};

/* ---- questions ---- */

bool ql_leases_hold(const struct ql_verifier *v)
{
    return !v->leases || ql_boot_ns() < v->leases->until_ns;
}

bool ql_leases_lead(const struct ql_verifier *v)
{
    return !v->leases || (v->leases->leads && ql_leases_hold(v));
}

bool ql_leases_own(const struct ql_verifier *v, const struct ql_agent_row *row)
{
    return !v->leases || (row->lease_owner && strcmp(row->lease_owner, v->leases->name) == 0);
}

int ql_leases_assign(const struct ql_verifier *v, struct ql_txn *t, struct ql_agent_row *row,
                     struct ql_err *err)
{
    return v->leases ? ql_members_assign(t, v->uuid, row, err) : QL_OK;
}

/* ---- the store's side ---- */

static void sights_done(struct sights *s)
{
    free(s->all);
    *s = (struct sights){0};
}

static struct sight *next_sight(struct sights *s)
{
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        struct sight *wide = reallocarray(s->all, room, sizeof *wide);

        if (!wide)
            return NULL;
        s->all = wide;
        s->room = room;
    }
    s->all[s->count] = (struct sight){.severity = -1};
    return &s->all[s->count++];
}

struct taking {
    struct sights *sights;
    const char *uuid;
};

static int take_mark(void *arg, const struct ql_agent_mark *m)
{
    const struct taking *g = arg;
    struct sight *s;

    if (strlen(m->agent_id) >= sizeof s->id)
        return 0; /* nobody can poll it */
    s = next_sight(g->sights);
    if (!s)
        return QL_ENOMEM;
    memcpy(s->id, m->agent_id, strlen(m->agent_id) + 1);
    s->is_there = true;
    s->is_ours = m->verifier_id && strcmp(m->verifier_id, g->uuid) == 0;
    if (m->lease_owner && strlen(m->lease_owner) < sizeof s->owner)
        memcpy(s->owner, m->lease_owner, strlen(m->lease_owner) + 1);
    s->generation = m->generation;
    s->state = m->operational_state;
    s->severity = m->severity_level;
    return 0;
}

static int take_change(void *arg, int64_t seq, const char *kind, const char *id)
{
    struct beat *b = arg;
    struct sight *s;

    b->has_gap |= seq != b->seen + 1; /* the oldest leave after a while */
    b->seen = seq;
    if (strcmp(kind, "agent") != 0 || strlen(id) >= sizeof s->id)
        return 0; /* who uses a policy that was replaced is written itself */
    s = next_sight(&b->sights);
    if (!s)
        return QL_ENOMEM;
    memcpy(s->id, id, strlen(id) + 1);
    return 0;
}

/* What is there now of those that were changed. */
static int look_at(struct ql_txn *t, struct sights *s, const char *uuid, struct ql_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        struct sight one[1];
        struct sights out = {.all = one, .room = 1};
        struct taking g = {.sights = &out, .uuid = uuid};
        int r = ql_agents_mark(t, s->all[i].id, take_mark, &g, err);

        if (r == QL_OK && out.count)
            s->all[i] = one[0];
        else if (r < 0 && r != QL_ENOTFOUND)
            return r;
    }
    return QL_OK;
}

static int read_changes(struct ql_txn *t, struct beat *b, struct ql_err *err)
{
    int r;

    b->seen = b->after;
    b->has_gap = b->has_more = false;
    b->sights.count = 0;
    if (b->after < 0) {
        b->has_gap = true;
        return ql_counter_last(t, "changes", &b->seen, err);
    }
    r = ql_changes_each(t, b->after, QL_LEASE_CHANGES_MAX, take_change, b, err);
    b->has_more = b->sights.count == QL_LEASE_CHANGES_MAX;
    return r == QL_OK ? look_at(t, &b->sights, b->leases->verifier->uuid, err) : r;
}

static int check_proof(void *arg, const struct ql_member_row *row)
{
    struct beat *b = arg;
    const struct ql_verifier *v = b->leases->verifier;
    ql_auto(ql_secret_freep) struct ql_secret *opened = NULL;

    if (strcmp(row->uuid, v->uuid) == 0 && row->proof &&
        ql_seal_unwrap(v->seal, row->proof, row->proof_len, &opened, NULL) < 0)
        (void)ql_fail(&b->proof_err, QL_EACCES, /* looked at by the caller */
                      "store_key_file is not that of verifier %.127s, with which agents are to be shared",
                      row->name);
    return 0;
}

static int insert(struct ql_txn *t, const struct beat *b, struct ql_err *err)
{
    const struct ql_verifier *v = b->leases->verifier;
    struct ql_member_row row = {.name = (char *)(uintptr_t)b->name, .uuid = (char *)(uintptr_t)v->uuid};
    ql_auto_free uint8_t *proof = NULL;
    ql_auto_free char *address = NULL;
    int r = ql_seal_wrap(v->seal, proof_text, sizeof proof_text - 1, &proof, &row.proof_len, err);

    if (r < 0)
        return r;
    if (asprintf(&address, "%s:%u", ql_config_string(v->config, "verifier", "ip"),
                 ql_http_server_port(v->https)) < 0)
        return ql_fail_nomem(err);
    row.proof = proof;
    row.address = address;
    return ql_members_insert(t, &row, err);
}

static int beat_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct beat *b = arg;
    const struct ql_verifier *v = b->leases->verifier;
    int r = QL_OK;

    ql_member_list_done(&b->members); /* a transaction may run more than once */
    if (b->joins) {
        b->proof_err = (struct ql_err)QL_ERR_INIT;
        r = ql_members_each(t, check_proof, b, err);
        if (r == QL_OK && b->proof_err.code < 0)
            r = ql_fail(err, b->proof_err.code, "%s", b->proof_err.text);
        if (r == QL_OK)
            r = insert(t, b, err);
    }
    b->held = false;
    if (r == QL_OK && !b->joins)
        r = ql_members_renew(t, b->name, b->leases->ttl_ms, &b->held, err);
    /* Whose own lease has run out does not take others for gone: the database was away for them, too. */
    if (r == QL_OK)
        r = ql_members_claim(t, b->name, v->uuid, b->leases->ttl_ms, !b->joins && (b->spares || !b->held),
                             &b->held, err);
    if (r == QL_OK)
        r = ql_members_list(t, v->uuid, &b->members, err);
    if (r == QL_OK)
        r = read_changes(t, b, err);
    return r == QL_OK ? ql_counter_last(t, "outbox", &b->outbox, err) : r;
}

static int survey_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct survey *s = arg;
    struct taking g = {.sights = &s->sights, .uuid = s->leases->verifier->uuid};

    s->sights.count = 0;
    return ql_agents_marks(t, take_mark, &g, err);
}

/* ---- what follows from what was seen ---- */

static void consider(struct ql_leases *l, const struct sight *s)
{
    struct ql_agent *a = ql_agents_find(&l->verifier->agents, s->id);
    const bool is_mine = strcmp(s->owner, l->name) == 0;
    const struct ql_member *best = ql_member_for(&l->members, s->id);
    const bool should_be_mine = best && strcmp(best->name, l->name) == 0;

    if (a && a->is_deleting)
        return; /* an order for it is being carried out, and sees to it */
    if (!s->is_there || !s->is_ours || !ql_agent_is_polled(l->verifier, s->state, s->severity)) {
        if (a)
            ql_agent_remove(a);
        return;
    }
    if (is_mine && (!a || a->generation != s->generation)) {
        ql_moves_add(l, QL_MOVE_READ, s->id, s->generation);
    } else if (is_mine && !should_be_mine) {
        ql_moves_add(l, QL_MOVE_GIVE, s->id, s->generation);
    } else if (!is_mine) {
        if (a)
            ql_agent_remove(a);
        if (should_be_mine && !ql_member_find(&l->members, s->owner))
            ql_moves_add(l, QL_MOVE_TAKE, s->id, s->generation);
    }
}

static void surveyed(int result, const struct ql_err *err, void *arg)
{
    struct survey *s = arg;
    struct ql_leases *l = s->leases;

    l->is_surveying = false;
    if (result < 0)
        ql_log(QL_WARN, "lease", "agents not looked at: %s", err->text);
    for (size_t i = 0; result == QL_OK && i < s->sights.count && !l->verifier->is_closing; i++)
        if (s->sights.all[i].is_ours)
            consider(l, &s->sights.all[i]);
    l->wants_survey |= result < 0;
    sights_done(&s->sights);
    free(s);
    if (!l->verifier->is_closing)
        ql_moves_run(l);
}

/* Not while agents move: what was decided would be decided again. */
static void survey(struct ql_leases *l)
{
    struct survey *s;
    struct ql_err err = QL_ERR_INIT;

    if (l->is_surveying || l->is_moving || (!l->wants_survey && ql_mono_ns() < l->survey_due_ns))
        return;
    s = calloc(1, sizeof *s);
    if (s)
        s->leases = l;
    l->is_surveying = s && ql_store_submit(l->verifier->store, survey_txn, surveyed, s, &err) == QL_OK;
    if (!l->is_surveying) {
        free(s);
        return; /* the next beat tries again */
    }
    l->wants_survey = false;
    l->survey_due_ns = ql_mono_ns() + QL_LEASE_SURVEY_S * QL_NS_PER_S;
}

static bool same_members(const struct ql_member_list *a, const struct ql_member_list *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!ql_member_find(b, a->members[i].name))
            return false;
    return a->count == b->count;
}

static void take_members(struct ql_leases *l, struct ql_member_list *members)
{
    const bool is_news = !same_members(&l->members, members);
    const struct ql_member *first = members->members;

    for (size_t i = 1; i < members->count; i++)
        if (members->members[i].claim_no < first->claim_no)
            first = &members->members[i];
    ql_member_list_done(&l->members);
    l->members = *members;
    *members = (struct ql_member_list){0};
    l->leads = first && strcmp(first->name, l->name) == 0;
    if (!is_news)
        return;
    l->wants_survey = true;
    ql_log(QL_INFO, "lease", "verifiers that share uuid=%s: %zu%s", l->verifier->uuid, l->members.count,
           l->leads ? ", this one delivers notifications" : "");
}

static void drop(struct ql_agent *a, void *arg)
{
    (void)arg;
    ql_agent_remove(a);
}

static void make_name(struct ql_leases *l)
{
    char host[65] = "localhost";
    uint64_t random;

    if (gethostname(host, sizeof host - 1) == 0)
        host[sizeof host - 1] = '\0';
    ql_random(&random, sizeof random);
    (void)snprintf(l->name, sizeof l->name, "%s:%u#%016llx", host, ql_http_server_port(l->verifier->https),
                   (unsigned long long)random); /* fits */
}

/* Others have taken this process for gone: it has nothing any more, and comes back as somebody else. */
static void lost(struct ql_leases *l)
{
    ql_log(QL_WARN, "lease", "lease of %s was taken over, its %zu agents are others' now", l->name,
           l->verifier->agents.count);
    l->until_ns = 0;
    l->leads = l->is_joined = false;
    l->seen = -1;
    ql_moves_clear(l);
    ql_member_list_done(&l->members);
    ql_agents_visit(&l->verifier->agents, drop, NULL);
    make_name(l);
}

/* ---- beats ---- */

static void beat_done(struct beat *b)
{
    ql_member_list_done(&b->members);
    sights_done(&b->sights);
    free(b);
}

static void take_beat(struct ql_leases *l, struct beat *b)
{
    const bool led = ql_leases_lead(l->verifier);

    l->is_joined = true;
    l->until_ns = b->began_ns + (l->ttl_ms - QL_LEASE_MARGIN_MS) * QL_NS_PER_MS;
    if (l->is_expired && ql_leases_hold(l->verifier)) {
        l->is_expired = false;
        l->spare_until_ns = b->began_ns + l->ttl_ms * QL_NS_PER_MS;
        ql_log(QL_INFO, "lease", "lease of %s holds again, polling goes on", l->name);
    }
    l->wants_survey |= b->has_gap;
    l->seen = b->seen;
    take_members(l, &b->members);
    for (size_t i = 0; i < b->sights.count; i++)
        consider(l, &b->sights.all[i]);
    if (ql_leases_lead(l->verifier) && l->verifier->outbox && (!led || b->outbox > l->outbox))
        ql_outbox_runner_wake(l->verifier->outbox);
    l->outbox = b->outbox;
}

static void beat(struct ql_leases *l);

static void beaten(int result, const struct ql_err *err, void *arg)
{
    struct beat *b = arg;
    struct ql_leases *l = b->leases;
    const bool has_more = result == QL_OK && b->has_more;

    l->is_beating = false;
    if (result < 0)
        ql_log(QL_WARN, "lease", "lease of %s not renewed: %s", l->name, err->text);
    else if (!b->held)
        lost(l);
    else
        take_beat(l, b);
    beat_done(b);
    if (l->verifier->is_stopping)
        return;
    /* What took longer than the lease was worth is of no use: at once again. */
    if (has_more || !l->is_joined || (result == QL_OK && !ql_leases_hold(l->verifier)))
        beat(l);
    if (result == QL_OK) {
        survey(l);
        ql_moves_run(l);
    }
}

static struct beat *new_beat(struct ql_leases *l)
{
    struct beat *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->leases = l;
    memcpy(b->name, l->name, sizeof b->name);
    b->joins = !l->is_joined;
    b->after = l->seen;
    b->began_ns = ql_boot_ns();
    b->spares = l->is_joined && (l->is_expired || b->began_ns < l->spare_until_ns);
    return b;
}

static void beat(struct ql_leases *l)
{
    struct beat *b = l->is_beating ? NULL : new_beat(l);
    struct ql_err err = QL_ERR_INIT;

    if (!b)
        return;
    l->is_beating = ql_store_submit(l->verifier->store, beat_txn, beaten, b, &err) == QL_OK;
    if (!l->is_beating)
        beat_done(b); /* the next tick tries again */
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct ql_leases *l = arg;

    (void)fd;
    (void)what;
    if (!l->is_expired && !ql_leases_hold(l->verifier)) {
        l->is_expired = true;
        ql_log(QL_ERROR, "lease", "lease of %s has run out, polling stops until it is renewed", l->name);
    }
    /* While it stops too: what is under way is still to be stored under this lease. */
    beat(l);
}

/* ---- life ---- */

static int find_member(void *arg, const struct ql_member_row *row)
{
    struct beat *b = arg;

    if (strcmp(row->uuid, b->leases->verifier->uuid) == 0 && strcmp(row->name, b->name) != 0)
        (void)ql_fail(&b->proof_err, QL_EACCES, "%.127s", row->name); /* looked at by the caller */
    return 0;
}

/* Come, so that those who are gone are taken out, see who is there, and leave. */
static int alone_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct beat *b = arg;
    const struct ql_verifier *v = b->leases->verifier;
    int r = insert(t, b, err);

    b->proof_err = (struct ql_err)QL_ERR_INIT;
    if (r == QL_OK)
        r = ql_members_claim(t, b->name, v->uuid, b->leases->ttl_ms, false, &b->held, err);
    if (r == QL_OK)
        r = ql_members_each(t, find_member, b, err);
    return r == QL_OK ? ql_members_delete(t, b->name, err) : r;
}

static int be_alone(struct ql_leases *l, struct ql_err *err)
{
    struct beat *b = new_beat(l);
    int r = b ? ql_store_run(l->verifier->store, alone_txn, b, err) : ql_fail_nomem(err);

    if (r == QL_OK && b->proof_err.code < 0)
        r = ql_fail(
            err, QL_EACCES,
            "leases = false, but verifier %s shares the agents of uuid \"%s\" by lease: stop it, and wait "
            "for its lease_time if it did not stop by itself",
            b->proof_err.text, l->verifier->uuid);
    if (b)
        beat_done(b);
    return r;
}

static int join(struct ql_leases *l, struct ql_err *err)
{
    static const struct timeval every = {.tv_usec = (QL_LEASE_BEAT_MS % 1000) * 1000,
                                         .tv_sec = QL_LEASE_BEAT_MS / 1000};
    struct beat *b = new_beat(l);
    int r = b ? ql_store_run(l->verifier->store, beat_txn, b, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        take_beat(l, b);
    if (b)
        beat_done(b);
    l->timer = event_new(l->verifier->base, -1, EV_PERSIST, on_tick, l);
    if (r == QL_OK && (!l->timer || event_add(l->timer, &every) != 0))
        r = ql_fail_nomem(err);
    if (r == QL_OK)
        survey(l);
    return r;
}

int ql_leases_start(struct ql_verifier *v, struct ql_err *err)
{
    struct ql_leases *l = calloc(1, sizeof *l);
    int r;

    if (!l)
        return ql_fail_nomem(err);
    l->verifier = v;
    l->seen = -1;
    l->ttl_ms = (int64_t)(ql_config_float(v->config, "verifier", "lease_time") * 1000) - QL_LEASE_NOTICE_MS;
    make_name(l);
    if (!ql_config_bool(v->config, "verifier", "leases")) {
        r = be_alone(l, err);
        ql_leases_free(l);
        return r;
    }
    v->leases = l;
    return join(l, err);
}

static int leave_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct ql_leases *l = arg;
    int r = ql_members_delete(t, l->name, err);

    return r == QL_ENOTFOUND ? QL_OK : r;
}

static void left(int result, const struct ql_err *err, void *arg)
{
    const struct ql_leases *l = arg;

    if (result < 0)
        ql_log(QL_WARN, "lease", "%s could not leave, its lease has to run out: %s", l->name, err->text);
}

void ql_leases_leave(struct ql_verifier *v)
{
    struct ql_err err = QL_ERR_INIT;

    if (!v->leases || !v->leases->is_joined)
        return;
    v->leases->until_ns = 0;
    if (ql_store_submit(v->store, leave_txn, left, v->leases, &err) < 0)
        left(err.code, &err, v->leases);
}

void ql_leases_free(struct ql_leases *l)
{
    if (!l)
        return;
    if (l->timer)
        event_free(l->timer);
    ql_moves_clear(l);
    free(l->moves);
    ql_member_list_done(&l->members);
    free(l);
}
