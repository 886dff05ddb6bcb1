/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file detached.h
 * Signatures that lie beside what they sign, as RPM repositories have them.
 *
 * Layer: policy. Source: RFC 4880 section 6.2 (armour); gpgv(1), which checks OpenPGP signatures.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_DETACHED_MAX = 1024 * 1024 /**< bytes of a signature, or of a key's file */
};

/** Bytes of somebody else. */
struct ql_span {
    const uint8_t *data;
    size_t len;
};

/**
 * Check a signature. The key's first line says of which kind both are: `-----BEGIN PGP PUBLIC KEY BLOCK-----` (OpenPGP; all
 * signatures must be good and by keys of this file that have not expired and are not revoked) or `-----BEGIN PUBLIC KEY-----`
 * (ECDSA over SHA-256, DER).
 * @retval QL_OK it is good
 * @retval QL_ECRYPTO it is not, or the key cannot be used @retval QL_ENOTFOUND gpgv is not installed
 * @retval QL_ELIMIT @retval QL_EIO
 */
int ql_detached_check(struct ql_span key, struct ql_span signature, struct ql_span data, struct ql_err *err);
/**
 * The bytes of an armoured OpenPGP block, which begins the text.
 * @param[out] ret  caller frees
 * @retval QL_EPARSE no such block, or damaged
 */
int ql_openpgp_dearmour(struct ql_span text, uint8_t **ret, size_t *ret_len, struct ql_err *err);
