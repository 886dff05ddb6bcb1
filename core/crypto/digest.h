/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file digest.h
 * Digests and MACs over OpenSSL EVP, fetched once. A struct ql_digester is one thread's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_DIGEST_MAX = 64 /**< bytes; SHA-512 */
};

/** Hash algorithms, with the values of TPM_ALG_ID (TPM 2.0 part 2, table 9). */
enum ql_hash {
    QL_SHA1 = 0x0004,
    QL_SHA256 = 0x000B,
    QL_SHA384 = 0x000C,
    QL_SHA512 = 0x000D
};

/** @return bytes of a digest, 0 for a value that is none of enum ql_hash */
size_t ql_hash_len(unsigned alg);
/** @return "sha1", "sha256", "sha384", "sha512"; NULL otherwise. Static. */
const char *ql_hash_name(unsigned alg);
/** Exact name to value. @retval QL_ENOTFOUND */
int ql_hash_by_name(const char *name, size_t len, enum ql_hash *ret);

/** Holds the fetched algorithms and one context. */
struct ql_digester;
int ql_digester_new(struct ql_digester **ret, struct ql_err *err);
void ql_digester_free(struct ql_digester *d);
QL_DEFINE_CLEANUP(struct ql_digester, ql_digester_free)

/** One piece of a message. */
struct ql_piece {
    const void *data;
    size_t len;
};

/** Hash the pieces in order. @param[out] out ql_hash_len(alg) bytes @retval QL_ECRYPTO */
int ql_digest(struct ql_digester *d, enum ql_hash alg, const struct ql_piece *pieces, size_t count,
              uint8_t *out);

/** One-shot forms without a digester (fetch by themselves; not for hot paths). */
int ql_digest_once(enum ql_hash alg, const void *data, size_t len, uint8_t *out);
int ql_hmac(enum ql_hash alg, const void *key, size_t key_len, const struct ql_piece *pieces, size_t count,
            uint8_t *out);

/** Random bytes of OpenSSL's DRBG; failure aborts the process: nothing can go on without. */
void ql_random(void *out, size_t len);
/** @p len characters out of A-Z0-9a-z, evenly drawn (rejection sampling), and a NUL. */
void ql_random_alnum(char *out, size_t len);
