/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file json.h
 * Foreign JSON under limits, over jansson: size capped first, duplicate keys refused, depth at most QL_JSON_DEPTH.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_JSON_DEPTH = 64 /**< nesting; deeper documents are refused before they are walked */
};

static inline void ql_json_decrefp(json_t **j)
{
    json_decref(*j);
    *j = NULL;
}
#define ql_auto_json ql_auto(ql_json_decrefp)

/**
 * Parse a whole document (any JSON value).
 * @param max_len  limit for @p len, bytes
 * @retval QL_ELIMIT too long or too deep @retval QL_EPARSE with line and column, duplicate key, bad UTF-8, NUL
 */
int ql_json_parse(const char *text, size_t len, size_t max_len, json_t **ret, struct ql_err *err);
/** As ql_json_parse(), and the value must be an object. */
int ql_json_parse_object(const char *text, size_t len, size_t max_len, json_t **ret, struct ql_err *err);
/** Compact text, keys in order of insertion; caller frees. NULL: no memory. */
char *ql_json_text(const json_t *j);
/**
 * As ql_json_text() for a value whose strings may hold bytes that are no UTF-8 (json_stringn_nocheck()): such a byte 0xXX is
 * written `\udcXX`, as Python does it. Slower, and ASCII alone.
 */
char *ql_json_text_bytes(const json_t *j);
/** Python's default spelling (", " and ": "), as Keylime's servers write it; caller frees. NULL: no memory. */
char *ql_json_text_spaced(const json_t *j);

/** Member as text: *ret borrowed. @retval QL_ENOTFOUND absent or null @retval QL_EPARSE other type (names the key) */
int ql_json_get_text(const json_t *object, const char *key, const char **ret, size_t *ret_len,
                     struct ql_err *err);
/** Member as integer. @retval QL_ENOTFOUND @retval QL_EPARSE @retval QL_ERANGE */
int ql_json_get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                    struct ql_err *err);
/** Member as boolean. @retval QL_ENOTFOUND @retval QL_EPARSE */
int ql_json_get_bool(const json_t *object, const char *key, bool *ret, struct ql_err *err);
