/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file legacy.h
 * Keylime's private.yml (spec/server.md 11.3): the little of YAML that its writer makes, and what the store says.
 *
 * A line is `KEY: VALUE`, and a value a plain or quoted scalar, `!!binary |` with base64 on indented lines below, `[]`,
 * or nothing, with items `- SCALAR` on the lines below. Everything else is refused. Total, no recursion.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "ca.h"

enum {
    QL_LEGACY_MAX_LEN = 4 * 1024 * 1024, /**< bytes of a file; a certificate's key needs 2.5 KiB */
    QL_LEGACY_ENTRIES_MAX = 100000       /**< keys and items: certificates of a fleet */
};

/** Kinds of values. */
enum ql_legacy_kind {
    QL_LEGACY_TEXT,
    QL_LEGACY_BINARY, /**< decoded */
    QL_LEGACY_LIST,   /**< begins: no value, items follow */
    QL_LEGACY_ITEM    /**< of the list that this key began */
};

/** One key or item; everything is borrowed and wiped after the call. @return QL_OK, or a failure that ends the walk */
typedef int (*ql_legacy_fn)(const char *key, size_t key_len, enum ql_legacy_kind kind, const void *value,
                            size_t len, void *arg, struct ql_err *err);
/** Walk over a text. @retval QL_EPARSE with the line @retval QL_ELIMIT */
int ql_legacy_walk(const char *text, size_t len, ql_legacy_fn fn, void *arg, struct ql_err *err);

/**
 * Read a private.yml: key, last serial number and revoked serial numbers; the certificate is left out.
 * @param password  NULL: Keylime's preset word
 * @param[out] others  keys of certificates in it, which stand as files beside it, too
 * @retval QL_ECRYPTO another password, or damage @retval QL_EPARSE @retval QL_ELIMIT
 */
int ql_legacy_read(const char *text, size_t len, const struct ql_secret *password, struct ql_ca **ret,
                   size_t *others, struct ql_err *err);
