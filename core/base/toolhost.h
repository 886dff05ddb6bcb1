/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file toolhost.h
 * A plugin's host over the C library, for tools (and tests) that use the parts of plugins without loading one: no limit
 * of memory, no deadline, log lines of QL_LOG_WARN and above go to standard error.
 */
#pragma once
#include <quicklime/plugin.h>

extern const struct ql_host ql_tool_host;
