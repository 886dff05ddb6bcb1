/* SPDX-License-Identifier: Apache-2.0 */
/** @file clockinfo.h  A quoted TPM clock as the text that the store keeps, with Keylime's names. */
#pragma once
#include <jansson.h>

#include "quote.h"

/** {"clock", "resetCount", "restartCount", "safe"}; caller frees; NULL: no memory. */
char *ql_clock_text(const struct ql_clock *c);
/** From such an object. `safe` is a number or a boolean. @retval QL_EPARSE with the member */
int ql_clock_read(const json_t *object, struct ql_clock *ret, struct ql_err *err);
/** The same from text, without a tree. */
int ql_clock_read_text(const char *text, size_t len, struct ql_clock *ret, struct ql_err *err);
