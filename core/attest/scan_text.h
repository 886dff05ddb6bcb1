/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scan_text.h
 * A string of a JSON document as it stands there: compared, hashed and copied without its escapes. The functions take
 * what ql_scan() has checked and handed out, and nothing else.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A string as it stands between its quotes. Borrowed from the input. */
struct ql_text {
    const char *raw; /**< NULL: absent */
    size_t raw_len;
    bool escaped; /**< holds backslashes: ql_text_unescape() before use */
    bool foreign; /**< holds \udcXX, a byte that is no text: ql_scan_bytes() alone lets it through */
};

/** Write the string's bytes to @p out, which has room for raw_len. @return bytes written */
size_t ql_text_unescape(const struct ql_text *t, char *out);
/** @return true when the string is exactly @p text */
bool ql_text_is(const struct ql_text *t, const char *text);
/** @return a NUL-ended copy, caller frees; NULL: no memory. */
char *ql_text_dup(const struct ql_text *t, size_t *ret_len);
/** Same for strings that ql_text_equal() finds equal (FNV-1a). */
uint32_t ql_text_hash(const struct ql_text *t);
/** @return true when both are the same string, however each is escaped */
bool ql_text_equal(const struct ql_text *a, const struct ql_text *b);
/** Value of the four hex digits at @p at, checked or not; negative: they are none. */
int32_t ql_text_hex4(const char *at);
