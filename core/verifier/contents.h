/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file contents.h
 * Policies of the agents that are polled, by digest: what workers are given when they ask. Each content is there once,
 * counted by its users; small ones as bytes, large ones as a sealed memfd that workers map.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_CONTENT_SMALL_MAX = 64 * 1024 /**< bytes kept in memory; more need a descriptor each */
};

struct ql_contents;
int ql_contents_new(struct ql_contents **ret, struct ql_err *err);
void ql_contents_free(struct ql_contents *c);
QL_DEFINE_CLEANUP(struct ql_contents, ql_contents_free)

/** Add, or count one user more. @param bytes copied, may be NULL when the digest is there already. */
int ql_contents_ref(struct ql_contents *c, const uint8_t digest[32], const void *bytes, size_t len,
                    struct ql_err *err);
/** One user less; the last one removes it. */
void ql_contents_unref(struct ql_contents *c, const uint8_t digest[32]);
bool ql_contents_has(const struct ql_contents *c, const uint8_t digest[32]);
/**
 * The content as a sealed memfd.
 * @param[out] ret_fd borrowed until the next call
 * @retval QL_ENOTFOUND @retval QL_EIO
 */
int ql_contents_fd(struct ql_contents *c, const uint8_t digest[32], int *ret_fd, size_t *ret_len);
size_t ql_contents_count(const struct ql_contents *c);
