/* SPDX-License-Identifier: Apache-2.0 */
/** @file reload.h  Bringing what is in memory in line with the store. */
#pragma once

struct ql_verifier;

/** Read an agent from the store and poll it if its state says so; what was in memory is replaced. */
void ql_reload(struct ql_verifier *v, const char *agent_id);
/** Forget the journal's records: all of them are in the database. */
void ql_journal_forget(struct ql_verifier *v);
