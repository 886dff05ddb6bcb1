/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file sources.h
 * Where the digests of a policy come from: allow-lists, measurement lists, files of a root file system, initramfs images.
 *
 * Layer: policy.
 */
#pragma once
#include "digest.h"
#include "draft.h"

enum {
    QL_SOURCE_MAX = 1024 * 1024 * 1024 /**< bytes of a list that is read whole */
};

/** How a flat allow-list is read. */
struct ql_flat_rules {
    bool blanks_to_underscores; /**< in paths, as the kernel logs them */
    bool has_keyrings;          /**< `%keyring:NAME` instead of a path */
};
/** Lines `hex path`; lines without two parts are reported and passed over. */
int ql_flat_read(const char *path, const struct ql_flat_rules *rules, struct ql_draft *to,
                 struct ql_err *err);
int ql_flat_read_text(const char *text, size_t len, const struct ql_flat_rules *rules, struct ql_draft *to,
                      struct ql_err *err);

/** One expression a line, blanks around it cut. @param comments lines that begin with '#' are passed over */
int ql_excludes_read(const char *path, bool comments, struct ql_names *to, struct ql_err *err);
/** Every expression must be one that the verifier takes. @retval QL_EPARSE names it */
int ql_excludes_check(const struct ql_names *excludes, struct ql_err *err);

/** What is taken from a measurement list. */
struct ql_list_rules {
    bool hashes, keyrings, buffers;
    bool needs_boot_aggregate; /**< line 1 must be one, and its algorithm is told */
    char algorithm[16];        /**< out: of line 1 */
};
int ql_list_read(const char *path, struct ql_list_rules *rules, struct ql_draft *to, struct ql_err *err);

/** Names of hash algorithms as tools take them; NULL at the end. */
extern const char *const ql_policy_algorithms[];
/** @return bytes of a digest; 0: unknown */
size_t ql_policy_algorithm_len(const char *name);
