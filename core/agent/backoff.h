/* SPDX-License-Identifier: Apache-2.0 */
/** @file backoff.h  When to try the registrar again (spec/agent.md 2.1): exponential, with jitter, or as it asks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    QL_RETRY_AFTER_MAX_S =
        3600 /**< a Retry-After beyond it is cut: the registrar's channel is not authenticated */
};

/** Counter and limits of one request. */
struct ql_backoff {
    uint64_t initial_ms, max_ms;
    unsigned max_tries, tries; /**< repeats allowed, made */
};

/** @return true for codes after which the same request may succeed later: 408, 429, 5xx */
bool ql_backoff_status(int status);
/**
 * Delay before the next repeat.
 * @param retry_after  value of that header (seconds or HTTP date); NULL: none
 * @return ms: half to all of initial * 2^tries, at most max; -1: no repeats are left
 */
int64_t ql_backoff_next(struct ql_backoff *b, const char *retry_after);
/** Retry-After in ms from @p now_s (Unix time); -1: not understood. */
int64_t ql_retry_after_ms(const char *text, int64_t now_s);
