/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file key.h
 * Public and private keys: import, signature checks, OAEP, AEAD. Wraps EVP_PKEY, which `native` hands out to http.
 */
#pragma once
#include <openssl/evp.h>

#include "cleanup.h"
#include "digest.h"
#include "secret.h"

/** Curves, with the values of TPM_ECC_CURVE. */
enum ql_curve {
    QL_P256 = 3,
    QL_P384 = 4,
    QL_P521 = 5
};

/** Signature schemes, with the values of TPM_ALG_ID. */
enum ql_scheme {
    QL_RSASSA = 0x0014,
    QL_RSAPSS = 0x0016,
    QL_ECDSA = 0x0018,
    QL_ECSCHNORR = 0x001C
};

struct ql_key;

/** RSA public key. @param n big-endian modulus of 2048 to 4096 bits @param e exponent, 0 means 65537 */
int ql_key_from_rsa(const uint8_t *n, size_t n_len, uint32_t e, struct ql_key **ret, struct ql_err *err);
/** EC public key from affine coordinates, big-endian, at most the field size each. The point is checked. */
int ql_key_from_ec(enum ql_curve curve, const uint8_t *x, size_t x_len, const uint8_t *y, size_t y_len,
                   struct ql_key **ret, struct ql_err *err);
/** SubjectPublicKeyInfo in PEM (one block, nothing but white space around it). RSA or EC as above. */
int ql_key_from_pem(const char *pem, size_t len, struct ql_key **ret, struct ql_err *err);
/** Private key in PEM (PKCS#8 or traditional), @p password NULL: none; never prompts. */
int ql_key_from_private_pem(const char *pem, size_t len, const struct ql_secret *password,
                            struct ql_key **ret, struct ql_err *err);
/** New private keys. */
int ql_key_generate_rsa(unsigned bits, struct ql_key **ret, struct ql_err *err);
int ql_key_generate_ec(enum ql_curve curve, struct ql_key **ret, struct ql_err *err);
/** Take over an EVP_PKEY reference. */
int ql_key_from_native(EVP_PKEY *pkey, struct ql_key **ret, struct ql_err *err);
void ql_key_free(struct ql_key *k);
QL_DEFINE_CLEANUP(struct ql_key, ql_key_free)

EVP_PKEY *ql_key_native(const struct ql_key *k); /**< borrowed */
bool ql_key_is_rsa(const struct ql_key *k);
unsigned ql_key_bits(const struct ql_key *k);
/** @return true when both are the same public key */
bool ql_key_equal(const struct ql_key *a, const struct ql_key *b);
/** Public part as SubjectPublicKeyInfo PEM (64-character lines, final newline); caller frees. NULL: failure */
char *ql_key_public_pem(const struct ql_key *k);
/** Private part as PKCS#8 PEM, encrypted with AES-256-CBC when @p password is given. */
int ql_key_private_pem(const struct ql_key *k, const struct ql_secret *password, struct ql_secret **ret,
                       struct ql_err *err);
/** RSA modulus (big-endian) and exponent. @retval QL_EUNSUPPORTED not RSA @retval QL_ELIMIT */
int ql_key_rsa_parts(const struct ql_key *k, uint8_t *n, size_t n_room, size_t *n_len, uint32_t *e);
/** Uncompressed EC point: curve and coordinates padded to the field size. */
int ql_key_ec_parts(const struct ql_key *k, enum ql_curve *curve, uint8_t *x, uint8_t *y, size_t room,
                    size_t *len);

/**
 * Check a signature over the pieces. The key must fit the scheme. RSASSA and RSAPSS: @p sig; ECDSA: r || s given as
 * two big-endian integers @p sig (r) and @p sig2 (s).
 * @param salt_len RSAPSS: required salt length; -1: digest size; -2: the maximum
 * @retval QL_OK @retval QL_ECRYPTO wrong signature or unusable key: the only two answers that matter
 */
int ql_key_verify(const struct ql_key *k, enum ql_scheme scheme, enum ql_hash hash, const void *data,
                  size_t len, const uint8_t *sig, size_t sig_len, const uint8_t *sig2, size_t sig2_len,
                  int salt_len, struct ql_err *err);
/**
 * As ql_key_verify() for RSASSA and ECDSA, by contexts that are kept: the digester's, and one prepared in the key. Setting
 * up a context costs a fifth of an RSA check. @p k may be shared between threads, @p d may not.
 */
int ql_key_verify_kept(const struct ql_key *k, struct ql_digester *d, enum ql_scheme scheme,
                       enum ql_hash hash, const void *data, size_t len, const uint8_t *sig, size_t sig_len,
                       const uint8_t *sig2, size_t sig2_len, struct ql_err *err);
/** Sign: RSAPSS with maximal salt (revocation messages, spec/agent.md 6.1). @param[out] ret caller frees */
int ql_key_sign_pss_max(const struct ql_key *k, enum ql_hash hash, const void *data, size_t len,
                        uint8_t **ret, size_t *ret_len, struct ql_err *err);

/** RSAES-OAEP. @p label may be NULL. @param[out] out room for the modulus length */
int ql_oaep_encrypt(const struct ql_key *k, enum ql_hash hash, const void *label, size_t label_len,
                    const void *data, size_t len, uint8_t *out, size_t room, size_t *ret_len,
                    struct ql_err *err);
/** One text for every failure. */
int ql_oaep_decrypt(const struct ql_key *k, enum ql_hash hash, const void *data, size_t len,
                    struct ql_secret **ret, struct ql_err *err);

/** AES-GCM as Keylime's payloads: IV(16) || ciphertext || tag(16), no AAD, key of 16 or 32 bytes. */
int ql_gcm_seal(const struct ql_secret *key, const void *data, size_t len, uint8_t **ret, size_t *ret_len,
                struct ql_err *err);
int ql_gcm_open(const struct ql_secret *key, const void *data, size_t len, struct ql_secret **ret,
                struct ql_err *err);
