/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file regex.h
 * Regular expressions in Python's spelling, as reference states hold them: full match of a whole text.
 *
 * Understood: literals; `\` before anything that is no letter or digit; `\d \w \s \D \W \S \n \t \r \v \f \xHH`; `.`, classes
 * with ranges and negation; groups `( )` and `(?: )`; `|`; `* + ? {m} {m,} {,n} {m,n}` and their lazy forms; `^ $ \A \Z`; the
 * flags `(?i)` and `(?s)` at the very beginning. Everything else is refused with its place: look-around, references to groups,
 * possessive forms, named groups.
 *
 * Matching is by PCRE2 without JIT, on code points, and bounded: at the limit the answer is an error, never "does not match".
 * Layer: plugin mboot. A regex is used by one thread at a time.
 */
#pragma once
#include <stddef.h>

#include <quicklime/plugin.h>

enum {
    MB_REGEX_MAX = 64 * 1024,     /**< bytes of an expression */
    MB_REGEX_DEPTH = 100,         /**< groups in groups */
    MB_REGEX_STEPS = 100 * 1000,  /**< of PCRE2's match limit: about 2 ms */
    MB_REGEX_HEAP_KIB = 16 * 1024 /**< memory of one match */
};

struct mb_regex;

/**
 * @param flags "" or letters out of "is": ignore case, dot matches newlines
 * @param[out] ret owned by the caller: mb_regex_free()
 * @retval QL_EPARSE names the place in the expression @retval QL_ELIMIT length, depth @retval QL_ENOMEM
 */
int mb_regex_new(const struct ql_host *host, const char *pattern, size_t len, const char *flags,
                 struct mb_regex **ret, struct ql_err *err);
void mb_regex_free(struct mb_regex *re);
/** @return 1 the whole text matches, 0 it does not; QL_ELIMIT given up; QL_EPARSE the text is not UTF-8 */
int mb_regex_full(const struct mb_regex *re, const char *text, size_t len);
