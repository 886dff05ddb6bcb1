/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "server.h"

enum {
    LOOK_PAUSE_MS = 20,
    LAST_PAUSE_MS = 5000,  /* longest pause after a connect that failed slowly */
    RESOLVE_MS = 15000,    /* how long to ask what became of a commit */
    MARK_AGE_MS = 86400000 /* rows of sessions that ended before are removed */
};
#define NS_PER_MS INT64_C(1000000)

static int make_session_name(struct sv_db *db, struct ql_err *err)
{
    uint8_t random[16];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return db->host->fail(err, QL_EINTERNAL, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(&db->session[2 * i], 3, "%02x", random[i]);
    return QL_OK;
}

static int make_name(struct sv_db *db, struct ql_err *err)
{
    const struct sv_url *u = &db->url;

    if (asprintf(&db->name, "%s database \"%s\" on %s%s%s", sv_dialect.product, u->database,
                 u->socket ? u->socket : u->host, u->port ? ":" : "", u->port ? u->port : "") < 0) {
        db->name = NULL;
        return sv_nomem(db->host, err);
    }
    return QL_OK;
}

int sv_open(void *plugin, const char *url, const char *state_dir, void **ret, struct ql_err *err)
{
    const struct sv_plugin *p = plugin;
    struct sv_db *db = NULL;
    int r;

    db = calloc(1, sizeof *db);
    if (!db)
        return sv_nomem(p->host, err);
    db->plugin = p;
    db->host = p->host;
    db->state_dir = strdup(state_dir);
    r = db->state_dir ? sv_url_parse(p->host, url, &db->url, err) : sv_nomem(p->host, err);
    if (r == QL_OK)
        r = sv_config_complete(db, err);
    if (r == QL_OK)
        r = make_name(db, err);
    if (r == QL_OK)
        r = make_session_name(db, err);
    if (r < 0) {
        sv_close(plugin, db);
        return r;
    }
    *ret = db;
    return QL_OK;
}

void sv_close(void *plugin, void *at)
{
    struct sv_db *db = at;

    (void)plugin;
    if (!db)
        return;
    if (db->conn && sv_drv_usable(db))
        sv_drv_rollback(db);
    sv_disconnect(db);
    sv_url_free(&db->url);
    free(db->state_dir);
    free(db->name);
    free(db);
}

void sv_disconnect(struct sv_db *db)
{
    sv_flush(db);
    if (db->conn)
        sv_drv_disconnect(db);
    db->conn = NULL;
    db->in_txn = false;
}

static int connect_once(struct sv_db *db, struct ql_err *err)
{
    char password[SV_PASSWORD_MAX + 1] = "";
    int r = sv_password(db, password, err);

    if (r < 0)
        return r;
    db->generation++;
    r = sv_drv_connect(db, r ? password : NULL, err);
    explicit_bzero(password, sizeof password);
    if (r < 0)
        sv_disconnect(db);
    return r;
}

int sv_connect(struct sv_db *db, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int64_t now = db->host->mono_ns(db->host), pause;
    int r;

    if (db->conn && sv_drv_usable(db))
        return QL_OK;
    sv_disconnect(db);
    if (now < db->retry_ns)
        return db->host->fail(err, QL_EAGAIN, "%s", db->away.text);
    r = connect_once(db, &why);
    if (r == QL_OK)
        return QL_OK;
    /* Core waits longer from try to try. A connect that hangs must not take all of the thread's time beside. */
    pause = db->host->mono_ns(db->host) - now;
    if (pause > LAST_PAUSE_MS * NS_PER_MS)
        pause = LAST_PAUSE_MS * NS_PER_MS;
    db->retry_ns = now + 2 * pause;
    db->away = why;
    /* Once it worked, whatever is wrong now may be put right: rights, password, server. */
    return db->host->fail(err, db->is_accepted ? QL_EAGAIN : r, "%s", why.text);
}

/* ---- transactions ---- */

int sv_begin(void *plugin, void *at, struct ql_err *err)
{
    struct sv_db *db = at;
    int r;

    (void)plugin;
    if (db->in_txn)
        return db->host->fail(err, QL_EINTERNAL, "a transaction is open already");
    r = sv_connect(db, err);
    if (r == QL_OK)
        r = sv_drv_begin(db, err);
    if (r < 0)
        return r;
    db->in_txn = true;
    db->has_written = false;
    return QL_OK;
}

static int read_number(void *arg, const struct ql_value *row, uint32_t column_count)
{
    if (column_count)
        *(int64_t *)arg = row[0].i;
    return 0;
}

/** One look at our row of commits, on a new connection. Waits while the lost session still holds it. */
static int look_at_mark(struct sv_db *db, uint64_t session, int64_t *number, struct ql_err *err)
{
    const struct sv_shape read = {.op = SV_READ_MARK};
    struct sv_input in = {.extra = {sv_string(db->session)}};
    struct sv_rows rows = {.fn = read_number, .arg = number};
    int r = sv_connect(db, err);

    if (r == QL_OK) {
        sv_drv_end_session(db, session);
        r = sv_drv_begin(db, err);
    }
    if (r == QL_OK)
        r = sv_run(db, &read, &in, &rows, NULL, err);
    if (db->conn && sv_drv_usable(db))
        sv_drv_rollback(db);
    return r;
}

/**
 * The connection was lost while a commit was under way. Whether it took place stands in the database: each of our
 * transactions writes its number into a row of the session.
 */
static int resolve(struct sv_db *db, uint64_t session, struct ql_err *err)
{
    int64_t end = db->host->mono_ns(db->host) + RESOLVE_MS * NS_PER_MS;
    const struct timespec pause = {.tv_nsec = LOOK_PAUSE_MS * NS_PER_MS};
    struct ql_err why = QL_ERR_INIT;
    int64_t number = 0;
    int r;

    while ((r = look_at_mark(db, session, &number, &why)) < 0 && db->host->mono_ns(db->host) < end)
        (void)nanosleep(&pause, NULL); /* a shorter sleep is as good */
    if (r < 0)
        return db->host->fail(err, QL_EAGAIN, "%s: the connection was lost during a commit: %s", db->name,
                              why.text);
    if (number == db->commit_number)
        return QL_OK;
    return db->host->fail(err, QL_EAGAIN, "%s: the connection was lost before a commit", db->name);
}

int sv_commit(void *plugin, void *at, struct ql_err *err)
{
    const struct sv_shape shape = {.op = SV_MARK};
    struct ql_value params[SV_PARAM_MAX];
    struct sv_db *db = at;
    struct sv_input in = {.extra = {sv_string(db->session), sv_int(db->commit_number + 1)}};
    struct sv_stmt *mark = NULL;
    uint64_t session = 0;
    bool is_unsure = false;
    int r = QL_OK;

    (void)plugin;
    if (!db->in_txn)
        return db->host->fail(err, QL_EINTERNAL, "no transaction to commit");
    if (db->has_written) {
        r = sv_prepare(db, &shape, &mark, err);
        if (r == QL_OK)
            r = sv_bind(db, mark, &in, params, err);
        if (r == QL_OK)
            db->commit_number++;
    }
    session = sv_drv_session(db);
    if (r == QL_OK)
        r = sv_drv_commit(db, mark, params, &is_unsure, err);
    if (mark)
        sv_release(db, mark);
    if (r < 0 && !is_unsure)
        return r;
    db->in_txn = false;
    return r < 0 && db->has_written ? resolve(db, session, err) : r;
}

void sv_rollback(void *plugin, void *at)
{
    struct sv_db *db = at;

    (void)plugin;
    if (db->in_txn && db->conn && sv_drv_usable(db))
        sv_drv_rollback(db);
    db->in_txn = false;
}

/** Remove what sessions left that ended long ago. Their rows harm nobody: what fails here is left for the next time. */
static void sweep(struct sv_db *db)
{
    const struct sv_shape shape = {.op = SV_SWEEP_MARKS};
    struct sv_input in = {.extra = {sv_int(MARK_AGE_MS)}};

    if (sv_begin(NULL, db, NULL) < 0)
        return;
    if (sv_run(db, &shape, &in, NULL, NULL, NULL) < 0 || sv_commit(NULL, db, NULL) < 0)
        sv_rollback(NULL, db);
}

void sv_accept(struct sv_db *db)
{
    db->is_accepted = true;
    sweep(db);
}
