/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "beat.h"
#include "clock.h"
#include "error.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

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

/* ---- what follows from what was seen ---- */

static void consider(struct ql_leases *l, const struct ql_sight *s)
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
    struct ql_survey *s = arg;
    struct ql_leases *l = s->leases;

    l->is_surveying = false;
    if (result < 0)
        ql_log(QL_WARN, "lease", "agents not looked at: %s", err->text);
    for (size_t i = 0; result == QL_OK && i < s->sights.count && !l->verifier->is_closing; i++)
        if (s->sights.all[i].is_ours)
            consider(l, &s->sights.all[i]);
    l->wants_survey |= result < 0;
    ql_sights_done(&s->sights);
    free(s);
    if (!l->verifier->is_closing)
        ql_moves_run(l);
}

/* Not while agents move: what was decided would be decided again. */
static void survey(struct ql_leases *l)
{
    struct ql_survey *s;
    struct ql_err err = QL_ERR_INIT;

    if (l->is_surveying || l->is_moving || (!l->wants_survey && ql_mono_ns() < l->survey_due_ns))
        return;
    s = calloc(1, sizeof *s);
    if (s)
        s->leases = l;
    l->is_surveying = s && ql_store_submit(l->verifier->store, ql_survey_txn, surveyed, s, &err) == QL_OK;
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

static void beat_done(struct ql_beat *b)
{
    ql_member_list_done(&b->members);
    ql_sights_done(&b->sights);
    free(b);
}

static void take_beat(struct ql_leases *l, struct ql_beat *b)
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
    struct ql_beat *b = arg;
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

static struct ql_beat *new_beat(struct ql_leases *l)
{
    struct ql_beat *b = calloc(1, sizeof *b);

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
    struct ql_beat *b = l->is_beating ? NULL : new_beat(l);
    struct ql_err err = QL_ERR_INIT;

    if (!b)
        return;
    l->is_beating = ql_store_submit(l->verifier->store, ql_beat_txn, beaten, b, &err) == QL_OK;
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

static int be_alone(struct ql_leases *l, struct ql_err *err)
{
    struct ql_beat *b = new_beat(l);
    int r = b ? ql_store_run(l->verifier->store, ql_beat_alone_txn, b, err) : ql_fail_nomem(err);

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
    struct ql_beat *b = new_beat(l);
    int r = b ? ql_store_run(l->verifier->store, ql_beat_txn, b, err) : ql_fail_nomem(err);

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
