/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>

#include "mysql.h"

const struct sv_dialect sv_dialect = {
    .scheme = "mysql",
    .product = "MySQL",
    .quote = '`',
    .indexed_text = true,
    .same = "<=>",
    .nulls = "",
    .lock_read = " LOCK IN SHARE MODE",
    .now_ms = "CAST(UNIX_TIMESTAMP(NOW(3))*1000 AS SIGNED)",
    .find_table = "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE() AND "
                  "table_type='BASE TABLE' ORDER BY table_name=? DESC,table_name LIMIT 1",
    .find_type = "SELECT data_type FROM information_schema.columns WHERE table_schema=DATABASE() AND "
                 "table_name=? AND column_name=?",
    .lock_schema = "DO GET_LOCK(LEFT(CONCAT('quicklime ',DATABASE()),64),30)",
    .unlock_schema = "DO RELEASE_LOCK(LEFT(CONCAT('quicklime ',DATABASE()),64))",
};

const char *sv_drv_type(uint32_t type, bool is_indexed)
{
    switch (type) {
    case QL_COL_INT:
        return "BIGINT";
    case QL_COL_TEXT:
    case QL_COL_JSON:
        return is_indexed ? "VARCHAR(255)" : "LONGTEXT";
    case QL_COL_BYTES:
        return is_indexed ? "VARBINARY(255)" : "LONGBLOB";
    default:
        return NULL;
    }
}

bool sv_drv_type_fits(const char *found, uint32_t type)
{
    switch (type) {
    case QL_COL_INT:
        return !strcmp(found, "bigint");
    case QL_COL_BYTES:
        return !strcmp(found, "longblob") || !strcmp(found, "varbinary");
    default:
        return !strcmp(found, "longtext") || !strcmp(found, "varchar");
    }
}

const char *sv_drv_table_options(const struct sv_db *db, const struct ql_table *t)
{
    const struct my *my = db->conn;

    (void)t;
    /* Text is compared byte for byte, blanks at the end included. */
    return my->is_mariadb ? " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
                          : " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin";
}

bool sv_drv_usable(const struct sv_db *db)
{
    const struct my *my = db->conn;

    return my && !my->is_lost;
}

void sv_drv_disconnect(struct sv_db *db)
{
    struct my *my = db->conn;

    mysql_close(my->c);
    free(my);
}

uint64_t sv_drv_session(const struct sv_db *db)
{
    return db->generation;
}

/** Name of a lock that a session holds as long as it lives: it tells the number under which it can be ended. */
static void lock_name(const struct sv_db *db, uint64_t session, char out[64])
{
    (void)snprintf(out, 64, "ql-%s-%llu", db->session, (unsigned long long)session);
}

static void copy_number(void *arg, const char *const *columns)
{
    *(unsigned long long *)arg = columns[0] ? strtoull(columns[0], NULL, 10) : 0;
}

void sv_drv_end_session(struct sv_db *db, uint64_t session)
{
    unsigned long long id = 0;
    char name[64], sql[40];

    lock_name(db, session, name);
    if (session == db->generation ||
        sv_drv_query(db, "SELECT CAST(IS_USED_LOCK(?) AS CHAR)", name, NULL, copy_number, &id, NULL) < 0 ||
        !id)
        return;
    (void)snprintf(sql, sizeof sql, "KILL %llu", id);
    (void)my_exec(db, sql, NULL); /* without it, the server finds out by itself */
}

static int check_server(struct sv_db *db, struct my *my, struct ql_err *err)
{
    unsigned long version = mysql_get_server_version(my->c);
    unsigned long oldest;

    my->is_mariadb = mariadb_connection(my->c) != 0;
    oldest = my->is_mariadb ? MY_OLDEST_MARIADB : MY_OLDEST_MYSQL;
    if (version < oldest)
        return db->host->fail(err, QL_EUNSUPPORTED,
                              "%s: the server is %s %lu.%lu, at least %lu.%lu is needed", db->name,
                              my->is_mariadb ? "MariaDB" : "MySQL", version / 10000, version / 100 % 100,
                              oldest / 10000, oldest / 100 % 100);
    if (db->url.tls != SV_TLS_OFF && !mysql_get_ssl_cipher(my->c))
        return db->host->fail(err, QL_EUNSUPPORTED, "%s: the line is not encrypted", db->name);
    return QL_OK;
}

/** Take the lock that names the session, and ask for the limit of messages: one round trip. */
static int name_session(struct sv_db *db, struct my *my, struct ql_err *err)
{
    char sql[160], name[64];
    MYSQL_RES *res = NULL;
    MYSQL_ROW row = NULL;

    lock_name(db, db->generation, name);
    (void)snprintf(sql, sizeof sql, "SELECT @@max_allowed_packet,GET_LOCK('%s',0)", name);
    if (mysql_real_query(my->c, sql, strlen(sql)))
        return my_fail_conn(db, "beginning a session", err);
    res = mysql_store_result(my->c);
    row = res ? mysql_fetch_row(res) : NULL;
    if (row && row[0])
        my->most_bytes = strtoull(row[0], NULL, 10);
    if (res)
        mysql_free_result(res);
    return row ? QL_OK : my_fail_conn(db, "beginning a session", err);
}

static int begin_session(struct sv_db *db, struct my *my, struct ql_err *err)
{
    long long timeout = (long long)db->plugin->statement_timeout_s;
    char sql[400];
    int r = check_server(db, my, err);

    if (r == QL_OK)
        r = name_session(db, my, err);
    if (r < 0)
        return r;
    /* Lists are read as they were when the transaction began; single rows are locked, see lock_read. */
    (void)snprintf(sql, sizeof sql,
                   "SET %s='REPEATABLE-READ',autocommit=0,time_zone='+00:00',innodb_lock_wait_timeout=10,"
                   "sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',%s=%lld%s",
                   my->is_mariadb ? "tx_isolation" : "transaction_isolation",
                   my->is_mariadb ? "max_statement_time" : "max_execution_time",
                   my->is_mariadb ? timeout : timeout * 1000,
                   my->is_mariadb ? ",idle_transaction_timeout=15" : "");
    return my_exec(db, sql, err);
}

static int set_options(struct sv_db *db, MYSQL *c)
{
    const struct sv_url *u = &db->url;
    unsigned connect = (unsigned)db->plugin->connect_timeout_s;
    unsigned wait = (unsigned)db->plugin->statement_timeout_s + 5, zero = 0;
    unsigned protocol = u->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    my_bool on = u->tls != SV_TLS_OFF, verify = u->tls >= SV_TLS_CA;
    int r =
        mysql_options(c, MYSQL_OPT_CONNECT_TIMEOUT, &connect) |
        mysql_options(c, MYSQL_OPT_READ_TIMEOUT, &wait) | mysql_options(c, MYSQL_OPT_WRITE_TIMEOUT, &wait) |
        mysql_options(c, MYSQL_OPT_PROTOCOL, &protocol) | mysql_options(c, MYSQL_OPT_LOCAL_INFILE, &zero) |
        mysql_options(c, MYSQL_SET_CHARSET_NAME, "utf8mb4") |
        /* no way of proving who we are that shows the password to the server's side in the clear */
        mysql_optionsv(c, MARIADB_OPT_RESTRICTED_AUTH,
                       "mysql_native_password,client_ed25519,caching_sha2_password,sha256_password") |
        mysql_options(c, MYSQL_OPT_SSL_ENFORCE, &on) |
        mysql_options(c, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);

    if (on)
        r |= mysql_optionsv(c, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    if (verify)
        r |= mysql_options(c, MYSQL_OPT_SSL_CA, u->ca);
    if (on && u->cert)
        r |= mysql_options(c, MYSQL_OPT_SSL_CERT, u->cert) | mysql_options(c, MYSQL_OPT_SSL_KEY, u->key);
    return r;
}

static int describe_refusal(struct sv_db *db, struct my *my, struct ql_err *err)
{
    const char *text = mysql_error(my->c);

    if (mysql_errno(my->c) == CR_SSL_CONNECTION_ERROR && strstr(text, "required"))
        return db->host->fail(
            err, QL_EUNSUPPORTED,
            "%s: the server offers no TLS; give it a certificate, or say sslmode=disable in "
            "database_url (tls of mysql) where the network is trusted",
            db->name);
    if (mysql_errno(my->c) == CR_SSL_CONNECTION_ERROR)
        return db->host->fail(err, QL_ECRYPTO, "%s cannot be reached over TLS: %.250s", db->name, text);
    return my_fail_conn(db, "cannot be reached", err);
}

int sv_drv_connect(struct sv_db *db, const char *password, struct ql_err *err)
{
    const struct sv_url *u = &db->url;
    struct my *my = calloc(1, sizeof *my);

    if (!my)
        return sv_nomem(db->host, err);
    my->c = mysql_init(NULL);
    if (!my->c) {
        free(my);
        return sv_nomem(db->host, err);
    }
    db->conn = my;
    if (set_options(db, my->c))
        return db->host->fail(err, QL_EINTERNAL, "%s: the library does not take our settings", db->name);
    if (u->parameters)
        return db->host->fail(err, QL_ERANGE,
                              "database_url has the parameter options, which MySQL does not know");
    if (!mysql_real_connect(my->c, u->socket ? NULL : u->host, u->user, password ? password : "", u->database,
                            u->port ? (unsigned)strtoul(u->port, NULL, 10) : 0, u->socket, CLIENT_FOUND_ROWS))
        return describe_refusal(db, my, err);
    return begin_session(db, my, err);
}

void sv_drv_forget(struct sv_db *db, struct sv_stmt *s)
{
    (void)db;
    if (s->driver)
        (void)mysql_stmt_close(s->driver); /* the server forgets it with the session at the latest */
    s->driver = NULL;
}
