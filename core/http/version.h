/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file version.h
 * Keylime's API versions: parsing "2.6", negotiating (spec/server.md 1, spec/agent.md 3.1).
 */
#pragma once
#include <jansson.h>

#include <quicklime/error.h>

#define QL_API_NEWEST QL_API(2, 6) /**< newest pull-mode version */

/** "2.6" exactly (digit, dot, digit) → QL_API(2, 6). @retval QL_EPARSE */
int ql_api_parse(const char *text, size_t len, unsigned *ret, struct ql_err *err);
/** Text of a version into @p out of at least 8 bytes. @return out */
char *ql_api_text(unsigned version, char *out);
/**
 * Highest common version of ours (0 at the end) and the results object of a /version answer: `supported_versions`
 * (list) or else `supported_version` (text). @param max_major versions with a larger major are left out
 * @retval QL_ENOTFOUND nothing in common @retval QL_EPARSE
 */
int ql_api_negotiate(const unsigned *ours, const json_t *results, unsigned max_major, unsigned *ret,
                     struct ql_err *err);
