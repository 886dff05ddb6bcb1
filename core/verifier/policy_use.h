/* SPDX-License-Identifier: Apache-2.0 */
/** @file policy_use.h  Which agents use a stored policy. Reads all agents: for rare questions. */
#pragma once
#include "store.h"

struct ql_agent_row;

/** @return true when the row is linked to the stored policy */
bool ql_policy_used_by(const struct ql_agent_row *row, const char *kind, const char *name);
/** First agent that uses it, into @p out of 81 bytes. @retval QL_ENOTFOUND none */
int ql_policy_user(struct ql_txn *t, const char *kind, const char *name, char *out, struct ql_err *err);
