/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rings.h
 * All keys that may sign files of one agent: the operator's first, then those that its kernel measured as it loaded them,
 * ring by ring in the order in which they came.
 *
 * Layer: plugin ima. Pure.
 */
#pragma once
#include "keyring.h"
#include "line.h"

enum {
    IMA_RINGS_MAX = 64,      /**< rings of one agent; a kernel has about six */
    IMA_RING_NAME_MAX = 128, /**< bytes */
    IMA_LEARNED_MAX = 4096   /**< keys of one agent */
};

struct ima_rings;

/**
 * @param operator_keys  the policy's, borrowed; NULL: none
 * @param agent_keys     keyring text of the agent, which replaces them; NULL, "", "[]", "null": none
 * @param learned        what ima_rings_write() wrote before; read when a key is looked for
 */
int ima_rings_new(const struct ql_host *host, const struct ima_keyring *operator_keys, const char *agent_keys,
                  struct ima_bytes learned, struct ima_rings **ret, struct ql_err *err);
void ima_rings_free(struct ima_rings *r);

/** @param[out] ret the key that signatures with this id are checked against, borrowed; NULL: none */
int ima_rings_find(struct ima_rings *r, uint32_t id, struct ima_key **ret, struct ql_err *err);
/**
 * Learn a key.
 * @retval QL_ECONFLICT the id belongs to another key of that ring, or the ring's name is not the kernel's to give
 * @retval QL_ELIMIT too many
 */
int ima_rings_learn(struct ima_rings *r, struct ima_bytes ring, struct ima_key *key, struct ql_err *err);
/** From here on, what is learned is not kept. */
int ima_rings_seal(struct ima_rings *r, struct ql_err *err);
/** What is to be kept, as JSON text; ring name to keyring. @param[out] ret borrowed, empty: nothing */
int ima_rings_write(struct ima_rings *r, struct ima_bytes *ret, struct ql_err *err);
