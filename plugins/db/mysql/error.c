/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <errmsg.h>
#include <mysqld_error.h>

#include "mysql.h"

#ifndef ER_CHECKREAD
#define ER_CHECKREAD 1020
#endif

static bool is_lost(unsigned number)
{
    switch (number) {
    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_SERVER_LOST_EXTENDED:
    case CR_CONNECTION_ERROR:
    case CR_CONN_HOST_ERROR:
    case CR_COMMANDS_OUT_OF_SYNC:
    case CR_MALFORMED_PACKET:
    case ER_SERVER_SHUTDOWN:
    case ER_NORMAL_SHUTDOWN:
    case ER_CONNECTION_KILLED:
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
    case ER_NET_PACKETS_OUT_OF_ORDER:
    case 4031: /* idle for too long */
        return true;
    default:
        return false;
    }
}

static int code_of(unsigned number)
{
    if (is_lost(number))
        return QL_EAGAIN;
    switch (number) {
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CHECKREAD:
    case ER_QUERY_INTERRUPTED:
    case ER_STATEMENT_TIMEOUT:
    case ER_CON_COUNT_ERROR:
    case ER_OUT_OF_RESOURCES:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_OPTION_PREVENTS_STATEMENT: /* read only: a failover is under way */
    case ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
    case ER_UNKNOWN_COM_ERROR: /* a cluster's node that has left */
        return QL_EAGAIN;
    case ER_RECORD_FILE_FULL:
    case ER_DISK_FULL:
    case ER_ERROR_ON_WRITE:
        return QL_EFULL;
    case ER_DBACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_ERROR:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_HOST_NOT_PRIVILEGED:
        return QL_EACCES;
    case ER_BAD_DB_ERROR:
        return QL_ENOTFOUND;
    case ER_DUP_ENTRY:
    case ER_DUP_ENTRY_WITH_KEY_NAME:
        return QL_ECONFLICT;
    case ER_DATA_TOO_LONG:
    case ER_NET_PACKET_TOO_LARGE:
    case ER_TOO_LONG_KEY:
        return QL_ELIMIT;
    case ER_WARN_DATA_OUT_OF_RANGE:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
    case ER_BAD_NULL_ERROR:
    case ER_TRUNCATED_WRONG_VALUE:
        return QL_ERANGE;
    case ER_NO_SUCH_TABLE:
    case ER_NO_SUCH_TABLE_IN_ENGINE:
    case ER_BAD_FIELD_ERROR:
    case ER_NOT_KEYFILE:
    case ER_OLD_KEYFILE:
    case ER_CRASHED_ON_USAGE:
    case ER_CRASHED_ON_REPAIR:
    case ER_INDEX_CORRUPT:
        return QL_ECORRUPT;
    case CR_OUT_OF_MEMORY:
        return QL_ENOMEM;
    default:
        return QL_EINTERNAL;
    }
}

int my_fail(struct sv_db *db, unsigned number, const char *text, const char *what, struct ql_err *err)
{
    struct my *my = db->conn;
    int code = code_of(number);

    my->is_lost |= is_lost(number);
    my->is_failed |= code == QL_EAGAIN;
    switch (code) {
    case QL_ECONFLICT: /* the server's text shows the value */
        return db->host->fail(err, code, "%s: a unique value is there already", what);
    case QL_ECORRUPT:
        return db->host->fail(err, code, "%s is damaged or was changed (%s: %.200s); it was left as it is",
                              db->name, what, text);
    case QL_EFULL:
        return db->host->fail(err, code, "%s: no room left (%s: %.200s)", db->name, what, text);
    case QL_EACCES:
        return db->host->fail(err, code, "%s: user \"%s\" lacks rights (%s: %.200s)", db->name, db->url.user,
                              what, text);
    default:
        return db->host->fail(err, code, "%s: %s: %.250s (%u)", db->name, what, text, number);
    }
}

int my_fail_conn(struct sv_db *db, const char *what, struct ql_err *err)
{
    struct my *my = db->conn;

    return my_fail(db, mysql_errno(my->c), mysql_error(my->c), what, err);
}

int my_fail_stmt(struct sv_db *db, MYSQL_STMT *stmt, const char *what, struct ql_err *err)
{
    return my_fail(db, mysql_stmt_errno(stmt), mysql_stmt_error(stmt), what, err);
}
