/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file walk.h
 * Digests of all files of a root file system, hashed by all processors.
 *
 * Layer: policy. Reads files of others: regular ones alone, never through a link.
 */
#pragma once
#include "draft.h"

struct ql_walk_rules {
    const char *root;
    const char *algorithm;    /**< one of ql_policy_algorithms */
    const char *const *skips; /**< paths as given, NULL at the end; NULL: none */
    bool has_standard_skips;  /**< /proc, /tmp, …, and mounts of other kinds of file system */
    bool root_owned;          /**< files of other owners are left out */
    unsigned threads;         /**< 0: one a processor */
    bool shows_progress;
};
/** What a walk saw. */
struct ql_walk_result {
    uint64_t files, bytes, unreadable;
};
/** Add the files under their paths behind the root, blanks as '_', sorted. */
int ql_walk(const struct ql_walk_rules *rules, struct ql_draft *to, struct ql_walk_result *ret,
            struct ql_err *err);
