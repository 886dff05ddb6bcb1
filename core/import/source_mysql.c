/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "parse.h"
#include "source.h"

#ifdef QL_HAVE_MARIADB
#include <mysql.h>

enum {
    CONNECT_S = 10,
    DEFAULT_PORT = 3306
};

/** Parts of a URL; point into `text`. */
struct address {
    char text[QL_SOURCE_URL_MAX + 1];
    char *user, *password, *host, *name;
    uint64_t port;
};

static int fail(MYSQL *db, struct ql_err *err)
{
    return ql_fail(err, QL_EIO, "database to read: %s", mysql_error(db));
}

static void close_db(void *db)
{
    mysql_close(db);
}

static int take_row(MYSQL_RES *result, size_t columns, MYSQL_ROW values, ql_source_fn fn, void *arg,
                    struct ql_err *err)
{
    const unsigned long *lengths = mysql_fetch_lengths(result);
    struct ql_cell row[QL_SOURCE_COLUMNS] = {0};

    for (size_t i = 0; i < columns; i++) {
        row[i].text = values[i];
        row[i].len = values[i] ? lengths[i] : 0;
        if (row[i].len > QL_SOURCE_CELL_MAX)
            return ql_fail(err, QL_ELIMIT, "database to read: value of %zu bytes", row[i].len);
    }
    return fn(arg, row, err);
}

static int each(void *db, const char *sql, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    MYSQL_RES *result = mysql_query(db, sql) == 0 ? mysql_use_result(db) : NULL;
    MYSQL_ROW values;
    int r = QL_OK;

    if (!result)
        return fail(db, err);
    if (mysql_num_fields(result) != columns)
        r = ql_fail(err, QL_EINTERNAL, "query of %u columns", mysql_num_fields(result));
    while (r == QL_OK && (values = mysql_fetch_row(result)))
        r = take_row(result, columns, values, fn, arg, err);
    if (r == QL_OK && mysql_errno(db))
        r = fail(db, err);
    mysql_free_result(result);
    return r;
}

/* %XX in place. @return false: not such a text */
static bool decode(char *text)
{
    char *to = text;

    for (; *text; text++) {
        int high, low;

        if (*text != '%') {
            *to++ = *text;
            continue;
        }
        high = ql_hex_digit(text[1]);
        low = high < 0 ? -1 : ql_hex_digit(text[2]);
        if (low < 0 || high * 16 + low == 0)
            return false;
        *to++ = (char)(high * 16 + low);
        text += 2;
    }
    *to = '\0';
    return true;
}

/* SCHEME://[USER[:PASSWORD]@]HOST[:PORT]/NAME */
static int parse(const char *url, struct address *ret, struct ql_err *err)
{
    char *at, *port;

    (void)snprintf(ret->text, sizeof ret->text, "%s", strstr(url, "://") + strlen("://")); /* fits */
    ret->host = ret->text;
    ret->port = DEFAULT_PORT;
    ret->name = strrchr(ret->text, '/');
    if (!ret->name || strchr(ret->name, '?'))
        return ql_fail(err, QL_ERANGE,
                       "URL of a MySQL database: want mysql+pymysql://USER[:PASSWORD]@HOST[:PORT]/NAME");
    *ret->name++ = '\0';
    at = strrchr(ret->text, '@');
    if (at) {
        *at = '\0';
        ret->host = at + 1;
        ret->user = ret->text;
        ret->password = strchr(ret->user, ':');
        if (ret->password)
            *ret->password++ = '\0';
    }
    port = strchr(ret->host, ':');
    if (port)
        *port++ = '\0';
    if ((port && ql_parse_u64(port, strlen(port), 1, 65535, &ret->port, NULL) < 0) || !*ret->host ||
        !*ret->name || (ret->user && !decode(ret->user)) || (ret->password && !decode(ret->password)) ||
        !decode(ret->name))
        return ql_fail(err, QL_ERANGE, "URL of a MySQL database: host, port, name or an escape is wrong");
    return QL_OK;
}

int ql_source_mysql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err)
{
    static const struct ql_source_ops mysql = {
        .tables = "SELECT count(*) FROM information_schema.tables WHERE table_name=",
        .here = " AND table_schema=database()",
        .close = close_db,
        .each = each,
    };
    const unsigned connect_s = CONNECT_S;
    struct address address = {.text = ""};
    MYSQL *db;
    int r = parse(url, &address, err);

    if (r < 0)
        return r;
    db = mysql_init(NULL);
    if (!db)
        return ql_fail_nomem(err);
    if (mysql_options(db, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s) != 0 ||
        mysql_options(db, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
        !mysql_real_connect(db, address.host, address.user, address.password, address.name,
                            (unsigned)address.port, NULL, 0))
        r = fail(db, err);
    explicit_bzero(&address, sizeof address);
    if (r < 0) {
        mysql_close(db);
        return r;
    }
    *ops = &mysql;
    *ret = db;
    return QL_OK;
}

#else

int ql_source_mysql(const char *url, const struct ql_source_ops **ops, void **ret, struct ql_err *err)
{
    (void)url, (void)ops, (void)ret;
    return ql_fail(err, QL_EUNSUPPORTED,
                   "built without libmariadb: databases of MySQL and MariaDB cannot be read");
}

#endif
