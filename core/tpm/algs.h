/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file algs.h
 * Keylime's accept lists: names of hash, encryption and signing algorithms and how two names compare
 * (spec/server.md 5.3).
 */
#pragma once
#include <jansson.h>

#include "digest.h"

/** Sets of accepted algorithms. Bits, made from name lists once. */
struct ql_accept {
    uint32_t hash, enc, sign;
};

/** Add one name to a set ("rsa" and "rsa2048" are the same, "ecc" and "ecc256" too). @retval QL_ENOTFOUND unknown */
int ql_accept_hash(struct ql_accept *a, const char *name);
int ql_accept_enc(struct ql_accept *a, const char *name);
int ql_accept_sign(struct ql_accept *a, const char *name);
/** From JSON arrays of text. NULL array: Keylime's defaults plus ecdsa. Unknown names are ignored, as upstream does. */
int ql_accept_from_json(const json_t *hash, const json_t *enc, const json_t *sign, struct ql_accept *ret,
                        struct ql_err *err);
/** @return true when the name an agent claims is in the set */
bool ql_accepts_hash(const struct ql_accept *a, const char *name, size_t len);
bool ql_accepts_enc(const struct ql_accept *a, const char *name, size_t len);
bool ql_accepts_sign(const struct ql_accept *a, const char *name, size_t len);
/** @return true when both names are known and mean the same key type ("rsa" and "rsa2048") */
bool ql_same_enc(const char *a, const char *b);
