/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tree.h
 * Events as JSON values, in the form that Keylime's policies see: the output of tpm2_eventlog 5.8 read as YAML, with one
 * trailing NUL dropped from every string. Built from the bytes, never through text.
 *
 * Differences, all stated in the guide: only the bank asked for; `verified` on every event; strings are always strings;
 * bytes that are no UTF-8 become U+FFFD; PCR values are "0x" and full-width hex; numbers of 2^63 and more are decimal strings.
 * Strings may hold NUL (EV_IPL with UTF-16 text): use json_string_length().
 *
 * Layer: plugin mboot. Pure. All values are new references owned by the caller.
 */
#pragma once
#include <jansson.h>

#include "eventlog.h"
#include "replay.h"

struct mb_tree_options {
    int bank;          /**< index of the bank in `Digests`, `pcrs` and `boot_aggregates`; MB_ALL_BANKS: all */
    bool has_verified; /**< add `verified` (by status[bank]); needs one bank */
};

/**
 * The whole tree: {"version": 2, "events": […], "pcrs": {bank: {"0": "0x…"}}, "boot_aggregates": {bank: [of 8, of 10]}}.
 * A PCR without events has no entry; an aggregate over such a PCR is left out.
 * @retval QL_ELIMIT its text would have more than MB_TREE_MAX bytes @retval QL_ENOMEM @retval QL_ECRYPTO
 */
int mb_tree_json(struct mb_hasher *hasher, const struct mb_log *log, const struct mb_tree_options *options,
                 json_t **ret, struct ql_err *err);

/** One event's object alone, as it stands in the tree's `events`. @return NULL: no memory, or no such event */
json_t *mb_event_json(const struct mb_log *log, uint32_t index, const struct mb_tree_options *options);

/**
 * The value of one event's key `Event` alone.
 * @return NULL: the event has no such key (its payload is empty, or it is the Spec ID event), or no memory
 */
json_t *mb_payload_json(const struct mb_log *log, const struct mb_event *e);
