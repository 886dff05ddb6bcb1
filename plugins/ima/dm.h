/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dm.h
 * Devices of the device mapper against the policy's rules: which tables were loaded, and in which state each device is.
 *
 * Layer: plugin ima. Pure. Source: Keylime's device mapper validation.
 */
#pragma once
#include <jansson.h>

#include "report.h"
#include "template.h"

enum {
    IMA_DM_DEVICES_MAX = 1024 /**< devices known at a time */
};

struct ima_dm;

/** @param policy borrowed @param kept what ima_dm_keep() gave for an earlier part of the list @retval QL_EPARSE of @p kept */
int ima_dm_new(const struct ql_host *host, const json_t *policy, struct ima_bytes kept, struct ima_dm **ret,
               struct ql_err *err);
void ima_dm_free(struct ima_dm *dm);

/** @return true: a measured buffer of this name tells of a device */
bool ima_dm_is_event(struct ima_bytes name);
/** Judge an event. @param digest_fits the entry's digest is that of its buffer */
int ima_dm_entry(struct ima_dm *dm, struct ima_findings *f, const struct ima_entry *e, bool digest_fits,
                 struct ql_err *err);
/** The devices as they are now. @param[out] ret borrowed, until the next call */
int ima_dm_keep(struct ima_dm *dm, struct ima_bytes *ret, struct ql_err *err);
/** Judge devices that were kept: none may be half set up, and those that must be there are. */
int ima_dm_conclude(struct ima_dm *dm, struct ima_bytes kept, struct ima_findings *f, struct ql_err *err);
