/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bootstrap.h
 * U, V and K (spec/agent.md 5.1, 5.2): U comes from the tenant, V from the verifier, K = U xor V once the tag that came
 * with U proves it. Which came first does not matter. Loop thread.
 */
#pragma once
#include <stdbool.h>

#include "key.h"

enum {
    QL_BOOTSTRAP_HALVES = 8,   /**< U (and V) kept while none fits: a tenant's retries; the oldest goes */
    QL_BOOTSTRAP_TAG_LEN = 48, /**< bytes of HMAC-SHA384 */
    QL_PAYLOAD_MAX = 2 * 1024 * 1024, /**< bytes of an encrypted payload: what fits a request's body */
    QL_PAYLOAD_MIN = 32               /**< IV and tag */
};

/** The one text for all that can be wrong with encrypted_key: the answer must not tell which. */
#define QL_BOOTSTRAP_KEY_TEXT "encrypted_key cannot be used"

struct ql_bootstrap;

/** @param agent_id  what tags are made over; copied */
int ql_bootstrap_new(const char *agent_id, struct ql_bootstrap **ret, struct ql_err *err);
/** Wipes everything. */
void ql_bootstrap_free(struct ql_bootstrap *b);
QL_DEFINE_CLEANUP(struct ql_bootstrap, ql_bootstrap_free)

/**
 * encrypted_key as sent: strict base64 of RSAES-OAEP (SHA-1) of 16 or 32 bytes.
 * @retval QL_ECRYPTO always with QL_BOOTSTRAP_KEY_TEXT
 */
int ql_bootstrap_open_key(const struct ql_key *nk, const char *text, size_t len, struct ql_secret **ret,
                          struct ql_err *err);
/**
 * Add a U. Takes over @p u and @p payload (malloc'ed, encrypted; NULL: none), also on failure.
 * @param tag  QL_BOOTSTRAP_TAG_LEN bytes
 * @return true: K is known anew
 */
bool ql_bootstrap_add_u(struct ql_bootstrap *b, struct ql_secret *u, const uint8_t *tag, uint8_t *payload,
                        size_t payload_len);
/** Add a V, taken over. @return true: K is known anew */
bool ql_bootstrap_add_v(struct ql_bootstrap *b, struct ql_secret *v);
/** @return K, borrowed, for the life of @p b or until a new one; NULL: not known yet */
const struct ql_secret *ql_bootstrap_key(const struct ql_bootstrap *b);
/** Encrypted payload that came with the U of K; borrowed; NULL: none. */
const uint8_t *ql_bootstrap_payload(const struct ql_bootstrap *b, size_t *len);
/** Hex HMAC-SHA384(K, challenge) into @p out of 2 * QL_BOOTSTRAP_TAG_LEN + 1. @retval QL_ENOTFOUND no K yet */
int ql_bootstrap_verify(const struct ql_bootstrap *b, const char *challenge, char *out);
