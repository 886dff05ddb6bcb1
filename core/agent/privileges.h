/* SPDX-License-Identifier: Apache-2.0 */
/** @file privileges.h  From root to the agent's own user, for good (spec/agent.md 1.3). */
#pragma once
#include <sys/types.h>

#include "cleanup.h"

#include <quicklime/error.h>

struct ql_run_as {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /**< all groups of the user and the one named; owned: ql_run_as_done() */
    int group_count;
};
void ql_run_as_done(struct ql_run_as *r);

/** "user:group", both by name. @retval QL_EPARSE not of that form @retval QL_ENOTFOUND @retval QL_ERANGE uid 0 */
int ql_run_as_parse(const char *text, struct ql_run_as *ret, struct ql_err *err);
/** Become that user with no capability left, and prove that there is no way back. @retval QL_EACCES with the step */
int ql_run_as_drop(const struct ql_run_as *r, struct ql_err *err);
