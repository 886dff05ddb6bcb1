/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file secret.h
 * Keys, payloads and passwords: locked memory outside core dumps, wiped when freed, never printed. The struct is opaque
 * so that no `%s` of one compiles.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_SECRET_MAX = 4 * 1024 * 1024 /**< bytes; the largest payload and room */
};

struct ql_secret;

/** Copy @p len bytes into a new secret. The source stays the caller's to wipe. @retval QL_ELIMIT @retval QL_ENOMEM */
int ql_secret_new(const void *data, size_t len, struct ql_secret **ret, struct ql_err *err);
/** A secret of @p len zero bytes, to be filled through ql_secret_writable(). */
int ql_secret_new_empty(size_t len, struct ql_secret **ret, struct ql_err *err);
/** The bytes, borrowed, followed by a NUL that the length does not count. */
const uint8_t *ql_secret_data(const struct ql_secret *s);
uint8_t *ql_secret_writable(struct ql_secret *s);
size_t ql_secret_len(const struct ql_secret *s);
/** Wipe and free; NULL is allowed. */
void ql_secret_free(struct ql_secret *s);
QL_DEFINE_CLEANUP(struct ql_secret, ql_secret_free)

/** Overwrite memory in a way that the compiler keeps. */
void ql_wipe(void *data, size_t len);
/** Compare in time that depends on @p len alone. Digests, nonces, MACs and tokens are compared by this. */
bool ql_equal_ct(const void *a, const void *b, size_t len);
