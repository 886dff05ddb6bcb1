/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fields.h
 * Structs to rows and back: one list of members makes a table's columns and the code that moves them.
 *
 *     #define NOTE_FIELDS(F)      \
 *         F(NAME, id, "id", 1)    \
 *         F(INT, size, "size", 1)
 *     static const struct ql_column columns[] = {NOTE_FIELDS(QL_FIELD_COLUMN)};
 *     static const struct ql_field fields[] = {NOTE_FIELDS(QL_FIELD_OF_NOTE)};
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store.h"

/** How a member and its column correspond. */
enum ql_field_kind {
    QL_FIELD_NAME,  /**< char *, never null: a row without it cannot be read */
    QL_FIELD_TEXT,  /**< char *, NULL: null */
    QL_FIELD_JSON,  /**< char *, NULL: null */
    QL_FIELD_BYTES, /**< pointer and MEMBER_len; NULL: null; read with a NUL behind */
    QL_FIELD_INT,   /**< int64_t, never null */
    QL_FIELD_INT0,  /**< int64_t, 0: null */
    QL_FIELD_INTM,  /**< int64_t, -1: null */
    QL_FIELD_BOOL   /**< bool, never null */
};

struct ql_field {
    enum ql_field_kind kind;
    size_t at;     /**< offset of the member */
    size_t len_at; /**< QL_FIELD_BYTES: offset of its length */
};

#define QL_FIELD_COL_NAME  QL_COL_TEXT
#define QL_FIELD_COL_TEXT  QL_COL_TEXT
#define QL_FIELD_COL_JSON  QL_COL_JSON
#define QL_FIELD_COL_BYTES QL_COL_BYTES
#define QL_FIELD_COL_INT   QL_COL_INT
#define QL_FIELD_COL_INT0  QL_COL_INT
#define QL_FIELD_COL_INTM  QL_COL_INT
#define QL_FIELD_COL_BOOL  QL_COL_INT

#define QL_FIELD_LEN_NAME(type, member)  0
#define QL_FIELD_LEN_TEXT(type, member)  0
#define QL_FIELD_LEN_JSON(type, member)  0
#define QL_FIELD_LEN_BYTES(type, member) offsetof(type, member##_len)
#define QL_FIELD_LEN_INT(type, member)   0
#define QL_FIELD_LEN_INT0(type, member)  0
#define QL_FIELD_LEN_INTM(type, member)  0
#define QL_FIELD_LEN_BOOL(type, member)  0

/** Column of a list's row. */
#define QL_FIELD_COLUMN(kind, member, column, since) {column, QL_FIELD_COL_##kind, since},
/** Member of a list's row in struct @p type. */
#define QL_FIELD(type, kind, member)                                                                         \
    {QL_FIELD_##kind, offsetof(type, member), QL_FIELD_LEN_##kind(type, member)},

/** Borrowing values of all members, in order. @p ret has room for @p count. */
void ql_fields_values(const struct ql_field *fields, size_t count, const void *from, struct ql_value *ret);
/**
 * A struct from a row. @p ret is zeroed first; on failure it holds nothing.
 * @retval QL_EPARSE the row cannot be read: names table, key and column @retval QL_ENOMEM
 */
int ql_fields_read(const struct ql_field *fields, size_t count, const struct ql_table *table,
                   const struct ql_value *row, uint32_t column_count, size_t size, void *ret,
                   struct ql_err *err);
/** Free members and null them. */
void ql_fields_done(const struct ql_field *fields, size_t count, void *of);
/** Deep copy into @p ret, whose old content is lost. @retval QL_ENOMEM */
int ql_fields_copy(const struct ql_field *fields, size_t count, const void *from, size_t size, void *ret,
                   struct ql_err *err);
