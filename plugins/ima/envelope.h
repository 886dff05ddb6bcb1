/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file envelope.h
 * The payload of a DSSE envelope. Its signature was checked when the policy was stored (or need not be); here the policy
 * is only taken out.
 *
 * Layer: plugin ima. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

/**
 * Decode a payload: hex when all of it is, else base64 in either alphabet.
 * @param[out] ret from host->alloc, the caller's to free
 * @retval QL_EPARSE @retval QL_ENOMEM
 */
int ima_envelope_payload(const struct ql_host *host, const uint8_t *text, size_t len, uint8_t **ret,
                         size_t *ret_len, struct ql_err *err);
