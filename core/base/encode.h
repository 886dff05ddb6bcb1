/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file encode.h
 * Hex and base64 (RFC 4648 standard alphabet). Decoding is strict: padding required, no blanks, no line breaks, no
 * stray bits in the last symbol, nothing after the padding.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

/** Characters of base64 for @p len bytes, without the NUL. */
#define QL_BASE64_LEN(len) (((len) + 2) / 3 * 4)

/** Encode into @p out, which has room for QL_BASE64_LEN(len) + 1 characters. @return characters written, no NUL */
size_t ql_base64_encode(const void *data, size_t len, char *out);
/** @return text ending in NUL, caller frees; NULL: no memory */
char *ql_base64_dup(const void *data, size_t len);
/**
 * Decode into @p out of @p out_len bytes.
 * @param[out] ret_len bytes written
 * @retval QL_EPARSE not strict base64, with the place @retval QL_ELIMIT more than @p out_len bytes
 */
int ql_base64_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                     struct ql_err *err);
/** Decode into new memory of at most @p max_len bytes; caller frees. */
int ql_base64_decode_dup(const char *text, size_t text_len, size_t max_len, uint8_t **ret, size_t *ret_len,
                         struct ql_err *err);

/** @return value of one hex digit (either case), -1: it is none */
int ql_hex_digit(char c);
/** Lower-case hex into @p out, which has room for 2 * len + 1 characters. */
void ql_hex_encode(const void *data, size_t len, char *out);
/** @return text ending in NUL, caller frees; NULL: no memory */
char *ql_hex_dup(const void *data, size_t len);
/** Decode exactly @p out_len bytes of hex (either case, no prefix). @retval QL_EPARSE */
int ql_hex_decode(const char *text, size_t text_len, uint8_t *out, size_t out_len, struct ql_err *err);
/** Decode at most @p out_len bytes. @param[out] ret_len bytes written @retval QL_EPARSE @retval QL_ELIMIT */
int ql_hex_decode_upto(const char *text, size_t text_len, uint8_t *out, size_t out_len, size_t *ret_len,
                       struct ql_err *err);
