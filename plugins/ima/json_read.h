/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file json_read.h
 * JSON read in one pass, without a tree: the caller asks for what it expects and nothing else is kept. Total and bounded:
 * any bytes may come, nesting ends at IMA_JSON_DEPTH.
 *
 *     for (ima_json_enter(r, '{'); ima_json_more(r, '}');) { ima_json_key(r, &key, &len); … one value … }
 *
 * A failed step poisons the reader: every later one fails too, loops end, one check at the end is enough.
 *
 * Layer: plugin ima. Source: RFC 8259; lone surrogates U+DC80 to U+DCFF stand for the bytes 0x80 to 0xFF, as in Python.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

enum {
    IMA_JSON_DEPTH = 64 /**< nesting: as deep as any JSON that the programs take */
};

struct ima_json {
    const struct ql_host *host;
    const uint8_t *start, *at, *end;
    uint8_t *scratch; /**< the last string that had escapes */
    size_t scratch_room;
    unsigned depth;
    bool is_fresh; /**< just behind an opening bracket */
    bool failed;
    struct ql_err *err;
};

/** @param err filled at the first failure; may be NULL */
struct ima_json ima_json_of(const struct ql_host *host, const uint8_t *text, size_t len, struct ql_err *err);
void ima_json_done(struct ima_json *r);

/** @return first character of the next value, '0' for any number, 0: none */
char ima_json_peek(struct ima_json *r);
/** Go into a value that must be an object ('{') or array ('['). */
bool ima_json_enter(struct ima_json *r, char open);
/** @return true: another member or element follows; false: closed, or failed */
bool ima_json_more(struct ima_json *r, char close);
/** Read a string; @p s is borrowed until the next string is read. */
bool ima_json_string(struct ima_json *r, const uint8_t **s, size_t *len);
/** A member's name and its colon. */
bool ima_json_key(struct ima_json *r, const uint8_t **s, size_t *len);
/** A number. @param[out] is_integer also for 1.0, not for true */
bool ima_json_number(struct ima_json *r, double *ret, bool *is_integer);
/** Any value. @param[out] ret, len where it stands; may be NULL */
bool ima_json_skip(struct ima_json *r, const uint8_t **ret, size_t *len);
/** Nothing but blanks is left. */
bool ima_json_end(struct ima_json *r);

/** Poison with a text; line and column of the reader's place are added. @return false */
bool ima_json_fail(struct ima_json *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

enum {
    IMA_SHOWN_MAX = 128 /**< bytes of foreign text in a message, with the NUL */
};
/** Foreign bytes made fit for a message: cut, malformed and control bytes as '?'. @return out */
const char *ima_shown(const uint8_t *s, size_t len, char out[IMA_SHOWN_MAX]);
