/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file revocation.h
 * Revocation messages on the node: check, remember, then run actions one after the other (spec/agent.md 6, decisions
 * 31, 33 and 34).
 *
 * A message that is taken is on disk before it is acknowledged, and remembered on disk before its first action starts. So
 * it survives a crash of the agent, and no action runs twice for it. Loop thread only.
 */
#pragma once
#include "agent.h"

enum {
    QL_REVOCATIONS_WAITING =
        256, /**< messages that wait for their turn; more: the sender is told to come again */
    QL_REVOCATION_RETRY_S = 5 /**< pause when a message could not be remembered */
};

/** What became of a message. */
enum ql_revocation_taken {
    QL_REVOCATION_TAKEN,   /**< it will be acted on */
    QL_REVOCATION_DROPPED, /**< it is not to be acted on; the log says why */
    QL_REVOCATION_BUSY,    /**< it could not be kept: the sender has to repeat it */
    QL_REVOCATION_BAD      /**< the body is no message: err says why */
};

struct ql_revocation;

/** Open what is remembered, and go on with messages that an earlier run took. @retval QL_EIO @retval QL_ECORRUPT */
int ql_revocation_new(struct ql_agent *a, struct ql_revocation **ret, struct ql_err *err);
/** A message came. @param peer  for the log */
enum ql_revocation_taken ql_revocation_take(struct ql_revocation *r, const void *body, size_t len,
                                            const char *peer, struct ql_err *err);
/** Kills an action that runs. NULL is allowed. */
void ql_revocation_free(struct ql_revocation *r);

/**
 * `--test-action FILE EVENT.json`: say what an action would do. Prints to standard output.
 * @param event_path  a message as peers are sent it, or what is in its `msg`
 * @return exit status
 */
int ql_revocation_try(const struct ql_agent *a, const char *file, const char *event_path);

/** POST /notifications/revocation. */
void ql_agent_post_revocation(struct ql_http_req *req, void *arg);
