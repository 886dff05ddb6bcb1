/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file told.h
 * Agents that have not got all events; private to notify_agents.c (who waits for what), notify_call.c (telling one agent of
 * one event) and notify_look.c (finding those that are not polled). Loop thread only.
 */
#pragma once
#include "notifier.h"

/** An agent that has not got all events. */
struct ql_lag {
    struct ql_lag *chain;       /* in its bucket */
    TAILQ_ENTRY(ql_lag) queued; /* while it is in one of the queues */
    struct ql_told *told;
    struct ql_note *at; /* what it gets next */
    char id[81];
    enum {
        QL_LAG_READY,   /* in `ready` or `retry` */
        QL_LAG_FLYING,  /* a call or a look into the store is under way */
        QL_LAG_WAITING, /* in `waiting`, until due_ns */
    } state;
    unsigned failures;
    bool is_retry; /* counted in `retrying` while it flies */
    int64_t due_ns;
    unsigned api; /* spoken with it when it is not polled, or not as the poll has it; 0: as that has it */
    struct ql_peer *peer; /* of its own; NULL: that of the poll, or none yet */
};
TAILQ_HEAD(ql_lag_queue, ql_lag);

struct ql_told {
    struct ql_verifier *verifier;
    struct ql_outbox_runner *runner;
    struct ql_lag **buckets;
    size_t bucket_count, count;
    struct ql_lag_queue ready, retry, waiting;
    unsigned flying, retrying;
    struct event *pump, *wake, *rescan;
    int64_t wake_ns; /* when `wake` fires, while it is pending */
    int64_t scan_wanted,
        scanned; /* numbers of the newest events for which all agents were, or are to be, looked up */
    bool is_scanning;
    struct ql_note *first_new; /* first of those that came and were not begun with */
};

/* ---- notify_agents.c ---- */

/** It has got its event, or is not to get it. May free @p l, as may the next three. */
void ql_lag_served(struct ql_lag *l);
/** It has not got it: tried again later. @param code QL_E… of the call */
void ql_lag_failed(struct ql_lag *l, int code, const char *why);
/** The same event again, at once. */
void ql_lag_again(struct ql_lag *l);
/** There is no such agent any more. */
void ql_lag_gone(struct ql_lag *l);
/**
 * An agent that waits for nothing yet: it gets the first event from @p n to number @p last that concerns it, and what follows
 * that. Those that wait already were counted when the events came.
 */
void ql_told_add_from(struct ql_told *t, const char *id, struct ql_note *n, int64_t last);
/** One of those that waited for @p n does no more. */
void ql_told_passed(struct ql_told *t, struct ql_note *n);

/* ---- notify_call.c ---- */

/** Tell it of its event; one of the first four functions above follows, here or later, unless the verifier is closing. */
void ql_lag_tell(struct ql_lag *l);

/* ---- notify_look.c ---- */

/** Look for agents that are not polled and are owed the events up to `scan_wanted`. */
void ql_told_look(struct ql_told *t);
/** Timer `rescan`: the look failed. */
void ql_told_on_rescan(evutil_socket_t fd, short what, void *arg);
