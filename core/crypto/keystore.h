/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file keystore.h
 * The CA's private.json: private keys and counters under a password (spec/server.md 11.3, own format).
 *
 *     {"priv": base64(IV(16) || AES-256-GCM ciphertext || tag(16)), "salt": text}
 *
 * with the key PBKDF2-HMAC-SHA256(password, bytes of the salt's text, 100000 rounds).
 */
#pragma once
#include <quicklime/error.h>

#include "cleanup.h"
#include "secret.h"

enum {
    QL_KEYSTORE_MAX_LEN = 4 * 1024 * 1024 /**< bytes of a private.json */
};

/** Seal @p plain. @param password NULL: Keylime's preset word "default" @param[out] ret JSON text, caller frees */
int ql_keystore_seal(const struct ql_secret *plain, const struct ql_secret *password, char **ret,
                     struct ql_err *err);
/** Open the text of a private.json. @retval QL_EPARSE @retval QL_ECRYPTO damaged, or another password */
int ql_keystore_open(const char *text, size_t len, const struct ql_secret *password, struct ql_secret **ret,
                     struct ql_err *err);
/**
 * Open the two members by themselves: Keylime's private.yml has the same under another spelling.
 * @param priv  base64 @retval QL_EPARSE @retval QL_ECRYPTO damaged, or another password
 */
int ql_keystore_open_parts(const char *priv, size_t priv_len, const char *salt, size_t salt_len,
                           const struct ql_secret *password, struct ql_secret **ret, struct ql_err *err);
