/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "beat.h"
#include "changes.h"
#include "error.h"
#include "verifier.h"

/* Sealed into each member's row: whoever can open it has the same store_key_file. */
static const char proof_text[] = "quicklime member";

void ql_sights_done(struct ql_sights *s)
{
    free(s->all);
    *s = (struct ql_sights){0};
}

static struct ql_sight *next_sight(struct ql_sights *s)
{
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        struct ql_sight *wide = reallocarray(s->all, room, sizeof *wide);

        if (!wide)
            return NULL;
        s->all = wide;
        s->room = room;
    }
    s->all[s->count] = (struct ql_sight){.severity = -1};
    return &s->all[s->count++];
}

struct taking {
    struct ql_sights *sights;
    const char *uuid;
};

static int take_mark(void *arg, const struct ql_agent_mark *m)
{
    const struct taking *g = arg;
    struct ql_sight *s;

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
    struct ql_beat *b = arg;
    struct ql_sight *s;

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
static int look_at(struct ql_txn *t, struct ql_sights *s, const char *uuid, struct ql_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        struct ql_sight one[1];
        struct ql_sights out = {.all = one, .room = 1};
        struct taking g = {.sights = &out, .uuid = uuid};
        int r = ql_agents_mark(t, s->all[i].id, take_mark, &g, err);

        if (r == QL_OK && out.count)
            s->all[i] = one[0];
        else if (r < 0 && r != QL_ENOTFOUND)
            return r;
    }
    return QL_OK;
}

static int read_changes(struct ql_txn *t, struct ql_beat *b, struct ql_err *err)
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
    struct ql_beat *b = arg;
    const struct ql_verifier *v = b->leases->verifier;
    ql_auto(ql_secret_freep) struct ql_secret *opened = NULL;

    if (strcmp(row->uuid, v->uuid) == 0 && row->proof &&
        ql_seal_unwrap(v->seal, row->proof, row->proof_len, &opened, NULL) < 0)
        (void)ql_fail(&b->proof_err, QL_EACCES, /* looked at by the caller */
                      "store_key_file is not that of verifier %.127s, with which agents are to be shared",
                      row->name);
    return 0;
}

static int insert(struct ql_txn *t, const struct ql_beat *b, struct ql_err *err)
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

int ql_beat_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_beat *b = arg;
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

int ql_survey_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_survey *s = arg;
    struct taking g = {.sights = &s->sights, .uuid = s->leases->verifier->uuid};

    s->sights.count = 0;
    return ql_agents_marks(t, take_mark, &g, err);
}

static int find_member(void *arg, const struct ql_member_row *row)
{
    struct ql_beat *b = arg;

    if (strcmp(row->uuid, b->leases->verifier->uuid) == 0 && strcmp(row->name, b->name) != 0)
        (void)ql_fail(&b->proof_err, QL_EACCES, "%.127s", row->name); /* looked at by the caller */
    return 0;
}

/* Come, so that those who are gone are taken out, see who is there, and leave. */
int ql_beat_alone_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_beat *b = arg;
    const struct ql_verifier *v = b->leases->verifier;
    int r;

    b->proof_err = (struct ql_err)QL_ERR_INIT;
    r = ql_members_each(t, find_member, b, err);
    if (r < 0 || b->proof_err.code == QL_OK)
        return r; /* as almost always: nothing to write */
    b->proof_err = (struct ql_err)QL_ERR_INIT;
    r = insert(t, b, err);
    if (r == QL_OK)
        r = ql_members_claim(t, b->name, v->uuid, b->leases->ttl_ms, false, &b->held, err);
    if (r == QL_OK)
        r = ql_members_each(t, find_member, b, err);
    return r == QL_OK ? ql_members_delete(t, b->name, err) : r;
}
