/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lone_host.h
 * A plugin's host without a plugin file: for programs that link parts of a plugin, and for their tests. It has everything
 * that a loaded plugin's host has, Lua in its sandbox included.
 *
 * Layer: plugin.
 */
#pragma once
#include <quicklime/plugin.h>

#include "cleanup.h"

struct ql_lone_host;

/**
 * @param name    of the plugin, for log lines
 * @param memory  bytes that host->alloc may hand out at a time
 * @param[out] ret owned by the caller: ql_lone_host_free()
 */
int ql_lone_host_new(const char *name, size_t memory, struct ql_lone_host **ret, struct ql_err *err);
/** What was allocated through it must have been freed. */
void ql_lone_host_free(struct ql_lone_host *h);
QL_DEFINE_CLEANUP(struct ql_lone_host, ql_lone_host_free)
/** @return borrowed, valid while @p h lives */
const struct ql_host *ql_lone_host_table(const struct ql_lone_host *h);
/** Bytes that are handed out. */
size_t ql_lone_host_used(const struct ql_lone_host *h);
