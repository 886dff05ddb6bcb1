/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sqlite.h"

enum {
    SMALLEST_PAGE = 512 /* bytes; of SQLite's file format */
};

/* Names that Keylime's operators know; other schemas are files of their own name. */
static const struct {
    const char *schema, *file;
} known_files[] = {
    {"verifier", "cv_data.sqlite"},
    {"registrar", "reg_data.sqlite"},
};

static char *join(const char *dir, const char *name, const char *ending)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s%s", dir, name, ending) < 0)
        return NULL;
    return path;
}

/** The part of the URL after "sqlite://", as SQLAlchemy reads it: one '/' goes, what remains is the path. */
static int parse_url(struct sq_db *db, const char *url, struct ql_err *err)
{
    const char *rest = NULL;

    if (!strcmp(url, "sqlite"))
        return QL_OK;
    rest = strstr(url, "://");
    if (strncmp(url, "sqlite", 6) != 0 || !rest || (url[6] != ':' && url[6] != '+'))
        return db->host->fail(err, QL_ERANGE,
                              "database_url is not one of the sqlite store: want \"sqlite\", "
                              "\"sqlite:///FILE\" or \"sqlite:////ABSOLUTE/FILE\"");
    rest += 3;
    if (*rest != '/')
        return db->host->fail(err, QL_ERANGE, "database_url of sqlite names a host: want sqlite:///FILE");
    rest++;
    if (strchr(rest, '?'))
        return db->host->fail(err, QL_ERANGE, "database_url of sqlite has parameters, none are offered");
    if (!*rest || !strcmp(rest, ":memory:"))
        return db->host->fail(err, QL_ERANGE,
                              "database_url of sqlite names no file; a database in memory is "
                              "not offered");
    db->url_path = *rest == '/' ? strdup(rest) : join(db->state_dir, rest, "");
    if (!db->url_path)
        return db->host->fail(err, QL_ENOMEM, "out of memory");
    return QL_OK;
}

int sq_open(void *plugin, const char *url, const char *state_dir, void **ret, struct ql_err *err)
{
    const struct sq_plugin *p = plugin;
    struct sq_db *db = NULL;
    int r;

    db = calloc(1, sizeof *db);
    if (!db)
        return p->host->fail(err, QL_ENOMEM, "out of memory");
    db->plugin = p;
    db->host = p->host;
    db->state_dir = strdup(state_dir);
    if (!db->state_dir) {
        free(db);
        return p->host->fail(err, QL_ENOMEM, "out of memory");
    }
    r = parse_url(db, url, err);
    if (r < 0) {
        sq_close(plugin, db);
        return r;
    }
    *ret = db;
    return QL_OK;
}

void sq_disconnect(struct sq_db *db)
{
    sq_flush(db);
    (void)sqlite3_close(db->conn); /* all statements are gone: it cannot be busy */
    db->conn = NULL;
    free(db->path);
    db->path = NULL;
}

void sq_close(void *plugin, void *at)
{
    struct sq_db *db = at;

    (void)plugin;
    if (!db)
        return;
    sq_disconnect(db);
    free(db->url_path);
    free(db->state_dir);
    free(db);
}

static char *path_of(const struct sq_db *db, const struct ql_schema *schema)
{
    if (db->url_path)
        return strdup(db->url_path);
    for (size_t i = 0; i < sizeof known_files / sizeof known_files[0]; i++)
        if (!strcmp(schema->name, known_files[i].schema))
            return join(db->state_dir, known_files[i].file, "");
    return join(db->state_dir, schema->name, ".sqlite");
}

/** Make the file ourselves, so that it is never wider than 0600; SQLite gives its -wal and -shm the same mode. */
static int make_file(struct sq_db *db, struct ql_err *err)
{
    struct stat st;
    int fd;

    fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)close(fd); /* nothing was written */
        return QL_OK;
    }
    if (errno != EEXIST)
        return db->host->fail(err, errno == EACCES || errno == EROFS || errno == EPERM ? QL_EACCES : QL_EIO,
                              "database %s cannot be made: %s", db->path, strerror(errno));
    if (stat(db->path, &st) < 0)
        return db->host->fail(err, errno == EACCES ? QL_EACCES : QL_EIO, "database %s: %s", db->path,
                              strerror(errno));
    if (!S_ISREG(st.st_mode))
        return db->host->fail(err, QL_EACCES, "database %s is not a regular file", db->path);
    /* SQLite takes a file that is shorter than the smallest page for an empty one, and would overwrite it. */
    if (st.st_size > 0 && st.st_size < SMALLEST_PAGE)
        return db->host->fail(err, QL_ECORRUPT, "database %s is damaged (%lld bytes); it was left as it is",
                              db->path, (long long)st.st_size);
    return QL_OK;
}

static int configure(struct sq_db *db)
{
    /* Numbers, as sqlite3_db_config() takes them: option, value. A file that is refused must stay as it is, so the
     * last connection writes no checkpoint until sq_accept(). */
    static const int settings[][2] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
    };

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        int r = sqlite3_db_config(db->conn, settings[i][0], settings[i][1], NULL);

        if (r != SQLITE_OK)
            return r;
    }
    return sqlite3_busy_timeout(db->conn, (int)db->plugin->busy_timeout_ms);
}

int sq_connect(struct sq_db *db, const struct ql_schema *schema, struct ql_err *err)
{
    int r;

    sq_disconnect(db);
    db->path = path_of(db, schema);
    if (!db->path)
        return db->host->fail(err, QL_ENOMEM, "out of memory");
    r = make_file(db, err);
    if (r < 0)
        return r;
    r = sqlite3_open_v2(db->path, &db->conn,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (r == SQLITE_OK)
        r = configure(db);
    if (r != SQLITE_OK)
        return sq_fail(db, r, "opening", err);
    if (sqlite3_db_readonly(db->conn, "main") == 1)
        return db->host->fail(err, QL_EACCES, "database %s is read-only: the daemon must be able to write it",
                              db->path);
    return QL_OK;
}

int sq_accept(struct sq_db *db, struct ql_err *err)
{
    sqlite3_stmt *stmt = NULL;
    bool is_wal = false;
    int r;

    r = sqlite3_prepare_v2(db->conn, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);
    if (r == SQLITE_OK) {
        r = sqlite3_step(stmt);
        if (r == SQLITE_ROW)
            is_wal = !sqlite3_stricmp((const char *)sqlite3_column_text(stmt, 0), "wal");
    }
    (void)sqlite3_finalize(stmt); /* repeats the result of the step */
    if (r != SQLITE_ROW)
        return sq_fail(db, r, "switching to the write-ahead log", err);
    if (!is_wal)
        return db->host->fail(err, QL_EUNSUPPORTED,
                              "database %s: its file system does not carry a write-ahead log", db->path);
    r = sqlite3_db_config(db->conn, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (r != SQLITE_OK)
        return sq_fail(db, r, "configuring", err);
    /* FULL: a commit that was acknowledged outlives the loss of power, not only of the process. */
    return sq_exec(db, "PRAGMA synchronous=FULL", err);
}
