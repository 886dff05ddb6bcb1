/* SPDX-License-Identifier: Apache-2.0 */
/** @file toolhost.h  A plugin's host over the C library, for the parts of plugins that tools use. Layer: policy. */
#pragma once
#include <quicklime/plugin.h>

extern const struct ql_host ql_tool_host;
