/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dm_policy.h
 * The form of a device mapper policy (`ima.dm_policy`); what it means is said where entries are checked against it.
 *
 * Layer: plugin ima. Pure. Source: Keylime's device mapper policy, version 1.
 */
#pragma once
#include <jansson.h>
#include <quicklime/plugin.h>

/** @retval QL_EPARSE naming rule and key */
int ima_dm_policy_check(const struct ql_host *host, const json_t *policy, struct ql_err *err);
