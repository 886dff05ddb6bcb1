/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file excludes.h
 * The exclude list: Python regular expressions, matched at a name's start, one of them is enough. Plain prefixes are
 * answered by one search over all of them; an expression runs only where its own beginning fits the name.
 *
 * Layer: plugin ima. Source: Python 3.11's re; see pattern.h for what is refused.
 */
#pragma once
#include "policy.h"

struct ima_excludes;

enum {
    IMA_EXCLUDES_MAX = 65536,   /**< elements of a list; field lists have some hundred */
    IMA_EXCLUDE_MAX = 64 * 1024 /**< bytes of an element */
};

/** An element as it stands in the policy. */
struct ima_exclude {
    const uint8_t *text;
    size_t len;
};

/**
 * Compile a list.
 * @param elements need not outlive the call
 * @param[out] ret NULL for an empty list
 * @retval QL_EPARSE naming element (from 1) and position @retval QL_ELIMIT @retval QL_ENOMEM
 */
int ima_excludes_compile(const struct ql_host *host, const struct ima_exclude *elements, size_t count,
                         struct ima_excludes **ret, struct ql_err *err);
void ima_excludes_free(struct ima_excludes *e);
size_t ima_excludes_size(const struct ima_excludes *e);
/** @param e NULL: nothing is excluded */
enum ima_excluded ima_excludes_match(const struct ima_excludes *e, const uint8_t *name, size_t len);
