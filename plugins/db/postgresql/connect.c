/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postgresql.h"

const struct sv_dialect sv_dialect = {
    .scheme = "postgresql",
    .product = "PostgreSQL",
    .quote = '"',
    .numbered = true,
    .returning = true,
    .row_values = true,
    .ddl_in_txn = true,
    .same = " IS NOT DISTINCT FROM ",
    .nulls = " NULLS FIRST",
    .lock_read = "", /* the isolation level sees to it */
    .now_ms = "floor(extract(epoch FROM statement_timestamp())*1000)::bigint",
    .find_table = "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind IN ('r','p','f') AND "
                  "relnamespace=(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname=current_schema()) "
                  "ORDER BY relname::text=$1::text DESC, relname LIMIT 1",
    .find_type =
        "SELECT format_type(a.atttypid,a.atttypmod) FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c "
        "WHERE a.attrelid=c.oid AND c.relname::text=$1::text AND a.attname::text=$2::text AND "
        "a.attnum>0 AND NOT a.attisdropped AND c.relkind IN ('r','p') AND c.relnamespace="
        "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname=current_schema())",
    .lock_schema = "SELECT pg_advisory_xact_lock(5859837211043)",
};

const char *sv_drv_type(uint32_t type, bool is_indexed)
{
    (void)is_indexed;
    switch (type) {
    case QL_COL_INT:
        return "bigint";
    case QL_COL_TEXT:
    case QL_COL_JSON:
        return "text COLLATE \"C\"";
    case QL_COL_BYTES:
        return "bytea";
    default:
        return NULL;
    }
}

bool sv_drv_type_fits(const char *found, uint32_t type)
{
    return !strcmp(found, type == QL_COL_INT ? "bigint" : type == QL_COL_BYTES ? "bytea" : "text");
}

const char *sv_drv_table_options(const struct sv_db *db, const struct ql_table *t)
{
    (void)db;
    /* Rows with leases are written at every attestation: room beside them spares their indexes. */
    return t && t->lease ? " WITH (fillfactor=80)" : "";
}

bool sv_drv_usable(const struct sv_db *db)
{
    const struct pg *pg = db->conn;

    return pg && !pg->is_lost && PQstatus(pg->c) == CONNECTION_OK;
}

void sv_drv_disconnect(struct sv_db *db)
{
    struct pg *pg = db->conn;

    PQfinish(pg->c);
    free(pg);
}

uint64_t sv_drv_session(const struct sv_db *db)
{
    const struct pg *pg = db->conn;

    return pg ? (uint64_t)PQbackendPID(pg->c) : 0;
}

void sv_drv_end_session(struct sv_db *db, uint64_t session)
{
    char sql[160];

    /* Only a session of this user, and not a new one that got the same number: ours are marked. */
    (void)snprintf(sql, sizeof sql,
                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid=%llu AND "
                   "application_name='quicklime %.16s'",
                   (unsigned long long)session, db->session);
    if (session != sv_drv_session(db))
        (void)pg_exec(db, sql, NULL, 0, NULL); /* without it, the server finds out by itself */
}

static void quiet(void *arg, const char *message)
{
    (void)arg, (void)message; /* notices of the server; libpq would print them */
}

static const char *mode_of(enum sv_tls tls)
{
    return tls == SV_TLS_REQUIRE ? "require"
           : tls == SV_TLS_CA    ? "verify-ca"
           : tls == SV_TLS_FULL  ? "verify-full"
                                 : "disable";
}

/** What follows from the state of the new session: version, a server that can be written, its settings. */
static int begin_session(struct sv_db *db, struct pg *pg, struct ql_err *err)
{
    int version = PQserverVersion(pg->c);
    const char *said = PQparameterStatus(pg->c, "server_version"), *encoding = NULL;
    char sql[256];

    if (version < PG_OLDEST)
        return db->host->fail(err, QL_EUNSUPPORTED, "%s: the server has version %.32s, at least %d is needed",
                              db->name, said ? said : "unknown", PG_OLDEST / 10000);
    encoding = PQparameterStatus(pg->c, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return db->host->fail(err, QL_EUNSUPPORTED, "%s has the encoding %s, UTF8 is needed", db->name,
                              encoding ? encoding : "unknown");
    if (PQenterPipelineMode(pg->c) != 1)
        return db->host->fail(err, QL_EINTERNAL, "%s: no pipeline", db->name);
    (void)snprintf(
        sql, sizeof sql,
        "SELECT set_config('statement_timeout','%llds',false),set_config('lock_timeout','10s',false),"
        "set_config('idle_in_transaction_session_timeout','15s',false)",
        (long long)db->plugin->statement_timeout_s);
    return pg_exec(db, sql, NULL, 0, err);
}

static int describe_refusal(struct sv_db *db, struct pg *pg, struct ql_err *err)
{
    char text[320];

    pg_one_line(PQerrorMessage(pg->c), text, sizeof text);
    if (strstr(text, "does not support SSL"))
        return db->host->fail(
            err, QL_EUNSUPPORTED,
            "%s: the server offers no TLS; give it a certificate, or say sslmode=disable in "
            "database_url (tls of postgresql) where the network is trusted",
            db->name);
    return db->host->fail(
        err, PQconnectionNeedsPassword(pg->c) || strstr(text, "authentication failed") ? QL_EACCES : QL_EIO,
        "%s cannot be reached: %s", db->name, text);
}

int sv_drv_connect(struct sv_db *db, const char *password, struct ql_err *err)
{
    const struct sv_url *u = &db->url;
    char timeout[24], name[48];
    const char *const given[][2] = {
        {"host", u->socket ? u->socket : u->host},
        {"port", u->port},
        {"dbname", u->database},
        {"user", u->user},
        {"password", password ? password : ""},
        {"passfile", "/dev/null"}, /* ours come from one place alone */
        {"sslmode", mode_of(u->tls)},
        {"sslrootcert", u->tls >= SV_TLS_CA ? u->ca : "/dev/null/none"},
        {"sslcert", u->cert ? u->cert : "/dev/null/none"},
        {"sslkey", u->key ? u->key : "/dev/null/none"},
        {"sslcrl", "/dev/null/none"},
        {"ssl_min_protocol_version", "TLSv1.2"},
        {"gssencmode", "disable"},
        {"client_encoding", "UTF8"},
        {"application_name", name},
        {"options", u->parameters},
        {"connect_timeout", timeout},
        {"target_session_attrs", "read-write"},
        {"keepalives", "1"},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "3"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "15000"},
    };
    const char *keys[sizeof given / sizeof given[0] + 1], *values[sizeof given / sizeof given[0] + 1];
    struct pg *pg = NULL;
    size_t n = 0;

    (void)snprintf(timeout, sizeof timeout, "%lld", (long long)db->plugin->connect_timeout_s);
    (void)snprintf(name, sizeof name, "quicklime %.16s", db->session);
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (given[i][1]) {
            keys[n] = given[i][0];
            values[n++] = given[i][1];
        }
    keys[n] = values[n] = NULL;
    pg = calloc(1, sizeof *pg);
    if (!pg)
        return sv_nomem(db->host, err);
    db->conn = pg;
    pg->c = PQconnectdbParams(keys, values, 0);
    if (!pg->c)
        return sv_nomem(db->host, err);
    (void)PQsetNoticeProcessor(pg->c, quiet, NULL);
    if (PQstatus(pg->c) != CONNECTION_OK)
        return describe_refusal(db, pg, err);
    return begin_session(db, pg, err);
}

void sv_drv_forget(struct sv_db *db, struct sv_stmt *s)
{
    struct pg *pg = db->conn;
    char sql[48];

    /* One that is not kept must not stay on the server; those of a connection end with it. */
    if (s->cached || !pg || s->generation != db->generation || !sv_drv_usable(db) || pg->is_failed)
        return;
    (void)snprintf(sql, sizeof sql, "DEALLOCATE ql%u", s->number);
    (void)pg_exec(db, sql, NULL, 0, NULL); /* a name that stays does no harm: none is used twice */
}
