/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file value.h
 * What tests look at: JSON, or a log of which only that becomes JSON what a test asks for.
 *
 * Layer: plugin mboot; for the evaluation alone.
 */
#pragma once
#include "test.h"

/** A field of an object. @return 1; 0: no such field; -1: no object, or (evaluation broken) no memory */
int mb_value_field(struct mb_eval *e, const struct mb_value *v, const char *name, size_t len,
                   struct mb_value *ret);
/** Of a solid value. @return true for a list, whose length is @p ret */
bool mb_value_items(struct mb_eval *e, const struct mb_value *v, size_t *ret);
/** Item @p n of a list, below its length. @return false: no memory, evaluation broken */
bool mb_value_item(struct mb_eval *e, const struct mb_value *v, size_t n, struct mb_value *ret);
/** The same value, as JSON where it is one of signature lists. @return false: no memory, evaluation broken */
bool mb_value_solid(struct mb_eval *e, const struct mb_value *v, struct mb_value *ret);
/** Signature lists as they stand in the log. @return false: @p v is something else */
bool mb_value_siglists(const struct mb_eval *e, const struct mb_value *v, const uint8_t **ret,
                       size_t *ret_len);
/** "object", "list", "text" and so on. */
const char *mb_value_type(const struct mb_value *v);
/** JSON of an object's field that is text. @return NULL: no such text */
const json_t *mb_value_text(struct mb_eval *e, const struct mb_value *v, const char *name);
/** Is the event's payload covered by its digest? */
bool mb_value_verified(struct mb_eval *e, const struct mb_value *v);

/** One digest of an event. */
struct mb_digest {
    const char *alg;
    uint16_t alg_id;
    uint8_t digest[MB_DIGEST_MAX];
    size_t len;
};
/** Digests of an event, at most @p room. @return how many; -1: it has no list of digests */
int mb_value_digests(struct mb_eval *e, const struct mb_value *v, struct mb_digest *ret, int room);
