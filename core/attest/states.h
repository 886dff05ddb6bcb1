/* SPDX-License-Identifier: Apache-2.0 */
/** @file states.h  The states of all validators of one agent as one blob: what the store keeps. */
#pragma once
#include "verdict.h"

enum {
    QL_STATES_MAX_LEN = QL_POLICIES_MAX * (QL_STATE_MAX_LEN + 96) /**< bytes */
};

/**
 * Decode; entries borrow from @p blob. @param[out] ret room for QL_POLICIES_MAX @retval QL_EPARSE (a reset)
 */
int ql_states_read(const uint8_t *blob, size_t len, struct ql_kept_state *ret, size_t *ret_count,
                   struct ql_err *err);
/** Encode; caller frees. */
int ql_states_write(const struct ql_kept_state *states, size_t count, uint8_t **ret, size_t *ret_len,
                    struct ql_err *err);
