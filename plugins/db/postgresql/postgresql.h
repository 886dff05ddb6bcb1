/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file postgresql.h
 * The driver for PostgreSQL. The connection is always in pipeline mode: what belongs together travels as one message and
 * is answered as one, so that a transaction begins with its first statement and costs no round trip of its own.
 */
#pragma once
#include <libpq-fe.h>

#include "server.h"

enum {
    PG_OLDEST = 140000, /* server version */
    PG_INT_OID = 20,
    PG_TEXT_OID = 25,
    PG_BYTES_OID = 17
};

struct pg {
    PGconn *c;
    bool is_lost;     /**< not to be used any more, whatever the library says */
    bool is_begun;    /**< the server knows of the transaction */
    bool is_failed;   /**< and has given it up */
    unsigned cursors; /**< declared so far */
};

/** First failure among the answers to one message. */
struct pg_failure {
    bool any;
    char state[6]; /**< SQLSTATE; "" when the connection was lost */
    char text[256];
};

/* error.c */
/** Remember why a result is an error. @param res  NULL: the connection's own words */
void pg_note(struct pg *pg, const PGresult *res, struct pg_failure *f);
/** Describe a failure and map it to a code. @param what  what was being done */
int pg_fail(struct sv_db *db, const struct pg_failure *f, const char *what, struct ql_err *err);
/** Copy a text of the library without line ends. */
void pg_one_line(const char *from, char *to, size_t room);

/* run.c */
/** Send a command without parameters. @return false: the connection is lost */
bool pg_send(struct pg *pg, const char *sql);
/** End of the message. */
bool pg_sync(struct pg *pg);
/** The next command's answer, PQclear(); NULL when the connection is lost. */
PGresult *pg_next(struct pg *pg);
/** The answer to pg_sync(). */
bool pg_end(struct pg *pg);
/** Send one command alone and wait. @retval QL_EAGAIN and what pg_fail() says */
int pg_exec(struct sv_db *db, const char *sql, char *tag, size_t tag_room, struct ql_err *err);
