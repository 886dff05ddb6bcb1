/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when an agent fails: at once nothing is asked of it any more, then row and notification are committed
 * together. While the database is away the failure is on disk in the journal, and tried again until it is a transaction.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "failing.h"
#include "journal.h"
#include "log.h"
#include "notifier.h"
#include "reload.h"
#include "verifier.h"

enum {
    STORE_AGAIN_S = 5 /* pause before a failure that could not be stored is tried again */
};

static void write_failing(struct ql_op *op);

/* ---- when it is stored, or cannot be ---- */

/* The failure is in the database, or does not matter any more. */
static void let_go(struct ql_op *op)
{
    struct ql_verifier *v = op->verifier;

    if (op->failing->journaled && --v->journaled == 0) {
        ql_journal_forget(v);
        if (v->is_halted)
            ql_log(QL_INFO, "store", "failures are stored again, polling goes on");
        v->is_halted = false;
    }
    ql_op_free(op);
}

static void stored(struct ql_op *op)
{
    struct ql_verifier *v = op->verifier;
    struct ql_agent *a = op->agent;
    struct ql_failing *f = op->failing;
    bool ends = f->ends;
    int level = (int)f->severity;
    int64_t generation = f->stored_generation;

    if (f->is_unsigned)
        ql_log(QL_ERROR, "revocation", "agent=%s: notification is not signed: %s", f->id, f->sign_err.text);
    if (generation >= 0 && f->message_type)
        ql_outbox_runner_wake(v->outbox);
    if (a && generation < 0) {
        char id[sizeof a->id];

        /* Somebody else wrote the row: what is in memory is out of date. */
        memcpy(id, a->id, sizeof id);
        ql_log(QL_WARN, "attest", "agent=%s: changed meanwhile, read anew", id);
        let_go(op);
        ql_agent_remove(a);
        ql_reload(v, id);
        return;
    }
    let_go(op);
    if (!a)
        return;
    if (ends) {
        ql_agent_remove(a);
        return;
    }
    a->generation = generation;
    a->severity = level;
    ql_schedule_next(a);
}

static void again(evutil_socket_t fd, short what, void *arg)
{
    struct ql_verifier *v = arg;
    struct ql_op_list due = TAILQ_HEAD_INITIALIZER(due);
    struct ql_op *op;

    (void)fd;
    (void)what;
    TAILQ_CONCAT(&due, &v->unstored, later);
    while ((op = TAILQ_FIRST(&due))) {
        TAILQ_REMOVE(&due, op, later);
        write_failing(op);
    }
}

int ql_failures_init(struct ql_verifier *v, struct ql_err *err)
{
    TAILQ_INIT(&v->unstored);
    v->unstored_timer = evtimer_new(v->base, again, v);
    return v->unstored_timer ? QL_OK : ql_fail_nomem(err);
}

void ql_failures_done(struct ql_verifier *v)
{
    struct ql_op *op;

    if (!v->unstored_timer)
        return;
    event_free(v->unstored_timer);
    v->unstored_timer = NULL;
    while ((op = TAILQ_FIRST(&v->unstored))) {
        TAILQ_REMOVE(&v->unstored, op, later);
        ql_op_free(op);
    }
}

static void try_later(struct ql_op *op)
{
    static const struct timeval pause = {.tv_sec = STORE_AGAIN_S};
    struct ql_verifier *v = op->verifier;

    if (!op->agent && !op->failing->journaled) {
        let_go(op); /* deleted or stopped meanwhile, and that was committed */
        return;
    }
    TAILQ_INSERT_TAIL(&v->unstored, op, later);
    if (evtimer_pending(v->unstored_timer, NULL) || evtimer_add(v->unstored_timer, &pause) == 0)
        return;
    TAILQ_REMOVE(&v->unstored, op, later);
    ql_log(QL_ERROR, "store", "agent=%s: no memory for a timer, failure not stored", op->failing->id);
    let_go(op); /* the watchdog polls it again: it fails again */
}

/* On the helper thread. */
static void append(void *arg)
{
    const struct ql_op *op = arg;
    struct ql_failing *f = op->failing;
    ql_auto_free char *line = ql_failing_line(f);

    f->journal_err = (struct ql_err)QL_ERR_INIT;
    f->journal_result = line ? ql_journal_append(op->verifier->journal, line, &f->journal_err)
                             : ql_fail_nomem(&f->journal_err);
}

static void appended(void *arg)
{
    struct ql_op *op = arg;
    struct ql_failing *f = op->failing;

    if (f->journal_result < 0) {
        ql_log(QL_ERROR, "store",
               "agent=%s: failure is neither in the database nor in the journal, polling stops: %s", f->id,
               f->journal_err.text);
        op->verifier->is_halted = true;
        op->verifier->journaled--;
        f->journaled = false;
    }
    try_later(op);
}

static void not_stored(struct ql_op *op, const struct ql_err *err)
{
    struct ql_failing *f = op->failing;
    struct ql_verifier *v = op->verifier;
    struct ql_err why = QL_ERR_INIT;

    ql_log(QL_ERROR, "store", "agent=%s event=%s: failure not stored yet: %s", f->id, f->event_id, err->text);
    if (v->is_closing) {
        /* Nothing runs any more that could be held up. The next start reads the journal. */
        if (!f->journaled)
            append(op);
        ql_op_free(op);
        return;
    }
    if (f->journaled) {
        try_later(op);
        return;
    }
    f->journaled = true;
    v->journaled++;
    if (ql_offload_submit(v->offload, append, appended, op, &why) < 0) {
        f->journal_result = why.code;
        f->journal_err = why;
        appended(op);
    }
}

static void written(int result, const struct ql_err *err, void *arg)
{
    if (result == QL_OK)
        stored(arg);
    else
        not_stored(arg, err);
}

static int write_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct ql_op *op = arg;

    return ql_failing_write(t, op->failing, err);
}

static void write_failing(struct ql_op *op)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_store_submit(op->verifier->store, write_txn, written, op, &err) < 0)
        not_stored(op, &err);
}

/* ---- making ---- */

static const char *message_type(const struct ql_agent *a, enum ql_failure_kind kind)
{
    switch (kind) {
    case QL_FAIL_ATTESTATION:
        return "revocation";
    case QL_FAIL_CONTACT:
        return a->attestation_count > 0 ? "comm_error" : NULL;
    case QL_FAIL_CONTACT_V:
        return "comm_error";
    case QL_FAIL_INTERNAL:
        break;
    }
    return NULL;
}

static int fill(struct ql_failing *f, const struct ql_agent *a, enum ql_failure_kind kind,
                const char *event_id, const json_t *context)
{
    const struct ql_verifier *v = a->verifier;
    const char *type = message_type(a, kind);

    memcpy(f->id, a->id, sizeof f->id);
    f->generation = a->generation;
    f->claim_no = a->claim_no;
    f->state = kind == QL_FAIL_ATTESTATION ? QL_STATE_INVALID_QUOTE : QL_STATE_FAILED;
    f->seal = v->seal;
    f->time_ns = ql_now_ns();
    f->expires_ns = f->time_ns + ql_config_int(v->config, "revocations", "outbox_expiry") * QL_NS_PER_S;
    f->last_received_quote = a->last_received_quote;
    f->attestation_count = a->attestation_count;
    f->last_successful_attestation = a->last_successful_attestation;
    f->sign_err = (struct ql_err)QL_ERR_INIT;
    f->live = ql_live_take(a);
    f->event_id = strdup(event_id);
    f->label = strdup(ql_severity_label(v->severity, (int)f->severity));
    f->context = context ? ql_json_text_spaced(context) : strdup("{}");
    f->message_type = type ? strdup(type) : NULL;
    return f->live && f->event_id && f->label && f->context && (!type || f->message_type) ? QL_OK : QL_ENOMEM;
}

void ql_agent_fail(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, json_t *context,
                   int level, bool recoverable)
{
    struct ql_verifier *v = a->verifier;
    int top = ql_severity_top(v->severity);
    bool ends = !recoverable || level >= top;
    struct ql_failing *f;
    struct ql_op *op;

    if (!ends && level <= a->severity) {
        /* Known already: only a more severe event is news. */
        json_decref(context);
        ql_agent_progress(a, false, false, false);
        ql_schedule_next(a);
        return;
    }
    if (ends)
        ql_log(QL_WARN, "attest", "Agent %s failed, stopping polling", a->id);
    ql_log(QL_WARN, "attest", "agent=%s event=%s severity=%s: failed", a->id, event_id,
           ql_severity_label(v->severity, ends ? top : level));
    f = calloc(1, sizeof *f);
    op = f ? ql_op_new(a, "failure") : NULL;
    if (op) {
        op->failing = f;
        f->ends = ends;
        f->severity = ends ? top : level;
    }
    if (!op || fill(f, a, kind, event_id, context) < 0) {
        /* Nothing passes for lack of memory: it is polled again, and fails again. */
        ql_log(QL_ERROR, "attest", "agent=%s: out of memory, failure not stored", a->id);
        json_decref(context);
        if (op)
            ql_op_free(op);
        else
            ql_failing_free(f);
        ql_schedule_after(a, 1000);
        return;
    }
    json_decref(context);
    a->state = f->state;
    ql_schedule_cancel(a);
    ql_agents_progress_drop(v->store, a->id);
    write_failing(op);
}

void ql_agent_failf(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* cut short is fine */
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?'; /* peers' words may hold anything */
    ql_agent_fail(a, kind, event_id, json_pack("{s:s}", "message", text),
                  ql_severity_top(a->verifier->severity), false);
}

void ql_row_fail(struct ql_verifier *v, const struct ql_agent_row *row, const char *why)
{
    struct ql_failing *f = calloc(1, sizeof *f);
    struct ql_op *op = calloc(1, sizeof *op);
    ql_auto_json json_t *context = json_pack("{s:s}", "message", why);

    if (!f || !op) {
        free(f);
        free(op);
        return; /* the next start finds it again */
    }
    op->verifier = v;
    op->what = "failure";
    op->failing = f;
    (void)snprintf(f->id, sizeof f->id, "%s", row->agent_id); /* ids are no longer */
    f->generation = row->generation;
    f->claim_no = row->claim_no;
    f->state = QL_STATE_FAILED;
    f->severity = ql_severity_top(v->severity);
    f->ends = true;
    f->seal = v->seal;
    f->time_ns = ql_now_ns();
    f->attestation_count = row->attestation_count;
    f->last_received_quote = row->last_received_quote;
    f->last_successful_attestation = row->last_successful_attestation;
    f->sign_err = (struct ql_err)QL_ERR_INIT;
    f->event_id = strdup("internal.verifier.exception");
    f->label = strdup(ql_severity_label(v->severity, (int)f->severity));
    f->context = context ? ql_json_text_spaced(context) : NULL;
    if (f->event_id && f->label && f->context)
        write_failing(op);
    else
        ql_op_free(op);
}
