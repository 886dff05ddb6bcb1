/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file query.h
 * Query strings: application/x-www-form-urlencoded, as browsers and Python write it. Pure; internal to core/http.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include <quicklime/error.h>

enum {
    QL_QUERY_MAX = 64 /**< parameters; the longest call of the REST API has eight */
};

struct ql_query_item {
    const char *name, *value; /**< decoded, NUL at the end */
};

struct ql_query {
    char *text; /**< owned; items point into it */
    size_t room, count;
    struct ql_query_item item[QL_QUERY_MAX];
};

/**
 * Decode: `+` is a blank, %XX a byte, a broken escape stays as it is, a name without `=` has the value "".
 * The object may be used again; ql_query_done() at the end.
 * @retval QL_ELIMIT too many parameters @retval QL_EPARSE an encoded NUL @retval QL_ENOMEM
 */
int ql_query_parse(struct ql_query *q, const char *text, size_t len, struct ql_err *err);
const char *ql_query_get(const struct ql_query *q, const char *name); /**< first value, NULL: absent */
size_t ql_query_count(const struct ql_query *q, const char *name);
void ql_query_done(struct ql_query *q);
