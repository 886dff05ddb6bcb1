/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file added_policies.h
 * The policies of an addition and those that are stored: which are meant, whether they may be used, and what the agent's
 * row says of them (spec/server.md 2.4).
 */
#pragma once
#include "addition.h"
#include "store.h"

/** Why a transaction refused what was asked; an answer, not an error. */
struct ql_refusal {
    int http;       /**< 0: it did not */
    char text[512]; /**< status of the answer */
};
__attribute__((format(printf, 3, 4))) void ql_refuse(struct ql_refusal *r, int http, const char *fmt, ...);

/** The name it is, or will be, stored under. */
const char *ql_added_name(const struct ql_added_policy *p, const char *agent_id);
/** Is there anything to judge by? */
bool ql_added_is_judged(const struct ql_added_policy *p);
/** Column `policies`: what is linked, and the digest of what is judged. Caller frees; NULL: no memory */
char *ql_added_column(const struct ql_addition *a, const char *agent_id);
/** Refuse: a stored policy is not any more what it was when it was looked up. */
void ql_added_refuse_changed(const struct ql_added_policy *p, struct ql_refusal *refusal);
/**
 * Look up what is stored under the names of an addition; in a transaction.
 * @param is_checked  it was done before: stored policies must be what they were then. Else they are filled in: digest and
 *                    generator, and the text of a measured boot policy, which says whether it judges at all
 * @retval QL_OK see @p refusal too @retval other  of the store
 */
int ql_added_look_up(struct ql_txn *t, struct ql_addition *a, const char *agent_id, bool is_checked,
                     struct ql_refusal *refusal, struct ql_err *err);
