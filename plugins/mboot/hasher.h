/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file hasher.h
 * Hashes by TPM algorithm, fetched once and kept: a log needs hundreds of short digests.
 *
 * Layer: plugin mboot. One hasher serves one thread; it keeps nothing between two calls.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

enum {
    MB_ALG_SHA1 = 0x0004,
    MB_ALG_SHA256 = 0x000b,
    MB_ALG_SHA384 = 0x000c,
    MB_ALG_SHA512 = 0x000d,
    MB_ALG_SM3_256 = 0x0012,
    MB_ALG_SHA3_256 = 0x0027,
    MB_ALG_SHA3_384 = 0x0028,
    MB_ALG_SHA3_512 = 0x0029,
};

struct mb_hasher;

/**
 * Fetch every hash that the library offers; do it before a sandbox closes.
 * @param host must outlive the hasher @param[out] ret owned by the caller: mb_hasher_free()
 * @retval QL_ECRYPTO SHA-256 is missing @retval QL_ENOMEM
 */
int mb_hasher_new(const struct ql_host *host, struct mb_hasher **ret, struct ql_err *err);
void mb_hasher_free(struct mb_hasher *h);
static inline void mb_hasher_freep(struct mb_hasher **p)
{
    mb_hasher_free(*p);
}

/**
 * Digest of two pieces, one after the other.
 * @param out room for MB_DIGEST_MAX bytes
 * @retval QL_EUNSUPPORTED the library has no such hash @retval QL_ECRYPTO
 */
int mb_hash(struct mb_hasher *h, uint16_t alg, const void *a, size_t a_len, const void *b, size_t b_len,
            uint8_t *out);

/** @return digest size in bytes of an algorithm that the specification of TPM 2.0 names; 0: unknown */
size_t mb_alg_digest_len(uint16_t alg);
/** @return its name ("sha256"), NULL: unknown */
const char *mb_alg_name(uint16_t alg);
/** @return true for the algorithms whose banks are replayed: sha1, sha256, sha384, sha512, sm3_256 */
bool mb_alg_is_bank(uint16_t alg);
