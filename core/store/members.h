/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file members.h
 * Verifiers that share the agents of a uuid (decision 22). Each process has one row and holds one lease: its own. Whoever
 * gets the lease of another's row has the database's word that the other's time is over, and deletes the row in the same
 * transaction; what the other polled is free from then on. So the cost of a lease does not grow with the agents.
 *
 * An agent belongs to the member that its row names. Where it should belong follows from the names of all members alone
 * (rendezvous hashing): a member that comes or goes moves only its own share, and everybody finds the same.
 */
#pragma once
#include "agents.h"

enum {
    QL_MEMBER_NAME_MAX = 127 /**< bytes: host, port, and a number that no two processes share */
};

/** One verifier process. Texts are owned by the row. */
struct ql_member_row {
    char *name; /**< never used by two processes, nor twice by one */
    char *uuid; /**< whose agents it shares */
    char *address;
    uint8_t *proof; /**< something sealed under its store_key_file */
    size_t proof_len;
    char *lease_owner; /**< the name */
    int64_t lease_until, claim_no;
};
extern const struct ql_table ql_members_table;

void ql_member_row_done(struct ql_member_row *row);

/** A member as others see it. */
struct ql_member {
    char name[QL_MEMBER_NAME_MAX + 1];
    int64_t claim_no; /**< the smallest is the one that has held its lease longest */
};
/** Members of one uuid. */
struct ql_member_list {
    struct ql_member *members;
    size_t count;
};
void ql_member_list_done(struct ql_member_list *list);
const struct ql_member *ql_member_find(const struct ql_member_list *list, const char *name);
/** Which of them should poll an agent; NULL: the list is empty. */
const struct ql_member *ql_member_for(const struct ql_member_list *list, const char *agent_id);

/** Add a row without a lease. @retval QL_EEXIST */
int ql_members_insert(struct ql_txn *t, const struct ql_member_row *row, struct ql_err *err);
/** Take the row out: its member has left. @retval QL_ENOTFOUND */
int ql_members_delete(struct ql_txn *t, const char *name, struct ql_err *err);
/** Prolong the lease of @p name. @param[out] held  false: it had run out, or there is no row of that name */
int ql_members_renew(struct ql_txn *t, const char *name, int64_t ttl_ms, bool *held, struct ql_err *err);
/**
 * Get the lease of @p name if nobody has it; take out members of @p uuid whose lease has run out.
 * @param spares  leave those in: the database was away, and they may be about to come back
 * @param[out] held  true: it holds its lease now; else unchanged
 */
int ql_members_claim(struct ql_txn *t, const char *name, const char *uuid, int64_t ttl_ms, bool spares,
                     bool *held, struct ql_err *err);
/** Those of @p uuid that have a row; caller frees with ql_member_list_done(). */
int ql_members_list(struct ql_txn *t, const char *uuid, struct ql_member_list *ret, struct ql_err *err);
/** @return 0 to go on, 1 to stop, negative to stop with that error */
typedef int (*ql_member_fn)(void *arg, const struct ql_member_row *row);
int ql_members_each(struct ql_txn *t, ql_member_fn fn, void *arg, struct ql_err *err);

/** Write into an agent's row who is to poll it: as it is when that member is there, else the one it should belong to. */
int ql_members_assign(struct ql_txn *t, const char *uuid, struct ql_agent_row *row, struct ql_err *err);
/** Make @p row that of @p member. */
int ql_member_own(const struct ql_member *member, struct ql_agent_row *row, struct ql_err *err);
