/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file convert.h
 * Allow-lists of older releases as runtime policies: what `quicklime-policy convert` and the tenant's --allowlist do.
 *
 * Layer: policy. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

/**
 * An allow-list, flat or JSON, as the text of a runtime policy.
 * @param excludes      text of an exclude list, NULL: none
 * @param[out] ret      JSON in Python's spelling, caller frees
 * @retval QL_EPARSE JSON that is no allow-list
 */
int ql_convert_allowlist(const uint8_t *text, size_t len, const uint8_t *excludes, size_t excludes_len,
                         char **ret, struct ql_err *err);
/** A runtime policy of version 0 as one of version 1; a newer one as it is, with what is added. */
int ql_convert_policy(const uint8_t *text, size_t len, const uint8_t *excludes, size_t excludes_len,
                      char **ret, struct ql_err *err);
/** Add public keys of files to a policy's "verification-keys". @param[in,out] policy  replaced */
int ql_convert_add_keys(char **policy, const char *const *files, size_t count, struct ql_err *err);
