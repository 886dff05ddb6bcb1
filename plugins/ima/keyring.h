/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file keyring.h
 * Public keys that sign files: read from DER and PEM, kept by key id in named rings, and the check of a file's signature
 * against them.
 *
 * Layer: plugin ima. Source: Linux security/integrity/digsig_asymmetric.c (header version 2), Keylime's keyring text.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <quicklime/plugin.h>

struct ima_key;     /**< counted: ima_key_ref(), ima_key_unref() */
struct ima_keyring; /**< key id to key */

/** What the bytes of a measured buffer or a keyring element turned out to be. */
enum ima_key_kind {
    IMA_NOT_A_KEY,
    IMA_KEY_UNSUPPORTED, /**< a key of a type that cannot sign files */
    IMA_KEY_OK,
};

/**
 * Read a key.
 * @param is_measured bytes come from a log: certificates and public keys alone; else private keys too (their public half)
 * @param[out] ret with IMA_KEY_OK a key with one reference
 */
enum ima_key_kind ima_key_read(const uint8_t *bytes, size_t len, bool is_measured, struct ima_key **ret);
/** @return class of a key that ima_key_read() calls unsupported, as "Ed25519"; static */
const char *ima_key_unsupported_name(const uint8_t *bytes, size_t len, bool is_measured);
struct ima_key *ima_key_ref(struct ima_key *key);
void ima_key_unref(struct ima_key *key);
/** @return key id: end of the subject key identifier, or of SHA-1 over the key */
uint32_t ima_key_id(const struct ima_key *key);
bool ima_key_equal(const struct ima_key *a, const struct ima_key *b);

int ima_keyring_new(const struct ql_host *host, struct ima_keyring **ret, struct ql_err *err);
void ima_keyring_free(struct ima_keyring *ring);
/**
 * Add a key under @p id (0: its own), taking a reference.
 * @retval QL_ECONFLICT the id belongs to a different key already: ring unchanged
 */
int ima_keyring_add(struct ima_keyring *ring, struct ima_key *key, uint32_t id, struct ql_err *err);
/** @return the key, borrowed, or NULL */
struct ima_key *ima_keyring_find(const struct ima_keyring *ring, uint32_t id);
size_t ima_keyring_count(const struct ima_keyring *ring);
/** Read Keylime's keyring text `{"pubkeys": […], "keyids": […]}`. @param[out] ret NULL when the text is no keyring or empty */
int ima_keyring_read(const struct ql_host *host, const char *text, size_t len, struct ima_keyring **ret,
                     struct ql_err *err);
/** As ima_keyring_read() for text that an operator uploads: what is no keyring is an error. @retval QL_EPARSE */
int ima_keyring_read_strict(const struct ql_host *host, const char *text, size_t len,
                            struct ima_keyring **ret, struct ql_err *err);
/** @return Keylime's keyring object; owned by the caller, NULL: no memory */
json_t *ima_keyring_write(const struct ima_keyring *ring);

/** One signature field of a log entry. */
struct ima_signature {
    uint8_t type, version, hash_id;
    uint32_t key_id;
    const uint8_t *sig; /**< borrowed */
    size_t sig_len;
};
/** @return false: header or length field does not fit; the field counts as absent */
bool ima_signature_read(const uint8_t *field, size_t len, struct ima_signature *ret);
/**
 * Is @p s a good signature by @p key over the digest?
 * @param alg digest's algorithm as the log names it; must be the header's
 * Weak means: good, but RSA below 2048 bits or a hash of md5 or sha1.
 */
enum ima_signature_verdict {
    IMA_SIGNATURE_BAD,
    IMA_SIGNATURE_GOOD,
    IMA_SIGNATURE_WEAK
};
enum ima_signature_verdict ima_signature_check(const struct ima_signature *s, const struct ima_key *key,
                                               const char *alg, size_t alg_len, const uint8_t *digest,
                                               size_t digest_len);
