/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file mysql.h
 * The driver for MySQL and MariaDB. Sessions do not commit by themselves: a transaction begins with its first
 * statement, without a round trip of its own.
 */
#pragma once
#include <mysql.h>

#include "server.h"

enum {
    MY_OLDEST_MARIADB = 100600,
    MY_OLDEST_MYSQL = 80017
};

struct my {
    MYSQL *c;
    bool is_mariadb;
    bool is_lost;
    bool is_failed;      /**< the server has given up the transaction */
    uint64_t most_bytes; /**< of one message */
};

/* error.c */
/** Describe an error and map it to a code. @param what  what was being done */
int my_fail(struct sv_db *db, unsigned number, const char *text, const char *what, struct ql_err *err);
int my_fail_conn(struct sv_db *db, const char *what, struct ql_err *err);
int my_fail_stmt(struct sv_db *db, MYSQL_STMT *stmt, const char *what, struct ql_err *err);

/* run.c */
/** Run SQL without parameters whose rows, if any, are not wanted. */
/** Prepare a statement on this connection, once. */
int my_prepare(struct sv_db *db, struct sv_stmt *s, struct ql_err *err);
int my_exec(struct sv_db *db, const char *sql, struct ql_err *err);
