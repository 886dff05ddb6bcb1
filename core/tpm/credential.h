/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file credential.h
 * MakeCredential in software and the activation tag (spec/agent.md 2.3, 2.4; TPM 2.0 part 1, 24 and C.6).
 */
#pragma once
#include "public.h"

enum {
    QL_CHALLENGE_LEN = 32,       /**< characters of the credential */
    QL_CHALLENGE_KEY_LEN = 44,   /**< base64 of it: the HMAC key, as text */
    QL_AUTH_TAG_LEN = 96,        /**< hex characters of HMAC-SHA384 */
    QL_CREDENTIAL_MAX_LEN = 2048 /**< bytes of a blob */
};

/**
 * Encrypt @p secret for the TPM that holds both @p ek and the object named @p name.
 * @param[out] ret  blob in the file layout of tpm2_makecredential, caller frees
 */
int ql_make_credential(const struct ql_tpm_public *ek, const uint8_t *name, size_t name_len,
                       const void *secret, size_t secret_len, uint8_t **ret, size_t *ret_len,
                       struct ql_err *err);
/** Split a blob into TPMS_ID_OBJECT and secret, exact lengths, magic and version checked. Borrowed from @p blob. */
int ql_credential_split(const uint8_t *blob, size_t len, const uint8_t **id_object, size_t *id_object_len,
                        const uint8_t **secret, size_t *secret_len, struct ql_err *err);
/** Fresh challenge text and its HMAC key text (both with NUL: 33 and 45 bytes). */
void ql_challenge_new(char *challenge, char *key);
/** Tag for @p agent_id. @param key 44 characters @param[out] out QL_AUTH_TAG_LEN + 1 */
int ql_auth_tag(const char *key, const char *agent_id, char *out);
