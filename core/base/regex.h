/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file regex.h
 * PCRE2, interpreted, under limits: a pattern or subject cannot stall the process. A limit reached is an error, never
 * "does not match".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_REGEX_PATTERN_MAX = 64 * 1024, /**< bytes of a pattern */
    QL_REGEX_SUBJECT_MAX =
        16 * 1024, /**< bytes of a subject: one step may scan all of it, so a search is quadratic */
    QL_REGEX_MATCH_LIMIT = 100000, /**< backtracking steps of one match: a few ms */
    QL_REGEX_HEAP_KIB = 16 * 1024  /**< heap of one match */
};

struct ql_regex;

/** Whole subject must match (Python's fullmatch) / match at the start (Python's match) / anywhere (search). */
enum ql_regex_mode {
    QL_REGEX_FULL,
    QL_REGEX_START,
    QL_REGEX_SEARCH
};

/**
 * Compile. Classes know Unicode, `.` stops at LF only, `$` also matches before a last LF (as in Python).
 * A compiled regex is safe from any number of threads.
 * @retval QL_EPARSE with position and reason @retval QL_ELIMIT
 */
int ql_regex_new(const char *pattern, size_t len, enum ql_regex_mode mode, struct ql_regex **ret,
                 struct ql_err *err);
/** @return 1 matches, 0 does not, negative: QL_ELIMIT (limit reached), QL_EPARSE (subject is not UTF-8), QL_ENOMEM */
int ql_regex_match(const struct ql_regex *re, const char *subject, size_t len, struct ql_err *err);
void ql_regex_free(struct ql_regex *re);
QL_DEFINE_CLEANUP(struct ql_regex, ql_regex_free)
