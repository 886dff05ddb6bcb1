/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file signatures.h
 * Signature lists as tests see them, whether they are JSON or stand in the log: dbx has hundreds of entries, and an object for
 * each would cost more than all else in a boot's judgement.
 *
 * Layer: plugin mboot; for the evaluation alone.
 */
#pragma once
#include "siglist.h"
#include "test.h"
#include "text.h"

/** Several signature lists, one of them the current one. Begin with mb_sigs_begin() or mb_sigs_of(), end with mb_sigs_done(). */
struct mb_sigs {
    struct mb_str type; /**< of the current list; NULL: it has none */
    bool has_keys;      /**< its entries are a list */
    size_t count;       /**< entries */

    const json_t *json, *keys; /**< all lists, the current one's entries; NULL: in the log */
    size_t at;                 /**< lists that were current */
    const uint8_t *data;       /**< lists of the log to come */
    size_t len;
    struct mb_siglist list;
    const uint8_t *last;                    /**< entry whose owner was made into text last */
    struct mb_text type_text, owner, bytes; /**< of the current list, and of the entry read last */
};

/** All lists of a value; none is the current one yet. @return false: it is no list */
bool mb_sigs_begin(struct mb_eval *e, const struct mb_value *v, struct mb_sigs *ret);
/** A JSON list of entries, as the current list. */
void mb_sigs_of(const json_t *entries, struct mb_sigs *ret);
void mb_sigs_done(struct mb_sigs *s);
/** @return how many lists there are; before the first mb_sigs_next() */
size_t mb_sigs_lists(const struct mb_sigs *s);
/** Make the next list the current one. @return false: that was all */
bool mb_sigs_next(struct mb_sigs *s);
/**
 * The texts by which an entry of the current list would be a member of a set.
 * @param exact  it must have no other fields than the set's
 * @param[out] texts  until the next call
 * @return 1; 0: it has not these fields; -1: evaluation broken
 */
int mb_sigs_texts(struct mb_eval *e, struct mb_sigs *s, size_t at, const struct mb_set *set, bool exact,
                  struct mb_str *texts);
