/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the agents. Each agent gets the events in order, one at a time; those that do not answer are tried again and
 * hold up nobody but themselves. An agent that is polled is told over its poll's connection, behind the polls; others (the
 * one that failed among them) get a connection for the time being.
 */
#include <string.h>

#include "clock.h"
#include "digest.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"
#include "version.h"

enum {
    FIRST_BUCKETS = 1024,
    ANSWER_MAX = 64 * 1024,
    AT_ONCE_MS = 50, /* pause after a kept connection turned out to be closed */
    GRAIN_MS = 50,   /* those that wait are looked at no more often */
    RESCAN_S = 5
};

/** An agent that has not got all events. */
struct lag {
    struct lag *chain;       /* in its bucket */
    TAILQ_ENTRY(lag) queued; /* while it is in one of the queues */
    struct ql_told *told;
    struct ql_note *at; /* what it gets next */
    char id[81];
    enum {
        LAG_READY,   /* in `ready` or `retry` */
        LAG_FLYING,  /* a call or a look into the store is under way */
        LAG_WAITING, /* in `waiting`, until due_ns */
    } state;
    unsigned failures;
    bool is_retry; /* counted in `retrying` while it flies */
    int64_t due_ns;
    unsigned api; /* spoken with it when it is not polled, or not as the poll has it; 0: as that has it */
    struct ql_peer *peer; /* of its own; NULL: that of the poll, or none yet */
};
TAILQ_HEAD(lag_queue, lag);

struct ql_told {
    struct ql_verifier *verifier;
    struct ql_outbox_runner *runner;
    struct lag **buckets;
    size_t bucket_count, count;
    struct lag_queue ready, retry, waiting;
    unsigned flying, retrying;
    struct event *pump, *wake, *rescan;
    int64_t wake_ns; /* when `wake` fires, while it is pending */
    int64_t scan_wanted,
        scanned; /* numbers of the newest events for which all agents were, or are to be, looked up */
    bool is_scanning;
    struct ql_note *first_new; /* first of those that came and were not begun with */
};

unsigned ql_tell_wait_s(unsigned failures)
{
    unsigned wait = 1;

    for (unsigned i = 1; i < failures && wait < QL_TELL_WAIT_MAX_S; i++)
        wait *= 2;
    return wait < QL_TELL_WAIT_MAX_S ? wait : QL_TELL_WAIT_MAX_S;
}

size_t ql_told_count(const struct ql_told *t)
{
    return t->count;
}

static void at_once(struct event *e)
{
    static const struct timeval now = {0};

    if (evtimer_add(e, &now) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

/* ---- table ---- */

static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a; ids come from admins, none is chosen to collide */

    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static struct lag **place(const struct ql_told *t, const char *id)
{
    struct lag **at = &t->buckets[hash(id) & (t->bucket_count - 1)];

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->chain;
    return at;
}

static bool grow(struct ql_told *t)
{
    struct ql_told wide = {.bucket_count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS};

    if (t->count < t->bucket_count)
        return true;
    wide.buckets = calloc(wide.bucket_count, sizeof(struct lag *));
    if (!wide.buckets)
        return false;
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct lag *l = t->buckets[b], *next; l; l = next) {
            struct lag **at = place(&wide, l->id);

            next = l->chain;
            l->chain = NULL;
            *at = l;
        }
    free(t->buckets);
    t->buckets = wide.buckets;
    t->bucket_count = wide.bucket_count;
    return true;
}

static void remove_lag(struct lag *l)
{
    struct ql_told *t = l->told;
    struct lag **at = place(t, l->id);
    struct ql_peer *peer = l->peer;

    *at = l->chain;
    t->count--;
    free(l);
    if (peer)
        ql_peer_free(peer);
}

/* ---- going on ---- */

static bool concerns(const struct ql_note *n, const char *id)
{
    return !n->is_expired && (!n->only || json_object_get(n->only, id));
}

static void passed(struct ql_told *t, struct ql_note *n)
{
    n->behind--;
    n->for_agents = n->behind > 0;
    ql_outbox_note_changed(t->runner, n);
}

/* To the next event that concerns it. @return false: it has got all */
static bool step_over(struct lag *l, bool is_served)
{
    while (l->at && (is_served || !concerns(l->at, l->id))) {
        struct ql_note *n = l->at;

        is_served = false;
        do
            l->at = TAILQ_NEXT(l->at, next);
        while (l->at && !l->at->for_agents);
        passed(l->told, n);
    }
    return l->at != NULL;
}

static void make_ready(struct lag *l)
{
    struct ql_told *t = l->told;

    l->state = LAG_READY;
    if (l->failures > 0)
        TAILQ_INSERT_TAIL(&t->retry, l, queued);
    else
        TAILQ_INSERT_TAIL(&t->ready, l, queued);
    at_once(t->pump);
}

/* The call is over. */
static void land(struct lag *l)
{
    struct ql_told *t = l->told;

    t->flying--;
    t->retrying -= l->is_retry ? 1 : 0;
    l->is_retry = false;
    at_once(t->pump);
}

/* It has got its event, or is not to get it. */
static void served(struct lag *l)
{
    land(l);
    l->failures = 0;
    if (step_over(l, true))
        make_ready(l);
    else
        remove_lag(l);
}

static void wake_at(struct ql_told *t, int64_t due_ns)
{
    int64_t wait = due_ns - ql_mono_ns();
    struct timeval tv;

    if (evtimer_pending(t->wake, NULL) && t->wake_ns <= due_ns)
        return;
    if (wait < GRAIN_MS * QL_NS_PER_MS)
        wait = GRAIN_MS * QL_NS_PER_MS;
    tv = ql_timeval(wait);
    t->wake_ns = due_ns;
    if (evtimer_add(t->wake, &tv) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

static void failed(struct lag *l, int code, const char *why)
{
    struct ql_told *t = l->told;
    unsigned wait;
    uint32_t random;

    land(l);
    if (!concerns(l->at, l->id)) {
        if (step_over(l, false))
            make_ready(l);
        else
            remove_lag(l);
        return;
    }
    wait = ql_tell_wait_s(++l->failures);
    ql_log(l->failures == 1   ? QL_INFO
           : l->failures == 2 ? QL_WARN
                              : QL_DEBUG,
           "revocation", "peer=%s agent=%s attempt=%u: not told yet: %s", l->id, l->at->row.agent_id,
           l->failures, why);
    /* Not all at the same moment when a network comes back. */
    ql_random(&random, sizeof random);
    if (l->failures == 1 && (code == QL_ECLOSED || code == QL_EIO))
        l->due_ns = ql_mono_ns() + AT_ONCE_MS * QL_NS_PER_MS;
    else
        l->due_ns = ql_mono_ns() + wait * QL_NS_PER_S + random % (wait * 250) * QL_NS_PER_MS;
    l->state = LAG_WAITING;
    TAILQ_INSERT_TAIL(&t->waiting, l, queued);
    wake_at(t, l->due_ns);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct ql_told *t = arg;
    const int64_t now = ql_mono_ns();
    struct lag *l, *next;
    const struct lag *first;

    (void)fd;
    (void)what;
    for (l = TAILQ_FIRST(&t->waiting); l; l = next) {
        next = TAILQ_NEXT(l, queued);
        if (l->due_ns > now)
            continue;
        TAILQ_REMOVE(&t->waiting, l, queued);
        make_ready(l);
    }
    first = TAILQ_FIRST(&t->waiting);
    TAILQ_FOREACH(l, &t->waiting, queued)
        if (l->due_ns < first->due_ns)
            first = l;
    if (first)
        wake_at(t, first->due_ns);
}

/* ---- calls ---- */

static json_t *answer_of(const struct ql_http_result *r)
{
    json_t *answer = NULL;

    if (!r->body || ql_json_parse_object((const char *)r->body, r->body_len, ANSWER_MAX, &answer, NULL) < 0)
        return NULL;
    return answer;
}

static bool says_version(const struct ql_http_result *r)
{
    ql_auto_json json_t *answer = r->status == 400 ? answer_of(r) : NULL;
    const json_t *status = json_object_get(answer, "status");

    return json_is_string(status) && strstr(json_string_value(status), "API version not supported");
}

/* The connection to use, and the version spoken there; NULL: there is none yet. */
static struct ql_peer *peer_of(const struct lag *l, unsigned *api)
{
    struct ql_agent *a = ql_agents_find(&l->told->verifier->agents, l->id);
    struct ql_err err = QL_ERR_INIT;

    *api = l->api;
    if (a && ql_agent_connect(a, &err) == QL_OK) {
        if (*api == 0)
            *api = a->api;
        return a->peer;
    }
    return l->peer;
}

static void on_version(struct ql_http_result *r, void *arg)
{
    struct lag *l = arg;
    ql_auto_json json_t *answer = r->error == QL_OK && r->status == 200 ? answer_of(r) : NULL;
    struct ql_err err = QL_ERR_INIT;
    unsigned api = 0;

    if (l->told->verifier->is_closing)
        return;
    if (!answer ||
        ql_api_negotiate(ql_agent_api_versions, json_object_get(answer, "results"), 2, &api, &err) < 0) {
        failed(l, QL_EUNSUPPORTED, "no API version in common");
        return;
    }
    if (api == l->api) {
        failed(l, QL_EUNSUPPORTED, "refuses the API version that it offers");
        return;
    }
    l->api = api;
    land(l);
    make_ready(l);
}

static void ask_version(struct lag *l)
{
    const struct ql_call call = {.method = QL_GET,
                                 .path = "/version",
                                 .deadline_ms = QL_TELL_MS,
                                 .response_max = ANSWER_MAX,
                                 .background = true};
    struct ql_err err = QL_ERR_INIT;
    unsigned api;
    struct ql_peer *peer = peer_of(l, &api);

    if (!peer || ql_peer_call(peer, &call, on_version, l, &err) < 0)
        failed(l, QL_ECLOSED, peer ? err.text : "not connected");
}

static void on_told(struct ql_http_result *r, void *arg)
{
    struct lag *l = arg;
    char why[160];

    if (l->told->verifier->is_closing)
        return;
    if (r->error == QL_OK && r->status == 200) {
        served(l);
        return;
    }
    if (r->error == QL_OK && says_version(r)) {
        ask_version(l);
        return;
    }
    if (r->error != QL_OK)
        (void)snprintf(why, sizeof why, "%s: %s", ql_err_name(r->error), r->error_text ? r->error_text : "");
    else
        (void)snprintf(why, sizeof why, "HTTP %d", r->status); /* fits */
    if (r->error == QL_OK && r->status < 500 && r->status != 408 && r->status != 429) {
        ql_log(QL_WARN, "revocation", "peer=%s agent=%s: refused, not told again: %s", l->id,
               l->at->row.agent_id, why);
        served(l);
        return;
    }
    failed(l, r->error, why);
}

static void post(struct lag *l, struct ql_peer *peer, unsigned api)
{
    char path[40], version[8];
    const struct ql_call call = {.method = QL_POST,
                                 .path = path,
                                 .body = l->at->body,
                                 .body_len = strlen(l->at->body),
                                 .content_type = "application/json",
                                 .deadline_ms = QL_TELL_MS,
                                 .response_max = ANSWER_MAX,
                                 .background = true};
    struct ql_err err = QL_ERR_INIT;

    (void)snprintf(path, sizeof path, "/v%s/notifications/revocation", ql_api_text(api, version)); /* fits */
    if (ql_peer_call(peer, &call, on_told, l, &err) < 0)
        failed(l, err.code, err.text);
}

/* ---- agents that are not polled ---- */

/** A look at one agent's row. */
struct looking {
    struct lag *lag;
    char id[81];
    struct ql_agent_row row;
    bool is_there;
};

static int look(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct looking *g = arg;
    int r;

    ql_agent_row_done(&g->row); /* a transaction may run more than once */
    g->row = (struct ql_agent_row){0};
    r = ql_agents_get(t, g->id, &g->row, err);
    g->is_there = r == QL_OK;
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int connect_row(struct lag *l, const struct ql_agent_row *row, struct ql_err *err)
{
    const bool is_plain = !row->mtls_cert || strcmp(row->mtls_cert, "disabled") == 0;
    struct ql_verifier *v = l->told->verifier;
    ql_auto_free uint8_t *pin = NULL;
    struct ql_peer_config config = {
        .host = row->ip, .port = (uint16_t)row->port, .tls = is_plain ? NULL : v->agent_tls};
    int r = QL_OK;

    if (!row->ip || row->port < 1 || row->port > 65535)
        return ql_fail(err, QL_ERANGE, "address is missing");
    if (is_plain && ql_config_bool(v->config, "verifier", "enable_agent_mtls"))
        return ql_fail(err, QL_ERANGE, "has no mTLS certificate");
    if (!is_plain)
        r = ql_pem_der(row->mtls_cert, &pin, &config.pin_len, err);
    config.pin = pin;
    if (!row->supported_version ||
        ql_api_parse(row->supported_version, strlen(row->supported_version), &l->api, NULL) < 0 ||
        l->api < QL_API(2, 0) || l->api > QL_API_NEWEST)
        l->api = QL_API_NEWEST;
    return r == QL_OK ? ql_peer_new(v->client, &config, &l->peer, err) : r;
}

static void looked(int result, const struct ql_err *err, void *arg)
{
    struct looking *g = arg;
    struct lag *l = g->lag;
    struct ql_err why = QL_ERR_INIT;

    if (l->told->verifier->is_closing) {
        land(l);
    } else if (result < 0) {
        failed(l, result, err->text);
    } else if (!g->is_there) {
        /* Deleted: it is nobody's peer any more. */
        land(l);
        while (step_over(l, true))
            ;
        remove_lag(l);
    } else if (connect_row(l, &g->row, &why) < 0) {
        ql_log(QL_WARN, "revocation", "peer=%s agent=%s: cannot be told: %s", l->id, l->at->row.agent_id,
               why.text);
        served(l);
    } else {
        post(l, l->peer, l->api);
    }
    ql_agent_row_done(&g->row);
    free(g);
}

static void look_up(struct lag *l)
{
    struct looking *g = calloc(1, sizeof *g);
    struct ql_err err = QL_ERR_INIT;

    if (g) {
        g->lag = l;
        memcpy(g->id, l->id, sizeof g->id);
        if (ql_store_submit(l->told->verifier->store, look, looked, g, &err) == QL_OK)
            return;
    }
    failed(l, QL_EAGAIN, g ? err.text : "out of memory");
    free(g);
}

/* ---- pump ---- */

static void start(struct lag *l)
{
    struct ql_told *t = l->told;
    unsigned api = 0;
    struct ql_peer *peer;

    l->state = LAG_FLYING;
    l->is_retry = l->failures > 0;
    t->flying++;
    t->retrying += l->is_retry ? 1 : 0;
    peer = peer_of(l, &api);
    if (peer)
        post(l, peer, api);
    else
        look_up(l);
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct ql_told *t = arg;

    (void)fd;
    (void)what;
    if (t->verifier->is_stopping || !ql_leases_lead(t->verifier))
        return;
    while (t->flying < QL_TELL_IN_FLIGHT) {
        struct lag *l = TAILQ_FIRST(&t->ready);
        struct lag_queue *from = &t->ready;

        if (!l && t->retrying < QL_TELL_AGAIN) {
            l = TAILQ_FIRST(&t->retry);
            from = &t->retry;
        }
        if (!l)
            return;
        TAILQ_REMOVE(from, l, queued);
        start(l);
    }
}

/* ---- new events ---- */

/* @return false: no memory */
static bool add_agent(struct ql_told *t, const char *id, struct ql_note *n)
{
    struct lag *l = grow(t) ? calloc(1, sizeof *l) : NULL;

    if (!l) {
        ql_log(QL_ERROR, "revocation", "peer=%s: out of memory, not told", id);
        return false;
    }
    l->told = t;
    l->at = n;
    (void)snprintf(l->id, sizeof l->id, "%s", id); /* fits: an agent's id */
    *place(t, id) = l;
    t->count++;
    n->behind++;
    make_ready(l);
    return true;
}

/*
 * An agent that waits for nothing yet: it gets the first event from @p n to number @p last that concerns it, and what follows
 * that. Those that wait already were counted when the events came.
 */
static void add_from(struct ql_told *t, const char *id, struct ql_note *n, int64_t last)
{
    if (t->bucket_count && *place(t, id))
        return;
    while (n && n->row.seq <= last && (!n->for_agents || !concerns(n, id)))
        n = TAILQ_NEXT(n, next);
    if (!n || n->row.seq > last || !add_agent(t, id, n))
        return;
    for (n = TAILQ_NEXT(n, next); n; n = TAILQ_NEXT(n, next))
        if (n->for_agents)
            n->behind++;
}

/** New events. */
struct adding {
    struct ql_told *told;
    struct ql_note *first;
    int64_t last;
};

static void add_polled(struct ql_agent *a, void *arg)
{
    const struct adding *g = arg;

    a->told_seq = g->last;
    add_from(g->told, a->id, g->first, g->last);
}

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

static void begin_scan(struct ql_told *t);

static void scan_later(struct ql_told *t)
{
    static const struct timeval pause = {.tv_sec = RESCAN_S};

    if (evtimer_add(t->rescan, &pause) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: agents are told later");
}

static void on_rescan(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    begin_scan(arg);
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
            passed(t, n);
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
            add_from(t, s->ids[i], first, s->seq);
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
        begin_scan(t);
}

static void begin_scan(struct ql_told *t)
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

void ql_told_add(struct ql_told *t, struct ql_note *n)
{
    /* Those that wait for earlier ones get it after these; and it is pinned until all agents were looked up. */
    n->behind = t->count + 1;
    t->scan_wanted = n->row.seq;
    if (!t->first_new)
        t->first_new = n;
}

void ql_told_begin(struct ql_told *t)
{
    struct adding g = {t, t->first_new, t->scan_wanted};

    if (t->count > 0)
        at_once(t->pump); /* what had to wait while another verifier delivered */
    if (!t->first_new)
        return;
    t->first_new = NULL;
    ql_agents_visit(&t->verifier->agents, add_polled, &g);
    begin_scan(t);
}

void ql_told_expire(struct ql_told *t)
{
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct lag *l = t->buckets[b], *next; l; l = next) {
            next = l->chain;
            if (l->state == LAG_FLYING || concerns(l->at, l->id))
                continue; /* what flies goes on when it lands */
            TAILQ_REMOVE(l->state == LAG_WAITING ? &t->waiting
                         : l->failures > 0       ? &t->retry
                                                 : &t->ready,
                         l, queued);
            if (step_over(l, false))
                make_ready(l);
            else
                remove_lag(l);
        }
}

json_t *ql_told_pending(const struct ql_told *t, const struct ql_note *n)
{
    ql_auto_json json_t *list = json_array();

    if (n->behind > QL_NOTE_LISTED_MAX || (t->scanned < n->row.seq))
        return json_true();
    for (size_t b = 0; list && b < t->bucket_count; b++)
        for (const struct lag *l = t->buckets[b]; l; l = l->chain)
            if (l->at->row.seq <= n->row.seq && concerns(n, l->id) &&
                json_array_append_new(list, json_string(l->id)) != 0)
                return NULL;
    return ql_steal(list);
}

int ql_told_new(struct ql_verifier *v, struct ql_outbox_runner *o, struct ql_told **ret, struct ql_err *err)
{
    struct ql_told *t = calloc(1, sizeof *t);

    if (!t)
        return ql_fail_nomem(err);
    t->verifier = v;
    t->runner = o;
    TAILQ_INIT(&t->ready);
    TAILQ_INIT(&t->retry);
    TAILQ_INIT(&t->waiting);
    t->pump = evtimer_new(v->base, on_pump, t);
    t->wake = evtimer_new(v->base, on_wake, t);
    t->rescan = evtimer_new(v->base, on_rescan, t);
    if (!t->pump || !t->wake || !t->rescan) {
        ql_told_free(t);
        return ql_fail_nomem(err);
    }
    *ret = t;
    return QL_OK;
}

void ql_told_free(struct ql_told *t)
{
    if (!t)
        return;
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct lag *l = t->buckets[b], *next; l; l = next) {
            next = l->chain;
            if (l->peer)
                ql_peer_free(l->peer); /* its callback sees that the verifier is closing */
            free(l);
        }
    free(t->buckets);
    if (t->pump)
        event_free(t->pump);
    if (t->wake)
        event_free(t->wake);
    if (t->rescan)
        event_free(t->rescan);
    free(t);
}
