/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file message.h
 * The text that peers are told when an agent fails, and its signature (spec/server.md 6). Pure.
 */
#pragma once
#include "agents.h"

/** What happened. Borrowed. */
struct ql_message {
    const char *type; /**< "revocation" or "comm_error" */
    int64_t time_ns;
    const char *event_id, *severity, *context; /**< context: JSON text */
};
/** The exact bytes to sign and send; caller frees; NULL: no memory. */
char *ql_message_text(const struct ql_message *m, const struct ql_agent_row *row);
/**
 * Sign with the agent's revocation key: RSA-PSS, SHA-256, maximal salt, base64.
 * @param[out] ret "" when the agent has no key; caller frees
 */
int ql_message_sign(const struct ql_seal *seal, const struct ql_agent_row *row, const char *text, char **ret,
                    struct ql_err *err);
