/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scan.h
 * One pass over a JSON document without building a tree: strings are spans of the input, handed out as they
 * stand and unescaped only where somebody needs the bytes. Made for answers of hundreds of megabytes, most of
 * which is one string.
 *
 * Accepts what jansson accepts with JSON_REJECT_DUPLICATES and default flags (RFC 8259, valid UTF-8, no
 * \u0000, integers of 64 bits, reals within double), within the limits below. Total: any bytes, no recursion,
 * memory bounded by the limits.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "scan_text.h"

enum {
    QL_SCAN_DEPTH = 64,       /**< nested objects and arrays, as core/base/json.h */
    QL_SCAN_KEYS_MAX = 4096,  /**< keys of all objects open at one time: bounds the duplicate check */
    QL_SCAN_NUMBER_MAX = 4096 /**< characters of a number */
};

enum ql_scan_kind {
    QL_SCAN_OBJECT,     /**< '{' */
    QL_SCAN_OBJECT_END, /**< '}' */
    QL_SCAN_ARRAY,
    QL_SCAN_ARRAY_END,
    QL_SCAN_KEY, /**< `text`; its value follows */
    QL_SCAN_STRING,
    QL_SCAN_INTEGER,
    QL_SCAN_REAL,
    QL_SCAN_TRUE,
    QL_SCAN_FALSE,
    QL_SCAN_NULL
};

/** One step of the walk. */
struct ql_scan_event {
    enum ql_scan_kind kind;
    unsigned depth;      /**< of the container that the event stands in; the document's own brackets have 1 */
    size_t at;           /**< offset of the token's first byte */
    size_t end;          /**< offset behind its last byte */
    struct ql_text text; /**< KEY and STRING */
    int64_t integer;     /**< INTEGER */
    double real;         /**< REAL */
};

/** @return 0 to go on; anything else stops the walk and is returned by ql_scan() */
typedef int (*ql_scan_fn)(void *arg, const struct ql_scan_event *event, struct ql_err *err);

/**
 * Walk a document that is one object or array. Events before an error have been delivered: throw them away
 * then.
 * @retval QL_EPARSE with the offset @retval QL_ELIMIT a limit above, with its name
 */
int ql_scan(const char *text, size_t len, ql_scan_fn fn, void *arg, struct ql_err *err);
/**
 * As ql_scan(), but strings, keys too, may hold bytes that are no UTF-8, each as a lone `\udcXX` from 0x80 on; such a
 * string is marked.
 */
int ql_scan_bytes(const char *text, size_t len, ql_scan_fn fn, void *arg, struct ql_err *err);
