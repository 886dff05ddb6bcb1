/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file hash.h
 * Digests of short messages, millions of them: no context is made and nothing is looked up for one.
 *
 * Layer: plugin ima. Source: names of the Linux kernel (hash_info.c).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

enum {
    IMA_HASH_MAX = 64 /**< bytes */
};

enum ima_alg {
    IMA_SHA1,
    IMA_SHA256,
    IMA_SHA384,
    IMA_SHA512,
    IMA_MD5,
    IMA_SHA224,
    IMA_SM3,
    IMA_ALG_COUNT
};

/** Algorithms that are not hashed directly, fetched once. One a process; not for several threads at a time. */
struct ima_hasher;

/** @retval QL_ENOMEM @retval QL_ECRYPTO */
int ima_hasher_new(const struct ql_host *host, struct ima_hasher **ret, struct ql_err *err);
void ima_hasher_free(struct ima_hasher *h);

/** @param name as the log and TPM banks name it; "sm3" and "sm3_256" are the same @return false: unknown */
bool ima_alg_by_name(const uint8_t *name, size_t len, enum ima_alg *ret);
const char *ima_alg_name(enum ima_alg alg);
size_t ima_alg_len(enum ima_alg alg);

/** @param out room for ima_alg_len() bytes @return false: the library does not offer it */
bool ima_hash(struct ima_hasher *h, enum ima_alg alg, const void *data, size_t len, uint8_t *out);
