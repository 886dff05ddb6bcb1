/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notifier.h
 * Who is told of failures. Events wait in the outbox, one row each, written with the verdict; the runner hands each row to
 * the notifiers that its column `pending` names, in order, and removes it when they are through or it has expired.
 *
 * Delivery is at least once: a row that was handed out and not removed before a crash is handed out again.
 */
#pragma once
#include "outbox.h"

struct ql_verifier;

/** One notifier; a row of a static table. */
struct ql_notifier {
    const char *name; /**< as in `pending` */
    /** @return QL_OK; QL_EAGAIN: later again; others: given up, logged. Must not block. */
    int (*notify)(struct ql_verifier *v, const struct ql_outbox_row *event, struct ql_err *err);
};

/** Writes one log line. */
int ql_notify_log(struct ql_verifier *v, const struct ql_outbox_row *event, struct ql_err *err);

/** Value of `pending` for a new row: JSON array of names, static. */
const char *ql_outbox_pending(void);

struct ql_outbox_runner;
int ql_outbox_runner_new(struct ql_verifier *v, struct ql_outbox_runner **ret, struct ql_err *err);
/** There is something new. */
void ql_outbox_runner_wake(struct ql_outbox_runner *o);
/** The store must be closed first. */
void ql_outbox_runner_free(struct ql_outbox_runner *o);
