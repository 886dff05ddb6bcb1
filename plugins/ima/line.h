/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file line.h
 * The measurement list as text: walk its lines where they lie, cut one into its columns. Nothing is copied; every pointer
 * lies in the list.
 *
 *     <pcr> <template hash, hex> <template name> <fields>
 *
 * Layer: plugin ima. Pure. Source: Linux security/integrity/ima/ima_fs.c (ascii_runtime_measurements).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /**
     * Bytes of one line. The kernel's largest fields are measured buffers (a kexec command line, a key, the tables of a
     * device) of some KiB; longer lines are no entries.
     */
    IMA_LINE_MAX = 4 * 1024 * 1024,
    IMA_TEMPLATE_HASH_MAX = 64 /**< bytes of the second column; SHA-512 */
};

/** Bytes somewhere else. */
struct ima_bytes {
    const uint8_t *at;
    size_t len;
};

/** A walk over a list. */
struct ima_lines {
    const uint8_t *at, *end;
    size_t number; /**< lines handed out, empty ones included */
    bool done;
};

/** Line feeds at the beginning and the end of the list count for nothing. */
struct ima_lines ima_lines_of(const uint8_t *list, size_t len);
/** @param[out] ret next line without its line feed; may be empty @return false: none left */
bool ima_lines_next(struct ima_lines *l, struct ima_bytes *ret);

/** The columns of a line. */
struct ima_columns {
    struct ima_bytes pcr;                /**< as text */
    uint8_t hash[IMA_TEMPLATE_HASH_MAX]; /**< second column, decoded */
    size_t hash_len;                     /**< bytes of the column; those beyond the room are not kept */
    struct ima_bytes name;               /**< of the template */
    struct ima_bytes rest;               /**< fields */
};
/** @return false: fewer than four columns, longer than IMA_LINE_MAX, or the second is not hex */
bool ima_columns_read(struct ima_bytes line, struct ima_columns *ret);

/** Hex in either case, nothing else. @param out room for len / 2 bytes @return false: odd, or another character */
bool ima_hex_decode(const uint8_t *text, size_t len, uint8_t *out);
/** Cut @p rest at its first space. @return false: it has none, nothing is written */
bool ima_cut(struct ima_bytes *rest, struct ima_bytes *ret);
bool ima_bytes_are(struct ima_bytes b, const char *text);
