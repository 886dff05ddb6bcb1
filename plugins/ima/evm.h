/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file evm.h
 * What a signature of an entry really signs: the file's digest, the fs-verity file id, or a file's attributes (EVM).
 *
 * Layer: plugin ima. Pure. Source: Linux security/integrity/{ima/ima_appraise.c,evm/evm_crypto.c,digsig_asymmetric.c}.
 */
#pragma once
#include "hash.h"
#include "keyring.h"
#include "template.h"

/** The value to verify, with the header as ima_signature_check() takes it. */
struct ima_signed {
    struct ima_signature signature;
    const char *alg;
    size_t alg_len;
    const uint8_t *digest; /**< in the entry, or `made` */
    size_t digest_len;
    uint8_t made[IMA_HASH_MAX];
};

/** @return false: no signature, or one that cannot be good for this entry */
bool ima_signed_of(struct ima_hasher *h, const struct ima_entry *e, struct ima_signed *ret);
