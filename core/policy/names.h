/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file names.h
 * Names in order of first mention, each with a list of texts: a map of a runtime policy while it is made. Names are bytes.
 *
 * Layer: policy. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ql_name {
    uint8_t *bytes; /**< ends in NUL, which `len` does not count */
    size_t len;
    char **values;
    size_t count, room;
};

struct ql_names {
    struct ql_name *list;
    size_t count, room;
    uint32_t *slots; /**< index + 1; 0: empty */
    size_t slot_count;
};

/** Add a name, and a value unless NULL (its first @p value_len bytes). @retval QL_ENOMEM @retval QL_ELIMIT 2^31 names */
int ql_names_add(struct ql_names *n, const void *name, size_t len, const char *value, size_t value_len);
/** Add all names of another map with their values. @retval QL_ENOMEM @retval QL_ELIMIT */
int ql_names_merge(struct ql_names *to, const struct ql_names *from);
const struct ql_name *ql_names_find(const struct ql_names *n, const void *name, size_t len);
/** Sort each name's values and drop repeated ones. */
void ql_names_tidy(struct ql_names *n);
/** Sort the names themselves by bytes; finding still works. */
int ql_names_sort(struct ql_names *n);
void ql_names_done(struct ql_names *n);
