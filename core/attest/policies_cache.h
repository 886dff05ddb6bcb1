/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policies_cache.h
 * What a worker keeps warm: compiled policies by digest, and imported keys by the digest of their public
 * area. Importing a key costs several times what using it does. Both forget what was used longest ago.
 */
#pragma once
#include "frame.h"
#include "verdict.h"

enum {
    QL_KEYS_KEPT = 16384 /**< AKs of one worker: a fleet of 10,000 over any number of workers */
};

struct ql_policy_cache;
/** @param max_bytes of policies and what they were compiled to, together */
int ql_policy_cache_new(size_t max_bytes, struct ql_policy_cache **ret, struct ql_err *err);
void ql_policy_cache_free(struct ql_policy_cache *c);
QL_DEFINE_CLEANUP(struct ql_policy_cache, ql_policy_cache_free)
/** Borrowed until the next ql_policy_cache_trim(); NULL: not held. */
struct ql_policy *ql_policy_cache_get(struct ql_policy_cache *c, const char *validator,
                                      const uint8_t digest[32]);
/** Keep a policy and the frame that its bytes lie in; both are taken over, on failure too. */
int ql_policy_cache_put(struct ql_policy_cache *c, struct ql_policy *policy, size_t len,
                        struct ql_frame *frame, struct ql_err *err);
/** Forget the longest unused until the limit holds. Between jobs, so that no policy in use goes. */
void ql_policy_cache_trim(struct ql_policy_cache *c);
size_t ql_policy_cache_count(const struct ql_policy_cache *c);

/** An imported AK. */
struct ql_ak {
    struct ql_tpm_public public;
    struct ql_key *key;
};
struct ql_key_cache;
int ql_key_cache_new(size_t max_count, struct ql_key_cache **ret, struct ql_err *err);
void ql_key_cache_free(struct ql_key_cache *c);
QL_DEFINE_CLEANUP(struct ql_key_cache, ql_key_cache_free)
/**
 * The AK of a TPM2B_PUBLIC, imported now or before. Borrowed until the next call.
 * @retval as ql_tpm_public_parse() and ql_tpm_public_key()
 */
int ql_key_cache_get(struct ql_key_cache *c, struct ql_digester *digester, const uint8_t *ak, size_t len,
                     const struct ql_ak **ret, struct ql_err *err);
