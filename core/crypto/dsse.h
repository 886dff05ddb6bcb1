/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dsse.h
 * Signed runtime policies: DSSE envelopes with ECDSA over SHA-256.
 *
 *     {"payload": …, "payloadType": "application/vnd.keylime+json", "signatures": [{"keyid": …, "sig": …}]}
 *
 * Layer: crypto. Pure. Source: DSSE 1.0 (pre-authentication encoding), Keylime's two kinds of key ids.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

struct ql_key;

enum {
    QL_DSSE_MAX = 256 * 1024 * 1024, /**< bytes of an envelope: the largest policy in base64 and room */
    QL_DSSE_SIGNATURES_MAX = 64,     /**< signatures that are looked at */
    QL_DSSE_KEYID_LEN = 64           /**< characters of a key id that names a key */
};

#define QL_DSSE_TYPE "application/vnd.keylime+json"

/** A signature of an envelope, decoded. */
struct ql_dsse_signature {
    char keyid[QL_DSSE_KEYID_LEN + 1]; /**< lower-case hex SHA-256 of the key's PEM; "": anything else */
    uint8_t *sig;                      /**< NULL: not to be decoded */
    size_t sig_len;
};

struct ql_dsse {
    char *type;       /**< NULL: none, or not ASCII */
    uint8_t *payload; /**< decoded */
    size_t payload_len;
    struct ql_dsse_signature signatures[QL_DSSE_SIGNATURES_MAX];
    size_t count;
};

/**
 * Read an envelope.
 * @param[out] ret  ql_dsse_free()
 * @retval QL_ENOTFOUND JSON without a payload: no envelope
 * @retval QL_EPARSE not a JSON object, or its payload is neither hex nor base64 @retval QL_ELIMIT
 */
int ql_dsse_read(const char *text, size_t len, struct ql_dsse **ret, struct ql_err *err);
void ql_dsse_free(struct ql_dsse *d);
QL_DEFINE_CLEANUP(struct ql_dsse, ql_dsse_free)

/**
 * At least one signature must be the key's, and the type Keylime's.
 * @param pem  PEM `PUBLIC KEY` on an elliptic curve
 * @retval QL_ECRYPTO
 */
int ql_dsse_verify(const struct ql_dsse *d, const char *pem, size_t len, struct ql_err *err);
/** The bytes that are signed. @param[out] ret caller frees */
int ql_dsse_pae(const char *type, const void *payload, size_t len, uint8_t **ret, size_t *ret_len,
                struct ql_err *err);

/** Key id: hex SHA-256 of the public key's PEM. @param out room for QL_DSSE_KEYID_LEN + 1 */
int ql_dsse_keyid(const struct ql_key *key, char *out, struct ql_err *err);
/**
 * Sign. @param x509 key id is a certificate made for this key (30 days), else the hash of its PEM
 * @param[out] ret_cert PEM of that certificate, NULL without x509; caller frees
 * @param[out] ret envelope in Python's spelling, caller frees
 */
int ql_dsse_sign(const struct ql_key *key, bool x509, const void *payload, size_t len, char **ret,
                 char **ret_cert, struct ql_err *err);
