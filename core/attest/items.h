/* SPDX-License-Identifier: Apache-2.0 */
/** @file items.h  Taking items out of received frames as copies, each under a limit of its own. */
#pragma once
#include <jansson.h>

#include "frame.h"

/**
 * Copy of the first item of a tag, followed by a NUL that the length does not count; caller frees.
 * @retval QL_ENOTFOUND absent, nothing written @retval QL_EPARSE longer than @p max_len @retval QL_ENOMEM
 */
int ql_item_bytes(const struct ql_frame *f, enum ql_tag tag, size_t max_len, uint8_t **ret, size_t *ret_len,
                  struct ql_err *err);
/** As ql_item_bytes() for text: UTF-8 without NUL. */
int ql_item_text(const struct ql_frame *f, enum ql_tag tag, size_t max_len, char **ret, struct ql_err *err);
/** JSON object or array (any). @retval QL_ENOTFOUND @retval QL_EPARSE */
int ql_item_json(const struct ql_frame *f, enum ql_tag tag, size_t max_len, json_t **ret, struct ql_err *err);
/** u64 within 0..max. */
int ql_item_u64(const struct ql_frame *f, enum ql_tag tag, uint64_t max, uint64_t *ret, struct ql_err *err);
/** Add JSON as text. */
int ql_frame_add_json(struct ql_frame *f, enum ql_tag tag, const json_t *j, struct ql_err *err);
/** Add when there is something to add. */
int ql_frame_add_optional(struct ql_frame *f, enum ql_tag tag, const char *text, struct ql_err *err);
int ql_frame_add_bytes(struct ql_frame *f, enum ql_tag tag, const uint8_t *bytes, size_t len,
                       struct ql_err *err);

/** Absent counts as fine: for rows of optional items. */
static inline int ql_item_optional(int r)
{
    return r == QL_ENOTFOUND ? QL_OK : r;
}
