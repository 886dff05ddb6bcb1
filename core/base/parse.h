/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file parse.h
 * Numbers and small words from text, whole string or nothing.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_AGENT_ID_MAX = 80 /**< characters; width of the key column that Keylime users know */
};

/** Decimal digits only. @retval QL_EPARSE @retval QL_ERANGE outside min..max */
int ql_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *ret, struct ql_err *err);
/** Optional '-', then digits. */
int ql_parse_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret, struct ql_err *err);
/** Hex digits with or without 0x, at most 32 bits. */
int ql_parse_hex_u32(const char *text, size_t len, uint32_t *ret, struct ql_err *err);
/** Decimal or 0x hex, optional suffix K, M or G (powers of 1024). */
int ql_parse_size(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *ret,
                  struct ql_err *err);
/** Plain decimal fraction: digits, optional '.', digits; no exponent, no locale. */
int ql_parse_float(const char *text, size_t len, double min, double max, double *ret, struct ql_err *err);
/** 1/yes/true/on and 0/no/false/off in any case. */
int ql_parse_bool(const char *text, size_t len, bool *ret, struct ql_err *err);

/** @return true for 1 to QL_AGENT_ID_MAX characters out of `0-9A-Za-z._-` */
bool ql_agent_id_ok(const char *text, size_t len);
/** @return true for 1 to 32 characters out of `a-z0-9-` (component names) */
bool ql_component_name_ok(const char *text, size_t len);
/** @return true for well-formed UTF-8 without NUL */
bool ql_utf8_ok(const char *text, size_t len);
