/* SPDX-License-Identifier: Apache-2.0 */
/** @file schemas.h  All tables of each daemon with the version of the whole (decision 24). */
#pragma once
#include <quicklime/store.h>

extern const struct ql_schema ql_verifier_schema;  /**< agents, policies, outbox, changes */
extern const struct ql_schema ql_registrar_schema; /**< registrations */
