/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dm_match.h
 * One attribute of a device or target against the rule's value for it.
 *
 * Layer: plugin ima. Pure. Source: Keylime's device mapper policy, "attribute rules".
 */
#pragma once
#include <stdbool.h>

#include <jansson.h>
#include <quicklime/plugin.h>

/**
 * @param rule  null: anything; a truth value, an integer, or an expression for the whole text; anything else fits nothing
 * @param value NULL or null: missing
 */
bool ima_dm_fits(const struct ql_host *host, const json_t *rule, const json_t *value);
