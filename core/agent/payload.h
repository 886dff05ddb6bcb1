/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file payload.h
 * From an encrypted payload and its key to files in the secure folder and a script that ran (spec/agent.md 5.4).
 *
 * Everything is put into a new folder first, an archive by a process of its own; the folder takes the place of
 * `unzipped` only when it is whole. So a payload that is refused changes nothing, and nobody sees half of one. One payload
 * is worked on at a time; of those that come meanwhile the last one waits. Loop thread only.
 */
#pragma once
#include "agent.h"

enum {
    QL_UNPACK_TIMEOUT_S = 60 /**< for an archive of at most 2 MiB, on a machine that is busy */
};

struct ql_payload;

/** Open what is remembered, remove what an earlier run left half done. @retval QL_EIO @retval QL_ECORRUPT */
int ql_payload_new(struct ql_agent *a, struct ql_payload **ret, struct ql_err *err);
/**
 * A payload came and its key is known. What becomes of it is told by the log.
 * @param key  K; copied @param sealed  as sent; copied
 */
void ql_payload_take(struct ql_payload *p, const struct ql_secret *key, const uint8_t *sealed, size_t len);
/** Kills a script that runs. NULL is allowed. */
void ql_payload_free(struct ql_payload *p);
QL_DEFINE_CLEANUP(struct ql_payload, ql_payload_free)

/** Options that name files of a payload. @retval QL_ERANGE which and why */
int ql_payload_check_options(const struct ql_config *c, struct ql_err *err);
