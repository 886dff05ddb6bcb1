/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file eval_parts.h
 * What the files of the evaluation share: one function a kind of node, and how they say what they found.
 *
 * Layer: plugin mboot; for eval*.c alone.
 */
#pragma once
#include "test.h"

enum {
    MB_SHOWN_MAX = 120 /**< bytes of foreign text in a reason */
};

/** One kind of node. @return as mb_why_not() */
typedef bool mb_node_fn(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v);

/** Put where it was in front of the reason. @return false */
bool mb_within(struct mb_eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** With a trace: keep what was compared. @return true */
bool mb_note(struct mb_eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Foreign text fit for a reason: printable, cut. @return @p out */
const char *mb_shown(const char *text, size_t len, char out[MB_SHOWN_MAX + 8]);
const char *mb_shown_json(const json_t *j, char out[MB_SHOWN_MAX + 8]);
/** Refuse a value that is not what is @p wanted. @return false */
bool mb_wrong_type(struct mb_eval *e, const struct mb_value *v, const char *wanted);
/** @return 1, 0, or -1 with the evaluation broken */
int mb_matches(struct mb_eval *e, const struct mb_regex *re, const json_t *text);

mb_node_fn mb_test_int;
mb_node_fn mb_test_str;
mb_node_fn mb_test_re;
mb_node_fn mb_test_digests;
mb_node_fn mb_test_separator;
mb_node_fn mb_test_efi_action;
mb_node_fn mb_test_verified;
mb_node_fn mb_test_var;
mb_node_fn mb_test_vars;
mb_node_fn mb_test_sig_in;
mb_node_fn mb_test_keys_subset;
mb_node_fn mb_test_keys_superset;
mb_node_fn mb_test_superset;
