/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file source.h
 * Reading a database of Keylime: SQLite, PostgreSQL, MySQL and MariaDB, by the URL that its configuration has. Nothing in it
 * is changed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_SOURCE_COLUMNS = 40,                 /**< columns of one query */
    QL_SOURCE_CELL_MAX = 128 * 1024 * 1024, /**< bytes of one value */
    QL_SOURCE_URL_MAX = 2048
};

/** A value as text; `text` NULL: null. Foreign bytes, NUL-ended. */
struct ql_cell {
    const char *text;
    size_t len;
};

/** @return 0 to go on, negative to stop with that error */
typedef int (*ql_source_fn)(void *arg, const struct ql_cell *row, struct ql_err *err);

struct ql_source;
/**
 * @param url  as SQLAlchemy reads it: sqlite:///FILE, postgresql[+DRIVER]://…, mysql[+DRIVER]://…
 * @retval QL_ERANGE the URL @retval QL_EUNSUPPORTED built without that library
 */
int ql_source_open(const char *url, struct ql_source **ret, struct ql_err *err);
/** A source by its functions; @p db is handed over. For the three below, and for tests. */
struct ql_source_ops;
int ql_source_new(const struct ql_source_ops *ops, void *db, struct ql_source **ret, struct ql_err *err);
void ql_source_close(struct ql_source *s);
QL_DEFINE_CLEANUP(struct ql_source, ql_source_close)
/** Is there a table of this name? @param table  an identifier of ours */
int ql_source_has(struct ql_source *s, const char *table, bool *ret, struct ql_err *err);
/** Each row of a query of ours, which all three understand. @param columns  how many it selects */
int ql_source_each(struct ql_source *s, const char *sql, size_t columns, ql_source_fn fn, void *arg,
                   struct ql_err *err);

/* ---- one for each library ---- */

struct ql_source_ops {
    const char *tables; /**< query that counts tables, up to the name */
    const char *here;   /**< its end, behind the name */
    void (*close)(void *db);
    int (*each)(void *db, const char *sql, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err);
};
int ql_source_sqlite(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err);
int ql_source_postgresql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err);
int ql_source_mysql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err);
