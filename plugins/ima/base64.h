/* SPDX-License-Identifier: Apache-2.0 */
/** @file base64.h  Base64 as three places of Keylime read it. Layer: plugin ima. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ima_base64 {
    IMA_BASE64_STRICT,  /**< standard alphabet, padded, nothing else */
    IMA_BASE64_URL,     /**< the same with - and _ */
    IMA_BASE64_LENIENT, /**< standard alphabet, other characters are passed over (keyrings) */
};

/**
 * Decode.
 * @param out room for 3 bytes each 4 characters begun
 * @return false: not of that form
 */
bool ima_base64_decode(enum ima_base64 form, const uint8_t *text, size_t len, uint8_t *out, size_t *ret_len);
