/* SPDX-License-Identifier: Apache-2.0 */
/** @file key_parts.h  What a key is made of. Internal to crypto. */
#pragma once
#include "key.h"

struct ql_key {
    EVP_PKEY *pkey;
    /**
     * Ready to check RSASSA over SHA-256, or ECDSA; never used itself but copied, so that threads may share the key. NULL:
     * this key cannot check.
     */
    EVP_PKEY_CTX *checker;
    bool is_rsa;
};
