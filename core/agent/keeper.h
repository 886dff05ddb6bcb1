/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file keeper.h
 * What payloads need root for after the agent gave it up: quicklime-payloadd (payloadd.h), started before. Loop thread.
 */
#pragma once
#include "agent.h"
#include "child.h"

enum {
    QL_KEEPER_END_MS = 5000 /**< how long the end of the agent waits for it */
};

struct ql_keeper;
/** As ql_child_done: the script ended. */
typedef void (*ql_keeper_done)(const struct ql_child_end *end, void *arg);

/**
 * Start it, if it has anything to do: a mount to take down that the agent will not be allowed to, or scripts of another user
 * to start. Before root is given up, and before the loop.
 * @param will_drop  root is given up @param[out] ret  NULL: there is nothing for it to do
 * @retval QL_EACCES payload_run_as, but not root
 */
int ql_keeper_start(struct ql_agent *a, bool will_drop, struct ql_keeper **ret, struct ql_err *err);
/** The loop is there: a->base. NULL is allowed. */
int ql_keeper_attach(struct ql_keeper *k, struct ql_err *err);
/** @return true: scripts are run by it. NULL is allowed. */
bool ql_keeper_runs_scripts(const struct ql_keeper *k);
/** Have payload_script run; one at a time. `done` is called once, on the loop, never from inside. */
int ql_keeper_run(struct ql_keeper *k, ql_keeper_done done, void *arg, struct ql_err *err);
/** Nobody waits for the script any more. NULL is allowed. */
void ql_keeper_forget(struct ql_keeper *k);
/** End it: it kills a script that runs and takes the mount down before this returns. NULL is allowed. */
void ql_keeper_free(struct ql_keeper *k);
QL_DEFINE_CLEANUP(struct ql_keeper, ql_keeper_free)
