/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "postgresql.h"

void pg_one_line(const char *from, char *to, size_t room)
{
    size_t n = 0;

    for (; from && *from && n + 1 < room; from++)
        to[n++] = *from == '\n' || *from == '\t' || *from == '\r' ? ' ' : *from;
    while (n && to[n - 1] == ' ')
        n--;
    to[n] = 0;
}

void pg_note(struct pg *pg, const PGresult *res, struct pg_failure *f)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *text = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (f->any || (res && PQresultStatus(res) == PGRES_PIPELINE_ABORTED))
        return;
    f->any = true;
    (void)snprintf(f->state, sizeof f->state, "%s", state ? state : "");
    /* The first line alone: details would show values of rows. */
    pg_one_line(text ? text : PQerrorMessage(pg->c), f->text, sizeof f->text);
}

static bool is_one_of(const char *state, const char *list)
{
    return strstr(list, state) != NULL;
}

static int code_of(const char *state)
{
    if (!*state || !strncmp(state, "08", 2) ||
        /* serialization, deadlock, lock time-out, time-out, shutdown, crash, starting, connections, memory, idle */
        is_one_of(state, "40001 40P01 55P03 57014 57P01 57P02 57P03 53300 53200 25P03 25P04"))
        return QL_EAGAIN;
    if (is_one_of(state, "53100"))
        return QL_EFULL;
    if (is_one_of(state, "42501 25006") || !strncmp(state, "28", 2))
        return QL_EACCES;
    if (is_one_of(state, "3D000 57P04 3F000"))
        return QL_ENOTFOUND;
    if (is_one_of(state, "42P01 42703 42804 42883 XX001 XX002"))
        return QL_ECORRUPT;
    if (is_one_of(state, "23505"))
        return QL_ECONFLICT;
    if (!strncmp(state, "54", 2))
        return QL_ELIMIT;
    if (!strncmp(state, "22", 2) || !strncmp(state, "23", 2))
        return QL_ERANGE;
    if (!strncmp(state, "58", 2) || !strncmp(state, "53", 2))
        return QL_EIO;
    return QL_EINTERNAL;
}

int pg_fail(struct sv_db *db, const struct pg_failure *f, const char *what, struct ql_err *err)
{
    int code = code_of(f->state);

    switch (code) {
    case QL_ECORRUPT:
        return db->host->fail(err, code, "%s is damaged or was changed (%s: %s); it was left as it is",
                              db->name, what, f->text);
    case QL_EFULL:
        return db->host->fail(err, code, "%s: no room left (%s: %s)", db->name, what, f->text);
    case QL_EACCES:
        return db->host->fail(err, code, "%s: user \"%s\" lacks rights (%s: %s)", db->name, db->url.user,
                              what, f->text);
    default:
        return db->host->fail(err, code, "%s: %s: %s", db->name, what, f->text);
    }
}
