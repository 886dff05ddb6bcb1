/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policy.h
 * A runtime policy, compiled: which digests a path may have, which paths are left out, which keys are trusted. One object
 * serves all agents of a worker; it is never written to after it was made.
 *
 * Layer: plugin ima. Pure: no I/O. Source: runtime policy schema of Keylime (version 1).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <quicklime/plugin.h>

struct ima_policy;
struct ima_keyring;

enum {
    IMA_DIGEST_MAX = 64,                /**< bytes of the longest digest a policy can hold */
    IMA_POLICY_MAX = 256 * 1024 * 1024, /**< bytes of policy text */
};

/** Which of the policy's maps of name to digests. */
enum ima_map {
    IMA_MAP_DIGESTS,  /**< "digests": files, and boot_aggregate */
    IMA_MAP_KEYRINGS, /**< "keyrings": measured keys by ring name */
    IMA_MAP_BUFFERS,  /**< "ima-buf": other measured buffers */
};

/** Answer of a lookup; only IMA_ALLOWED lets an entry pass. */
enum ima_lookup {
    IMA_ALLOWED,
    IMA_NAME_UNKNOWN,
    IMA_DIGEST_WRONG,
};

/** Answer of the exclude list. */
enum ima_excluded {
    IMA_NOT_EXCLUDED,
    IMA_EXCLUDED,
    IMA_EXCLUDE_LIMIT, /**< the match limit was reached: not excluded, and a failure of its own */
};

/**
 * Compile a policy; the text is parsed once, in a stream.
 *
 * @param host   for memory and errors; must outlive the policy
 * @param text, len  JSON as stored: a policy, or the DSSE envelope of one, which is opened and not verified; need not
 *                   outlive the call
 * @param origin QL_ORIGIN_UPLOAD: every rule of the schema, an error names the key, element and position.
 *               QL_ORIGIN_STORED: a digest that is none matches nothing, an exclude list with a flaw excludes nothing
 * @param[out] ret owned by the caller: ima_policy_free()
 * @retval QL_EPARSE not a policy @retval QL_ELIMIT too large or too deep @retval QL_ENOMEM
 */
int ima_policy_compile(const struct ql_host *host, const uint8_t *text, size_t len, uint32_t origin,
                       struct ima_policy **ret, struct ql_err *err);
void ima_policy_free(struct ima_policy *p);
/** @return bytes of memory the policy takes */
size_t ima_policy_size(const struct ima_policy *p);

/** @param name raw bytes, without terminator @param digest binary */
enum ima_lookup ima_policy_lookup(const struct ima_policy *p, enum ima_map map, const uint8_t *name,
                                  size_t name_len, const uint8_t *digest, size_t digest_len);
/**
 * A lookup of this name in IMA_MAP_DIGESTS will follow: have memory fetch the index. Then, some hundred cycles later, the
 * name's record with what this returned; the lookup itself will not wait.
 */
uint64_t ima_policy_fetch_index(const struct ima_policy *p, const uint8_t *name, size_t name_len);
void ima_policy_fetch_record(const struct ima_policy *p, uint64_t fetched);
/**
 * For messages: the digests allowed for a name, as hex.
 * @return list of at most @p max_count texts, empty for an unknown name; owned by the caller, NULL: no memory
 */
json_t *ima_policy_expected(const struct ima_policy *p, enum ima_map map, const uint8_t *name,
                            size_t name_len, size_t max_count);
/** Bounded in time by the match limit. */
enum ima_excluded ima_policy_excludes(const struct ima_policy *p, const uint8_t *name, size_t name_len);
/** @return true when keys measured into this ring are neither checked nor learned */
bool ima_policy_ignores_ring(const struct ima_policy *p, const uint8_t *name, size_t name_len);

/** @return "sha1", "sha256", "sha384" or "sha512": hash of the log's template column */
const char *ima_policy_log_hash(const struct ima_policy *p);
/** @return 0 unknown, 1 the empty policy, 2 compatible, 3 legacy */
unsigned ima_policy_generator(const struct ima_policy *p);
/** @return the policy's verification keys, borrowed, or NULL: none */
const struct ima_keyring *ima_policy_keys(const struct ima_policy *p);
/** @return the device mapper policy, borrowed, or NULL: none */
const json_t *ima_policy_dm(const struct ima_policy *p);
