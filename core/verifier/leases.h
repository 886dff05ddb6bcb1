/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file leases.h
 * Several verifiers that share the agents of one uuid through the database (decisions 22, 23).
 *
 * Once a second each process prolongs its lease as a member (members.h), reads who the others are and what was changed,
 * in one transaction. An agent is polled by the member that its row names. From the list of members follows which one
 * that should be; the one that has it gives it away, with all that is in memory, when it should be another's; and the one
 * that should have it takes it when the row names a member that is gone. Both raise the row's generation, so whoever
 * polled it before stores nothing more.
 *
 * Nothing is polled from one second before the lease ends by this machine's own clock. In doubt nobody polls an agent.
 *
 * The member that holds its lease longest delivers the notifications of all of them.
 *
 * Loop thread, unless noted. With `leases = false` there is no context, and each function here is one comparison.
 */
#pragma once
#include <event2/event.h>

#include "agent.h"
#include "members.h"

enum {
    QL_LEASE_BEAT_MS = 1000,   /**< between two looks at the database */
    QL_LEASE_MARGIN_MS = 1000, /**< polling stops so long before the lease ends */
    QL_LEASE_NOTICE_MS =
        2000, /**< lease_time less this is what the database is asked for: others notice and load */
    QL_LEASE_SURVEY_S = 300,     /**< between two looks at all agents, when nothing asks for one */
    QL_LEASE_WAIT_MS = 1000,     /**< a poll that may not begin is tried again after this */
    QL_LEASE_CHANGES_MAX = 1024, /**< changes read in one look */
    QL_MOVES_BATCH = 64          /**< agents taken, given or read in one transaction */
};

/** An agent on its way into, or out of, this process. */
enum ql_move_kind {
    QL_MOVE_READ, /**< ours already: read it and poll it */
    QL_MOVE_TAKE, /**< its member is gone */
    QL_MOVE_GIVE  /**< it should be another's */
};
struct ql_move {
    enum ql_move_kind kind;
    char id[81];
    int64_t generation; /**< of the row when this was decided; another one: decided anew */
};

struct ql_leases {
    struct ql_verifier *verifier;
    char name[QL_MEMBER_NAME_MAX + 1];
    int64_t ttl_ms;         /**< asked of the database */
    int64_t until_ns;       /**< nothing is polled from here on; CLOCK_BOOTTIME */
    int64_t spare_until_ns; /**< after an outage others get as long to come back; CLOCK_BOOTTIME */
    struct ql_member_list members;
    struct event *timer;
    bool is_beating, is_joined, is_expired;
    int64_t seen;   /**< number of the last change that was read, -1: none */
    int64_t outbox; /**< number of the last notification, as last read */
    bool leads;     /**< was the longest member at the last look */
    bool wants_survey, is_surveying;
    int64_t survey_due_ns;

    struct ql_move *moves;
    size_t move_count, move_room;
    size_t move_at; /**< those before it are done or under way */
    bool is_moving;
};

/** Join the others, or refuse when the database says that the options do not fit. Blocks: start-up only. */
int ql_leases_start(struct ql_verifier *v, struct ql_err *err);
/** Queue that this process leaves; the others go on at once. */
void ql_leases_leave(struct ql_verifier *v);
void ql_leases_free(struct ql_leases *l);

/** May a poll begin? */
bool ql_leases_hold(const struct ql_verifier *v);
/** Is it on us to deliver notifications? */
bool ql_leases_lead(const struct ql_verifier *v);
/** Does the row say that we poll it? */
bool ql_leases_own(const struct ql_verifier *v, const struct ql_agent_row *row);
/** Have the row of an agent that is to be polled name who does it, in the transaction that writes it. Store thread. */
int ql_leases_assign(const struct ql_verifier *v, struct ql_txn *t, struct ql_agent_row *row,
                     struct ql_err *err);

/* ---- moves.c ---- */

/** Decide later, in a batch. */
void ql_moves_add(struct ql_leases *l, enum ql_move_kind kind, const char *id, int64_t generation);
/** Begin with the next batch, unless one is under way. */
void ql_moves_run(struct ql_leases *l);
void ql_moves_clear(struct ql_leases *l);
