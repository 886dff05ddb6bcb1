/* SPDX-License-Identifier: Apache-2.0 */
/** @file say.h  What tools print for people and scripts, in the form of Keylime's tools (spec/server.md 10). */
#pragma once

/** Print a record to standard output: "TIME - AREA - LEVEL - text". @param level "INFO", "WARNING", "ERROR", "CRITICAL" */
void ql_say(const char *area, const char *level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
