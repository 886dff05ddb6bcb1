/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file privileged.h
 * The agent's end of quicklime-actiond (decision 33, actiond.h). Loop thread only.
 */
#pragma once
#include "agent.h"
#include "notice.h"

struct ql_privileged;
/** @param result QL_OK or why not @param text  for the log */
typedef void (*ql_privileged_done)(void *arg, int result, const char *text);

/**
 * Start quicklime-actiond, if privileged_actions is not empty. Before root is given up, and before the loop.
 * @param[out] ret  NULL: nothing is privileged
 * @retval QL_EACCES not root @retval QL_ERANGE revocation_cert is not a path of root's
 */
int ql_privileged_start(struct ql_agent *a, struct ql_privileged **ret, struct ql_err *err);
/** The loop is there: a->base. */
int ql_privileged_attach(struct ql_privileged *p, struct ql_err *err);
/** Is this action one of root's? @p p may be NULL. */
bool ql_privileged_has(const struct ql_agent *a, const char *action);
/** Have an action run; one at a time. `done` is called once, on the loop, never from inside. */
int ql_privileged_run(struct ql_privileged *p, const char *action, const struct ql_notice *notice,
                      ql_privileged_done done, void *arg, struct ql_err *err);
/** Nobody waits for the answer any more. */
void ql_privileged_forget(struct ql_privileged *p, const void *arg);
/** It ends by itself. NULL is allowed. */
void ql_privileged_free(struct ql_privileged *p);
QL_DEFINE_CLEANUP(struct ql_privileged, ql_privileged_free)
