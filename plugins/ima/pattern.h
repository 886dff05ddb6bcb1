/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pattern.h
 * One Python regular expression over bytes that should be UTF-8, run by PCRE2's interpreter under limits.
 *
 * Layer: plugin ima. Source: Python 3.11's re (library reference, "Regular Expression Syntax").
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

enum {
    IMA_PATTERN_MAX = 64 * 1024,    /**< bytes of an expression */
    IMA_MATCH_LIMIT = 100000,       /**< backtracking steps of one match: a few ms */
    IMA_MATCH_HEAP_KIB = 16 * 1024, /**< heap of one match */
    IMA_SUBJECT_MAX = 16 * 1024     /**< bytes of a subject: one step may look at all of it */
};

struct ima_pattern;
struct ima_matcher; /**< working memory that patterns share: they run one at a time */

enum ima_match {
    IMA_NO_MATCH,
    IMA_MATCH,
    IMA_MATCH_LIMITED, /**< a limit was reached, or no memory: the answer is not known */
};

/**
 * Compile.
 * @param is_full the whole subject must match (fullmatch); else its beginning (match)
 * @retval QL_EPARSE with position (characters, from 0) and reason @retval QL_ELIMIT @retval QL_ENOMEM
 */
int ima_pattern_new(const struct ql_host *host, const uint8_t *text, size_t len, bool is_full,
                    struct ima_pattern **ret, struct ql_err *err);
/** From PCRE2's own syntax, on shared memory. */
int ima_pattern_new_raw(const struct ql_host *host, const uint8_t *text, size_t len, bool is_full,
                        struct ima_matcher *matcher, struct ima_pattern **ret, struct ql_err *err);
int ima_matcher_new(const struct ql_host *host, struct ima_matcher **ret, struct ql_err *err);
void ima_matcher_free(struct ima_matcher *m);
void ima_pattern_free(struct ima_pattern *p);
size_t ima_pattern_size(const struct ima_pattern *p);
enum ima_match ima_pattern_match(const struct ima_pattern *p, const uint8_t *subject, size_t len);
