/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file action_run.h
 * One action for one message, in a child process: an executable as the Rust agent runs it, or Lua and shared objects in
 * quicklime-actionrunner.
 */
#pragma once
#include "agent.h"
#include "lookup.h"
#include "notice.h"

struct ql_action_run;
/** It ended. @param result QL_OK or why not @param text  for the log */
typedef void (*ql_action_done)(void *arg, int result, const char *text);

/** Names of the actions to run, in order: those of the configuration, then those of the payload, if allowed. */
int ql_action_names_of(const struct ql_agent *a, struct ql_action_names *ret, struct ql_err *err);
/** Where actions are looked for. @param[out] payload  owned by the caller, NULL when not allowed */
int ql_action_dirs_of(const struct ql_agent *a, struct ql_action_dirs *ret, char **payload,
                      struct ql_err *err);
/**
 * Start an action. `done` is called once, on the loop, never from inside; the run is freed when it returns.
 * @param dir  folder for its files
 * @retval QL_ENOTFOUND @retval QL_EACCES … as ql_action_find() and ql_child_start()
 */
int ql_action_run_start(struct ql_agent *a, const char *dir, const char *action,
                        const struct ql_notice *notice, ql_action_done done, void *arg,
                        struct ql_action_run **ret, struct ql_err *err);
/** Kill it; `done` is not called. NULL is allowed. */
void ql_action_run_free(struct ql_action_run *r);
/** The job for a file of Lua or a shared object. Caller frees; NULL: no memory. */
char *ql_action_job(const struct ql_agent *a, const char *dir, const char *action, const char *file,
                    const struct ql_notice *notice, bool dry_run);
