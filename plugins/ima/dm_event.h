/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dm_event.h
 * What the device mapper says about a device in a measured buffer.
 *
 *     dm_version=4.45.0;name=root,uuid=…,major=253,minor=0,minor_count=1,num_targets=1;target_index=0,…;
 *
 * Layer: plugin ima. Pure. Source: Linux Documentation/admin-guide/device-mapper/dm-ima.rst.
 */
#pragma once
#include <jansson.h>
#include <quicklime/plugin.h>

#include "line.h"

enum {
    IMA_DM_TARGETS_MAX = 4096, /**< targets of one table */
    IMA_DM_MIRRORS_MAX = 64    /**< devices of one mirror */
};

enum ima_dm_kind {
    IMA_DM_LOAD,
    IMA_DM_RESUME,
    IMA_DM_REMOVE,
    IMA_DM_CLEAR,
    IMA_DM_RENAME,
    IMA_DM_UPDATE,
    IMA_DM_KIND_COUNT
};

/** @return name of the measured buffer: "dm_table_load", … */
const char *ima_dm_kind_name(enum ima_dm_kind kind);
/** @return false: not a buffer of the device mapper */
bool ima_dm_kind_by_name(struct ima_bytes name, enum ima_dm_kind *ret);

/**
 * Read a buffer. NUL bytes between two tokens count for nothing.
 * @param[out] ret object, owned by the caller. Of the device (the active table's for a removal): "name", "uuid" (null
 *   when it has none), "major", "minor", "minor_count", "num_targets"; "new_name", "new_uuid"; "active_table_hash",
 *   "inactive_table_hash"; "targets": list of objects with "target_index", …, and an object "attributes", whose class has
 *   the member "class"
 * @retval QL_EPARSE with the place @retval QL_ENOMEM
 */
int ima_dm_event_read(const struct ql_host *host, enum ima_dm_kind kind, struct ima_bytes buffer,
                      json_t **ret, struct ql_err *err);
