/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy_map.h
 * Names and the digests allowed for each, in one piece of memory: written once in order, indexed once, then only read.
 *
 * A record: varint length and name, then the digests: length byte and bytes, or a zero byte, a length byte and the text as
 * it stood (a text that no digest can equal is kept for messages alone), then IMA_RECORD_END.
 *
 * Layer: plugin ima. Pure.
 */
#pragma once
#include "policy.h"

/** Bytes of all maps of a policy; never larger than the text it came from. */
struct ima_arena {
    uint8_t *data;
    size_t len, room;
};

struct ima_policy_map {
    uint64_t *slots; /**< high half: part of the hash; low half: offset of a record + 1; 0: empty */
    size_t slot_count;
    size_t first, end; /**< records in the arena */
    size_t count;      /**< records, replaced ones included */
};

enum {
    IMA_RECORD_END = 0xff /**< no digest is that long */
};

/** Any number below 2^28, at most four bytes. @return bytes written */
size_t ima_varint_write(uint8_t *out, size_t v);
/** Index the records from first to end; of equal names the last one counts. @retval QL_ENOMEM */
int ima_policy_map_index(const struct ql_host *host, const struct ima_arena *arena,
                         struct ima_policy_map *map, uint64_t seed, struct ql_err *err);
/** @return the digests of @p name, to be walked by ima_policy_digest(); NULL: unknown */
const uint8_t *ima_policy_map_find(const struct ima_arena *arena, const struct ima_policy_map *map,
                                   uint64_t seed, const uint8_t *name, size_t name_len);
/** Have memory fetch where the search for a name begins. @return for ima_policy_map_fetch_record() */
uint64_t ima_policy_map_fetch_index(const struct ima_policy_map *map, uint64_t seed, const uint8_t *name,
                                    size_t name_len);
/** Have memory fetch the record that the search will most likely end at. */
void ima_policy_map_fetch_record(const struct ima_arena *arena, const struct ima_policy_map *map,
                                 uint64_t fetched);
/** One digest of a list. @param[out] is_text kept for messages @return where to go on, NULL: there was none */
const uint8_t *ima_policy_digest(const uint8_t *at, const uint8_t **ret, size_t *len, bool *is_text);
