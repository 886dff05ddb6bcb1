/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notifier.h
 * Who is told of failures. Events wait in the outbox, one row each, written with the verdict. This part reads them in
 * order, hands each to the notifiers, and removes a row when all are through with it or it has expired (decisions 30, 32).
 *
 * Column `pending`: null: nobody has been told yet; else an object with a member for each notifier that is not through:
 * {"agent": true or a list of ids not told yet, "webhook": true, …}. It is brought up to date now and then; what a
 * crash loses is told again: delivery is at least once, in order for each receiver.
 *
 * Loop thread only.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "json.h"
#include "outbox.h"

struct ql_verifier;
struct ql_outbox_runner;
struct ql_told;
struct ql_feeds;

enum {
    QL_NOTES_MAX = 16384,                  /**< events in memory; more stay in the store */
    QL_NOTES_BYTES_MAX = 64 * 1024 * 1024, /**< bytes of their messages */
    QL_NOTE_LISTED_MAX = 256,              /**< receivers of an event that `pending` lists; more: all */
    QL_FEEDS_MAX = 32                      /**< actions that events are fed to */
};

/** An event that is being told. */
struct ql_note {
    TAILQ_ENTRY(ql_note) next;
    struct ql_outbox_row row;
    char *body;      /**< {"msg", "signature"} as sent */
    size_t bytes;    /**< counted against QL_NOTES_BYTES_MAX */
    bool for_agents; /**< agents are still to be told */
    json_t *only;    /**< object whose keys are the agents to be told; NULL: all */
    size_t behind;   /**< agents that have not passed it */
    uint32_t feeds;  /**< bit n: feed n is not through with it */
    bool is_expired;
    bool is_changed; /**< `pending` is not as in the store */
};
TAILQ_HEAD(ql_note_list, ql_note);

/* ---- outbox_runner.c ---- */

int ql_outbox_runner_new(struct ql_verifier *v, struct ql_outbox_runner **ret, struct ql_err *err);
/** There is something new. */
void ql_outbox_runner_wake(struct ql_outbox_runner *o);
/** The store must be closed first. */
void ql_outbox_runner_free(struct ql_outbox_runner *o);
/** Events in order. */
struct ql_note_list *ql_outbox_notes(struct ql_outbox_runner *o);
/** A notifier changed something: the event leaves when nobody is left. May free the note, but not before it returns to the loop. */
void ql_outbox_note_changed(struct ql_outbox_runner *o, struct ql_note *n);

/* ---- notify_agents.c, notify_call.c, notify_look.c: every agent of this verifier, over the polls' connections ---- */

enum {
    QL_TELL_IN_FLIGHT = 64, /**< notifications under way */
    QL_TELL_AGAIN = 16,     /**< of these, to agents that did not answer the last time */
    QL_TELL_MS = 10 * 1000, /**< deadline of one */
    QL_TELL_WAIT_MAX_S =
        60 /**< longest pause before the next attempt; the first is 1 s, each twice the one before */
};
int ql_told_new(struct ql_verifier *v, struct ql_outbox_runner *o, struct ql_told **ret, struct ql_err *err);
/** A new event, for agents; the last of the list. ql_told_begin() follows, before the loop goes on. */
void ql_told_add(struct ql_told *t, struct ql_note *n);
/** Begin with the events that were added. */
void ql_told_begin(struct ql_told *t);
/** Events were marked as expired: nobody waits for them any more. */
void ql_told_expire(struct ql_told *t);
/** Ids of those not told of an event: array, or true when there are more than QL_NOTE_LISTED_MAX. New; NULL: no memory. */
json_t *ql_told_pending(const struct ql_told *t, const struct ql_note *n);
/** Agents that wait for something. */
size_t ql_told_count(const struct ql_told *t);
void ql_told_free(struct ql_told *t);
/** Pause before attempt number @p failures + 1, s. */
unsigned ql_tell_wait_s(unsigned failures);

/* ---- notify_feeds.c: webhook, ZeroMQ and actions of plugins, each in a process of its own ---- */

enum {
    QL_FEED_CRASHES_MAX = 3, /**< crashes of an action over one event; then it is given up for that action */
    QL_FEED_WAITING_MAX =
        64, /**< events of an action that wait to be tried again; more hold up the others, too */
    QL_FEED_RESTART_S = 1 /**< pause before a process that ended is started again */
};
/** Feeds that the configuration names. @param[out] ret  NULL: none */
int ql_feeds_new(struct ql_verifier *v, struct ql_outbox_runner *o, struct ql_feeds **ret,
                 struct ql_err *err);
/** Bits of all feeds. */
uint32_t ql_feeds_all(const struct ql_feeds *f);
/** Bit of a feed, 0: there is none of that name. */
uint32_t ql_feeds_bit(const struct ql_feeds *f, const char *name);
/** Name of feed number @p n, NULL past the end. */
const char *ql_feeds_name(const struct ql_feeds *f, unsigned n);
/** There are new events. NULL is allowed. */
void ql_feeds_wake(struct ql_feeds *f);
void ql_feeds_free(struct ql_feeds *f);

/* ---- lifecycle.c: what actions of plugins hear of besides failures; unsigned ---- */

struct ql_agent;
struct ql_txn;
/**
 * Tell the actions of plugins, and nobody else; nothing when there are none. In the transaction of what is told;
 * ql_outbox_runner_wake() after it.
 * @param type  "registration": an agent was added; "recovery": it is polled again, or passes again; "state_change": it was
 *              stopped or deleted
 * @param event_id  "agent.added", "agent.reactivated", "agent.passes_again", "agent.stopped", "agent.deleted"
 */
int ql_lifecycle_insert(struct ql_txn *t, const struct ql_verifier *v, const struct ql_agent_row *row,
                        const char *type, const char *event_id, struct ql_err *err);
/** The same for an agent that passes again, in a transaction of its own. */
void ql_lifecycle_recovered(const struct ql_agent *a);
