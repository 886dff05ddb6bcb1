/* SPDX-License-Identifier: Apache-2.0 */
/** @file uuid.h  UUIDs as text. */
#pragma once
#include <stddef.h>

#include <quicklime/error.h>

enum {
    QL_UUID_LEN = 36
};

/** Random v4, lower case. @p out has room for QL_UUID_LEN + 1. */
void ql_uuid_random(char *out);
/** Normalise (hyphens or none, braces, urn:uuid:, either case) to lower case with hyphens. @retval QL_EPARSE */
int ql_uuid_normalise(const char *text, size_t len, char *out, struct ql_err *err);
