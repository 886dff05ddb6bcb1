/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file signing_keys.h
 * Public keys that may sign runtime policies: STATE/signing_keys/NAME.pub, NAME being the hex SHA-256 of the file. The
 * operator places them; keys that come with an upload count only with `allow_uploaded_policy_keys`.
 */
#pragma once
#include <jansson.h>

#include "verifier.h"

enum {
    QL_SIGNING_KEYS_MAX = 64,          /**< of the folder; files beyond are not read, with a log line */
    QL_SIGNING_KEY_MAX_LEN = 16 * 1024 /**< bytes of a PEM file */
};

/** What a check of a signed policy is given. */
struct ql_signing_keys {
    bool is_required;                     /**< require_allow_list_signatures */
    char *texts[QL_SIGNING_KEYS_MAX + 1]; /**< "NAME\nPEM", as jobs take them */
    size_t count;
    char *to_remember; /**< PEM of a key that was sent and is new; NULL: none */
};

/**
 * Collect the keys for an upload. Nothing is read unless signatures are required.
 * @param body  the request's: runtime_policy_key, runtime_policy_sig
 * @param[out] http  status of a refusal; the text of @p err is its reason
 */
int ql_signing_keys_collect(const struct ql_verifier *v, const json_t *body, struct ql_signing_keys *ret,
                            int *http, struct ql_err *err);
/** The upload was good: keep the key that came with it, never over an existing file. */
void ql_signing_keys_remember(const struct ql_verifier *v, const struct ql_signing_keys *k);
void ql_signing_keys_done(struct ql_signing_keys *k);
