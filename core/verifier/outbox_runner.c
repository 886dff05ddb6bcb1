/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

enum {
    BATCH_MAX = 64,    /* rows read at a time */
    AGAIN_S = 5,       /* pause after something could not be delivered or read */
    PENDING_MAX = 4096 /* bytes of a row's `pending` */
};

static const struct ql_notifier notifiers[] = {
    {.name = "log", .notify = ql_notify_log},
};

const char *ql_outbox_pending(void)
{
    return "[\"log\"]";
}

int ql_notify_log(struct ql_verifier *v, const struct ql_outbox_row *event, struct ql_err *err)
{
    (void)v;
    (void)err;
    ql_log(QL_WARN, "revocation", "agent=%s address=%s event=%s severity=%s signed=%s: %s", event->agent_id,
           event->agent_address ? event->agent_address : "", event->event_id ? event->event_id : "",
           event->severity ? event->severity : "", event->signature && *event->signature ? "yes" : "no",
           event->message);
    return QL_OK;
}

struct batch {
    struct ql_outbox_runner *runner;
    struct ql_outbox_row rows[BATCH_MAX];
    bool done[BATCH_MAX];
    size_t count;
};

struct ql_outbox_runner {
    struct ql_verifier *verifier;
    struct event *timer;
    bool is_busy, is_awake; /* a batch is under way; something came meanwhile */
};

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++)
        ql_outbox_row_done(&b->rows[i]);
    free(b);
}

static void wait_s(struct ql_outbox_runner *o, int seconds)
{
    const struct timeval tv = {.tv_sec = seconds};

    if (evtimer_add(o->timer, &tv) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: notifications wait for the next failure");
}

static int take_row(void *arg, struct ql_outbox_row *row)
{
    struct batch *b = arg;

    if (b->count == BATCH_MAX)
        return 1;
    b->rows[b->count++] = *row;
    *row = (struct ql_outbox_row){0};
    return 0;
}

static int read_batch(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct batch *b = arg;

    for (size_t i = 0; i < b->count; i++) /* a transaction may run more than once */
        ql_outbox_row_done(&b->rows[i]);
    b->count = 0;
    return ql_outbox_each(t, 0, BATCH_MAX, take_row, b, err);
}

/* Hand a row to those that it waits for. @return true: it is through */
static bool deliver(struct ql_outbox_runner *o, const struct ql_outbox_row *row)
{
    ql_auto_json json_t *pending = NULL;
    bool through = true;
    size_t i;
    json_t *name;

    if (row->expires_ns <= ql_now_ns()) {
        ql_log(QL_WARN, "revocation", "agent=%s event=%s: notification expired undelivered", row->agent_id,
               row->event_id ? row->event_id : "");
        return true;
    }
    if (row->pending)
        (void)ql_json_parse(row->pending, strlen(row->pending), PENDING_MAX, &pending,
                            NULL); /* none: nobody waits */
    json_array_foreach(pending, i, name) {
        struct ql_err err = QL_ERR_INIT;
        int r = QL_ENOTFOUND;

        for (size_t k = 0; k < QL_ARRAY_LEN(notifiers); k++)
            if (json_is_string(name) && strcmp(notifiers[k].name, json_string_value(name)) == 0)
                r = notifiers[k].notify(o->verifier, row, &err);
        if (r == QL_EAGAIN)
            through = false;
        else if (r < 0)
            ql_log(QL_WARN, "revocation", "agent=%s notifier=%s: given up: %s", row->agent_id,
                   json_is_string(name) ? json_string_value(name) : "?", err.text);
    }
    return through;
}

static int remove_batch(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct batch *b = arg;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < b->count; i++)
        if (b->done[i]) {
            r = ql_outbox_delete(t, b->rows[i].seq, err);
            if (r == QL_ENOTFOUND)
                r = QL_OK;
        }
    return r;
}

static void begin(struct ql_outbox_runner *o);

static void batch_removed(int result, const struct ql_err *err, void *arg)
{
    struct batch *b = arg;
    struct ql_outbox_runner *o = b->runner;
    bool more = b->count == BATCH_MAX;

    o->is_busy = false;
    if (result < 0)
        ql_log(QL_WARN, "revocation", "delivered notifications not removed, they are repeated: %s",
               err->text);
    for (size_t i = 0; i < b->count; i++)
        if (!b->done[i])
            result = QL_EAGAIN;
    batch_free(b);
    if (result == QL_OK && (more || o->is_awake))
        begin(o);
    else if (result < 0)
        wait_s(o, AGAIN_S);
}

static void batch_read(int result, const struct ql_err *err, void *arg)
{
    struct batch *b = arg;
    struct ql_outbox_runner *o = b->runner;
    struct ql_err why = QL_ERR_INIT;

    if (result < 0 || b->count == 0) {
        bool again = o->is_awake;

        o->is_busy = false;
        batch_free(b);
        if (result < 0) {
            ql_log(QL_WARN, "revocation", "notifications not read: %s", err->text);
            wait_s(o, AGAIN_S);
        } else if (again) {
            begin(o);
        }
        return;
    }
    for (size_t i = 0; i < b->count; i++)
        b->done[i] = deliver(o, &b->rows[i]);
    if (ql_store_submit(o->verifier->store, remove_batch, batch_removed, b, &why) < 0)
        batch_removed(QL_EAGAIN, &why, b);
}

static void begin(struct ql_outbox_runner *o)
{
    struct batch *b;
    struct ql_err err = QL_ERR_INIT;

    o->is_awake = o->is_busy;
    if (o->is_busy || o->verifier->is_stopping)
        return;
    b = calloc(1, sizeof *b);
    if (b)
        b->runner = o;
    o->is_busy = b && ql_store_submit(o->verifier->store, read_batch, batch_read, b, &err) == QL_OK;
    if (!o->is_busy) {
        free(b);
        wait_s(o, AGAIN_S);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    begin(arg);
}

int ql_outbox_runner_new(struct ql_verifier *v, struct ql_outbox_runner **ret, struct ql_err *err)
{
    struct ql_outbox_runner *o = calloc(1, sizeof *o);

    if (!o || !(o->timer = evtimer_new(v->base, on_timer, o))) {
        free(o);
        return ql_fail_nomem(err);
    }
    o->verifier = v;
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
    if (!o)
        return;
    event_free(o->timer);
    free(o);
}
