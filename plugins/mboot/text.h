/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file text.h
 * Text made of foreign bytes: hex, GUIDs, UTF-16, UTF-8 that may be broken; and the same as JSON strings.
 *
 * Whatever comes in, what goes out is valid UTF-8: each byte that is none, and each surrogate without its other half,
 * becomes U+FFFD. Text may hold NUL. Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    MB_TEXT_ROOM = 512, /**< bytes kept in place; longer text goes to the heap */
    MB_GUID_LEN = 16    /**< bytes of a GUID */
};

/** Text that grows. Begin with mb_text_init(), end with mb_text_done() or mb_text_json(). */
struct mb_text {
    char *p; /**< not NUL-terminated; `room` or heap */
    size_t len, cap;
    bool failed; /**< no memory: everything added since is lost, and mb_text_json() gives NULL */
    char room[MB_TEXT_ROOM];
};

void mb_text_init(struct mb_text *t);
void mb_text_done(struct mb_text *t);
void mb_text_add(struct mb_text *t, const char *text, size_t len);
/** Up to 255 characters of printf output. */
void mb_textf(struct mb_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Two lower-case digits a byte. */
void mb_text_hex(struct mb_text *t, const uint8_t *bytes, size_t len);
/** The usual form with dashes, lower case, the first three fields little-endian; @p guid has MB_GUID_LEN bytes. */
void mb_text_guid(struct mb_text *t, const uint8_t *guid);
/** Bytes that should be UTF-8. */
void mb_text_utf8(struct mb_text *t, const uint8_t *bytes, size_t len);
/** UTF-16LE of @p units 16-bit units, up to the first NUL. @return units before the NUL, or @p units when there is none */
size_t mb_text_utf16(struct mb_text *t, const uint8_t *bytes, size_t units);
/** @return the text as a new JSON string, NULL: no memory; ends the text either way */
json_t *mb_text_json(struct mb_text *t);

/** @return new JSON strings; NULL: no memory */
json_t *mb_json_hex(const uint8_t *bytes, size_t len);
json_t *mb_json_guid(const uint8_t *guid);
/** Bytes that should be UTF-8, less one NUL at their end. */
json_t *mb_json_utf8(const uint8_t *bytes, size_t len);
json_t *mb_json_utf16(const uint8_t *bytes, size_t units);
/** @return a JSON integer, or from 2^63 a string of decimal digits */
json_t *mb_json_u64(uint64_t n);
/** @return the JSON string "Yes" or "No" */
json_t *mb_json_yes(bool yes);

/** Put @p value (taken over, NULL: no memory) under @p key, an ASCII literal. @return false: failed */
bool mb_put(json_t *object, const char *key, json_t *value);
/** @return @p value if @p ok, else NULL after releasing it */
json_t *mb_finish(json_t *value, bool ok);
