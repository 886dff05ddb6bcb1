/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pattern.h
 * Lua's patterns (reference manual 5.4, section 6.4.1) under a limit of steps. The library's
 * own matcher cannot be stopped: a pattern of a few characters keeps it busy for minutes, out of reach of the
 * instruction hook.
 *
 * Layer: plugin. Pure: no I/O, no memory of its own; classes are those of the C locale.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    QL_PATTERN_CAPTURES = 32, /**< captures of one pattern, as in Lua */
    QL_PATTERN_DEPTH = 200    /**< nested choices under way; bounds the C stack */
};

/** A capture: text, or a position. */
struct ql_capture {
    const char *start;
    ptrdiff_t len; /**< bytes; QL_CAPTURE_POSITION for "()" */
};
#define QL_CAPTURE_POSITION ((ptrdiff_t)-2)

/** One match under way; fill with ql_pattern_init(). */
struct ql_pattern {
    const char *subject, *subject_end, *pattern, *pattern_end;
    uint64_t steps_left; /**< what is left of the limit */
    const char *error;   /**< why the last match failed: bad pattern or limit; NULL: it just does not match */
    int is_limit;        /**< the error is a limit of steps */
    unsigned depth, capture_count;
    struct ql_capture captures[QL_PATTERN_CAPTURES];
};

/**
 * @param pattern without a leading '^': anchoring is the caller's; all borrowed
 * @param steps limit, for all matches
 */
void ql_pattern_init(struct ql_pattern *m, const char *subject, size_t subject_len, const char *pattern,
                     size_t pattern_len, uint64_t steps);
/** Match at @p at. @return end of the match, or NULL: see `error` */
const char *ql_pattern_match(struct ql_pattern *m, const char *at);
