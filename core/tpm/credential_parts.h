/* SPDX-License-Identifier: Apache-2.0 */
/** @file credential_parts.h  The deterministic half of MakeCredential, for known-answer tests. Internal to tpm. */
#pragma once
#include "buf.h"
#include "credential.h"

/**
 * TPMS_ID_OBJECT for a given seed (TPM 2.0 part 1, 24.4 and 24.5): outer HMAC and encrypted credential.
 * @param out receives u16 length of the HMAC, the HMAC, and the encrypted TPM2B
 */
int ql_credential_protect(const struct ql_tpm_public *ek, const uint8_t *seed, size_t seed_len,
                          const uint8_t *name, size_t name_len, const void *secret, size_t secret_len,
                          struct ql_buf *out, struct ql_err *err);
