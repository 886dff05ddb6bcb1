/* SPDX-License-Identifier: Apache-2.0 */
/** @file status.h  The status object of an agent (spec/server.md 2.2). Pure. */
#pragma once
#include <jansson.h>

#include "agents.h"

/** Keys in the order of the wire. @param interval_s quote_interval @return NULL: no memory */
json_t *ql_status_object(const struct ql_agent_row *row, double interval_s);
