/* SPDX-License-Identifier: Apache-2.0 */
/** @file state.h  Operational states, with the numbers of the wire (spec/server.md 3.1). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum ql_agent_state {
    QL_STATE_REGISTERED = 0,
    QL_STATE_START = 1,
    QL_STATE_SAVED = 2,
    QL_STATE_GET_QUOTE = 3,
    QL_STATE_GET_QUOTE_RETRY = 4,
    QL_STATE_PROVIDE_V = 5,
    QL_STATE_PROVIDE_V_RETRY = 6,
    QL_STATE_FAILED = 7,
    QL_STATE_TERMINATED = 8,
    QL_STATE_INVALID_QUOTE = 9,
    QL_STATE_TENANT_FAILED = 10
};

/** @return true for states of an agent that is being polled, and that is polled again after a restart */
static inline bool ql_state_is_live(int64_t state)
{
    return state == QL_STATE_START || (state >= QL_STATE_GET_QUOTE && state <= QL_STATE_PROVIDE_V_RETRY);
}
