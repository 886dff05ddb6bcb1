/* SPDX-License-Identifier: Apache-2.0 */
/** @file key_parts.h  What a key is made of. Private to key.c, keyring.c and signature.c. */
#pragma once
#include <openssl/evp.h>

#include "keyring.h"

struct ima_key {
    unsigned refs; /* a worker has one thread */
    uint32_t id;
    bool is_rsa;
    unsigned bits;
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *kept; /* made ready for `kept_hash`: setting one up costs a fifth of an RSA check */
    unsigned kept_hash;
};

/** A public key in DER and nothing else: what Keylime's keyring text holds. */
enum ima_key_kind ima_key_read_public(const uint8_t *der, size_t len, struct ima_key **ret);
