/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

enum {
    BATCH_MAX = 64,          /* rows read or written at a time */
    AGAIN_S = 5,             /* pause after something could not be read or written */
    LOOK_S = 1,              /* how often is looked for what has expired and for what to store */
    STORE_EVERY = 5,         /* looks between two times that `pending` is stored */
    PENDING_MAX = 64 * 1024, /* bytes of a row's `pending` */
    ADDRESS_SHOWN = 128
};

/** Rows on their way from the store. */
struct batch {
    struct ql_outbox_runner *runner;
    int64_t after, last; /* the last one looked at, of whatever uuid */
    struct ql_outbox_row rows[BATCH_MAX];
    size_t count, looked;
};

/** Rows on their way to the store. */
struct writing {
    struct ql_outbox_runner *runner;
    int64_t done[BATCH_MAX];
    size_t done_count;
    struct {
        struct ql_outbox_row row; /* copies of texts; owned */
    } changed[BATCH_MAX];
    size_t changed_count;
};

struct ql_outbox_runner {
    struct ql_verifier *verifier;
    struct ql_note_list notes;
    size_t count, bytes;
    int64_t last_seq; /* of the rows read */
    int64_t *gone;    /* rows to delete */
    size_t gone_count, gone_room;
    struct event *look, *settle, *again;
    bool is_reading, is_awake, is_writing, is_full;
    unsigned looks;
    struct ql_told *told;   /* NULL: agents are not told */
    struct ql_feeds *feeds; /* webhook, ZeroMQ, actions of plugins */
};

struct ql_note_list *ql_outbox_notes(struct ql_outbox_runner *o)
{
    return &o->notes;
}

static void soon(struct event *e, int seconds)
{
    const struct timeval tv = {.tv_sec = seconds};

    if (evtimer_add(e, &tv) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: notifications wait for the next failure");
}

/* ---- notes ---- */

static void note_free(struct ql_note *n)
{
    ql_outbox_row_done(&n->row);
    json_decref(n->only);
    free(n->body);
    free(n);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool is_through(const struct ql_note *n)
{
    return !n->for_agents && n->feeds == 0;
}

/* Its row is deleted later, in a batch: until then a restart would tell it again. */
static void note_gone(struct ql_outbox_runner *o, struct ql_note *n)
{
    if (o->gone_count == o->gone_room) {
        size_t room = o->gone_room ? o->gone_room * 2 : 64;
        int64_t *wide = reallocarray(o->gone, room, sizeof *wide);

        if (!wide)
            return; /* it stays in the list, and is looked at again */
        o->gone = wide;
        o->gone_room = room;
    }
    o->gone[o->gone_count++] = n->row.seq;
    TAILQ_REMOVE(&o->notes, n, next);
    o->count--;
    o->bytes -= n->bytes;
    note_free(n);
}

void ql_outbox_note_changed(struct ql_outbox_runner *o, struct ql_note *n)
{
    n->is_changed = true;
    if (is_through(n))
        soon(o->settle, 0);
}

static bool wants_agents(const struct ql_outbox_runner *o)
{
    return o->told != NULL;
}

/* Who of the notifiers has still to be told, as the row says; null: all. */
static void read_pending(const struct ql_outbox_runner *o, struct ql_note *n)
{
    ql_auto_json json_t *pending = NULL;
    const json_t *agents;
    const char *name;
    size_t i;
    json_t *id, *value;

    n->for_agents = wants_agents(o);
    n->feeds = ql_feeds_all(o->feeds);
    if (!n->row.pending ||
        ql_json_parse_object(n->row.pending, strlen(n->row.pending), PENDING_MAX, &pending, NULL) < 0)
        return;
    n->feeds = 0;
    json_object_foreach(pending, name, value)
        n->feeds |= ql_feeds_bit(o->feeds, name);
    agents = json_object_get(pending, "agent");
    n->for_agents &= agents != NULL;
    if (!json_is_array(agents))
        return;
    n->only = json_object();
    json_array_foreach(agents, i, id)
        if (json_is_string(id) && n->only &&
            json_object_set_new(n->only, json_string_value(id), json_true()) != 0) {
            json_decref(n->only); /* better twice than never */
            n->only = NULL;
        }
}

static char *make_body(const struct ql_outbox_row *row)
{
    ql_auto_json json_t *j =
        json_pack("{s:s, s:s}", "msg", row->message, "signature", or_empty(row->signature));

    return j ? ql_json_text_spaced(j) : NULL;
}

static void say(const struct ql_outbox_row *row)
{
    ql_log(QL_WARN, "revocation", "agent=%s address=%s event=%s severity=%s signed=%s: %s", row->agent_id,
           or_empty(row->agent_address), or_empty(row->event_id), or_empty(row->severity),
           row->signature && *row->signature ? "yes" : "no", row->message);
}

static int add_note(struct ql_outbox_runner *o, struct ql_outbox_row *row)
{
    struct ql_note *n = calloc(1, sizeof *n);

    if (!n || !(n->body = make_body(row))) {
        free(n);
        return QL_ENOMEM;
    }
    n->row = *row;
    *row = (struct ql_outbox_row){0};
    n->bytes = sizeof *n + 2 * strlen(n->body);
    read_pending(o, n);
    if (!n->row.pending)
        say(&n->row);
    n->is_expired = n->row.expires_ns <= ql_now_ns();
    o->last_seq = n->row.seq;
    TAILQ_INSERT_TAIL(&o->notes, n, next);
    o->count++;
    o->bytes += n->bytes;
    if (n->is_expired) {
        ql_log(QL_WARN, "revocation", "agent=%s event=%s: notification expired undelivered", n->row.agent_id,
               or_empty(n->row.event_id));
        n->for_agents = false;
        n->feeds = 0;
    } else if (n->for_agents) {
        ql_told_add(o->told, n);
    }
    return QL_OK;
}

/* ---- reading ---- */

static int take_row(void *arg, struct ql_outbox_row *row)
{
    struct batch *b = arg;

    b->looked++;
    b->last = row->seq;
    if (row->verifier_id && strcmp(row->verifier_id, b->runner->verifier->uuid) != 0)
        return 0; /* its own verifiers deliver it */
    b->rows[b->count++] = *row;
    *row = (struct ql_outbox_row){0};
    return 0;
}

static void batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        ql_outbox_row_done(&b->rows[i]);
    b->count = 0;
}

static int read_batch(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct batch *b = arg;

    batch_clear(b); /* a transaction may run more than once */
    b->last = b->after;
    b->looked = 0;
    return ql_outbox_each(t, b->after, BATCH_MAX, take_row, b, err);
}

static void begin(struct ql_outbox_runner *o);

static void batch_read(int result, const struct ql_err *err, void *arg)
{
    struct batch *b = arg;
    struct ql_outbox_runner *o = b->runner;
    bool more = b->looked == BATCH_MAX || o->is_awake;

    o->is_reading = false;
    if (result < 0) {
        ql_log(QL_WARN, "revocation", "notifications not read: %s", err->text);
        soon(o->again, AGAIN_S);
    }
    for (size_t i = 0; result == QL_OK && i < b->count; i++)
        if (b->rows[i].message && add_note(o, &b->rows[i]) < 0) {
            ql_log(QL_ERROR, "revocation", "out of memory: notifications wait");
            soon(o->again, AGAIN_S);
            result = QL_ENOMEM;
        }
    if (result == QL_OK)
        o->last_seq = b->last;
    batch_clear(b);
    free(b);
    if (o->told)
        ql_told_begin(o->told);
    if (result == QL_OK && !TAILQ_EMPTY(&o->notes))
        soon(o->settle, 0);
    ql_feeds_wake(o->feeds);
    if (result == QL_OK && more)
        begin(o);
}

static void begin(struct ql_outbox_runner *o)
{
    struct batch *b;
    struct ql_err err = QL_ERR_INIT;

    o->is_awake = o->is_reading;
    if (o->is_reading || o->verifier->is_stopping || !ql_leases_lead(o->verifier))
        return;
    o->is_full = o->count >= QL_NOTES_MAX || o->bytes >= QL_NOTES_BYTES_MAX;
    if (o->is_full)
        return; /* goes on when one leaves */
    b = calloc(1, sizeof *b);
    if (b) {
        b->runner = o;
        b->after = o->last_seq;
    }
    o->is_reading = b && ql_store_submit(o->verifier->store, read_batch, batch_read, b, &err) == QL_OK;
    if (!o->is_reading) {
        free(b);
        soon(o->again, AGAIN_S);
    }
}

/* ---- writing ---- */

static void writing_free(struct writing *w)
{
    for (size_t i = 0; i < w->changed_count; i++)
        ql_outbox_row_done(&w->changed[i].row);
    free(w);
}

static int write_rows(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct writing *w = arg;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < w->done_count; i++) {
        r = ql_outbox_delete(t, w->done[i], err);
        if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    for (size_t i = 0; r == QL_OK && i < w->changed_count; i++) {
        r = ql_outbox_update(t, &w->changed[i].row, err);
        if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    return r;
}

static void write_some(struct ql_outbox_runner *o);

static void rows_written(int result, const struct ql_err *err, void *arg)
{
    struct writing *w = arg;
    struct ql_outbox_runner *o = w->runner;

    o->is_writing = false;
    if (result < 0) {
        ql_log(QL_WARN, "revocation", "progress of notifications not stored, a restart repeats them: %s",
               err->text);
    } else if (w->done_count > 0) {
        memmove(o->gone, o->gone + w->done_count, (o->gone_count - w->done_count) * sizeof *o->gone);
        o->gone_count -= w->done_count;
    }
    writing_free(w);
    if (result == QL_OK && o->gone_count > 0 && !o->verifier->is_closing)
        write_some(o);
}

/* What a restart has to go on with. NULL: no memory */
static char *pending_text(const struct ql_outbox_runner *o, const struct ql_note *n)
{
    ql_auto_json json_t *j = json_object();
    const char *name;

    if (!j || (n->for_agents && json_object_set_new(j, "agent", ql_told_pending(o->told, n)) != 0))
        return NULL;
    for (unsigned i = 0; (name = ql_feeds_name(o->feeds, i)); i++)
        if ((n->feeds & UINT32_C(1) << i) && json_object_set_new(j, name, json_true()) != 0)
            return NULL;
    return ql_json_text(j);
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static bool copy_row(const struct ql_outbox_runner *o, const struct ql_note *n, struct ql_outbox_row *ret)
{
    *ret = (struct ql_outbox_row){.seq = n->row.seq,
                                  .agent_id = copy(n->row.agent_id),
                                  .event_id = copy(n->row.event_id),
                                  .severity = copy(n->row.severity),
                                  .agent_address = copy(n->row.agent_address),
                                  .metadata = copy(n->row.metadata),
                                  .message = copy(n->row.message),
                                  .signature = copy(n->row.signature),
                                  .created_ns = n->row.created_ns,
                                  .expires_ns = n->row.expires_ns,
                                  .pending = pending_text(o, n),
                                  .attempts = n->row.attempts + 1,
                                  .verifier_id = copy(n->row.verifier_id)};
    return ret->agent_id && ret->message && ret->pending;
}

/* Rows whose receivers are few enough to be listed; the others are as the store has them. */
static void take_changed(struct ql_outbox_runner *o, struct writing *w)
{
    struct ql_note *n;

    TAILQ_FOREACH(n, &o->notes, next)
        if (n->is_changed && !is_through(n) && n->behind <= QL_NOTE_LISTED_MAX &&
            w->changed_count < BATCH_MAX) {
            w->changed_count++;
            if (!copy_row(o, n, &w->changed[w->changed_count - 1].row)) {
                ql_outbox_row_done(&w->changed[--w->changed_count].row);
                return;
            }
            n->is_changed = false;
        }
}

static void write_some(struct ql_outbox_runner *o)
{
    struct writing *w;
    struct ql_err err = QL_ERR_INIT;

    if (o->is_writing)
        return;
    w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->runner = o;
    w->done_count = o->gone_count < BATCH_MAX ? o->gone_count : BATCH_MAX;
    if (w->done_count > 0)
        memcpy(w->done, o->gone, w->done_count * sizeof *w->done);
    if (o->looks % STORE_EVERY == 0)
        take_changed(o, w);
    o->is_writing = w->done_count + w->changed_count > 0 &&
                    ql_store_submit(o->verifier->store, write_rows, rows_written, w, &err) == QL_OK;
    if (!o->is_writing)
        writing_free(w);
}

/* ---- looking ---- */

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    struct ql_outbox_runner *o = arg;
    struct ql_note *n, *next;

    (void)fd;
    (void)what;
    for (n = TAILQ_FIRST(&o->notes); n; n = next) {
        next = TAILQ_NEXT(n, next);
        if (is_through(n))
            note_gone(o, n);
    }
    if (o->gone_count > 0)
        write_some(o);
    if (o->is_full)
        begin(o);
}

static void expire(struct ql_outbox_runner *o)
{
    const int64_t now = ql_now_ns();
    struct ql_note *n;
    bool any = false;

    TAILQ_FOREACH(n, &o->notes, next) {
        if (n->is_expired || n->row.expires_ns > now)
            continue;
        n->is_expired = any = true;
        if (!is_through(n))
            ql_log(QL_WARN, "revocation", "agent=%s event=%s: notification expired; agents not told: %zu",
                   n->row.agent_id, or_empty(n->row.event_id), n->behind);
        n->feeds = 0;
    }
    if (any && o->told)
        ql_told_expire(o->told);
    if (any)
        soon(o->settle, 0);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct ql_outbox_runner *o = arg;

    (void)fd;
    (void)what;
    o->looks++;
    expire(o);
    write_some(o);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    begin(arg);
}

static bool is_enabled(const struct ql_verifier *v, const char *name)
{
    const size_t count = ql_config_count(v->config, "revocations", "enabled_revocation_notifications");

    for (size_t i = 0; i < count; i++)
        if (strcmp(ql_config_item(v->config, "revocations", "enabled_revocation_notifications", i), name) ==
            0)
            return true;
    return false;
}

int ql_outbox_runner_new(struct ql_verifier *v, struct ql_outbox_runner **ret, struct ql_err *err)
{
    static const struct timeval look = {.tv_sec = LOOK_S};
    struct ql_outbox_runner *o = calloc(1, sizeof *o);
    int r = QL_OK;

    if (!o)
        return ql_fail_nomem(err);
    TAILQ_INIT(&o->notes);
    o->verifier = v;
    o->look = event_new(v->base, -1, EV_PERSIST, on_look, o);
    o->settle = evtimer_new(v->base, on_settle, o);
    o->again = evtimer_new(v->base, on_again, o);
    if (!o->look || !o->settle || !o->again || event_add(o->look, &look) != 0)
        r = ql_fail_nomem(err);
    if (r == QL_OK && is_enabled(v, "agent"))
        r = ql_told_new(v, o, &o->told, err);
    if (r == QL_OK)
        r = ql_feeds_new(v, o, &o->feeds, err);
    if (r < 0) {
        ql_outbox_runner_free(o);
        return r;
    }
    *ret = o;
    begin(o);
    return QL_OK;
}

void ql_outbox_runner_wake(struct ql_outbox_runner *o)
{
    begin(o);
}

void ql_outbox_runner_free(struct ql_outbox_runner *o)
{
    struct ql_note *n;

    if (!o)
        return;
    ql_told_free(o->told);
    ql_feeds_free(o->feeds);
    while ((n = TAILQ_FIRST(&o->notes))) {
        TAILQ_REMOVE(&o->notes, n, next);
        note_free(n);
    }
    if (o->look)
        event_free(o->look);
    if (o->settle)
        event_free(o->settle);
    if (o->again)
        event_free(o->again);
    free(o->gone);
    free(o);
}
