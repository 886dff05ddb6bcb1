/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "internal.h"
#include "log.h"

enum {
    FIRST_BACKOFF_MS = 10,
    GROUP_TRIES =
        3 /* a group that is told to repeat this often is taken apart: one of it may be the reason */
};

/** Items of one commit. */
struct group {
    struct ql_store_item *items[QL_STORE_BATCH_MAX + 1]; /* one more for progress */
    size_t count;
};

/* -- names ------------------------------------------------------------------------------------------------------ */

int ql_store_backend_name(const char *url, char *out, struct ql_err *err)
{
    /* Other names under which SQLAlchemy knows a store of ours. */
    static const char *const aliases[][2] = {{"mariadb", "mysql"}, {"postgres", "postgresql"}};
    size_t len = strcspn(url, ":+");

    if (!len || len > 31 || strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789-") < len)
        return ql_fail(err, QL_ERANGE,
                       "database_url does not begin with the name of a store, such as \"sqlite\"");
    memcpy(out, url, len);
    out[len] = 0;
    for (size_t i = 0; i < QL_ARRAY_LEN(aliases); i++)
        if (!strcmp(out, aliases[i][0]))
            (void)snprintf(out, 32, "%s", aliases[i][1]); /* shorter than that */
    return QL_OK;
}

/** The URL without parameters, and with everything between the first ':' and the last '@' of its authority replaced. */
static char *name_of(const char *url)
{
    const char *authority = strstr(url, "://"), *at = NULL, *colon = NULL;
    char *name = NULL;

    if (authority) {
        authority += 3;
        at = strrchr(authority, '@');
    }
    if (at)
        colon = memchr(authority, ':', (size_t)(at - authority));
    if (!colon)
        return strndup(url, strcspn(url, "?"));
    if (asprintf(&name, "%.*s:***%.*s", (int)(colon - url), url, (int)strcspn(at, "?"), at) < 0)
        return NULL;
    return name;
}

/* -- the store thread ------------------------------------------------------------------------------------------- */

static void item_fail(struct ql_store_item *item, int result, const struct ql_err *err)
{
    item->result = result;
    if (!item->err)
        item->err = malloc(sizeof *item->err);
    if (item->err)
        *item->err = *err;
}

/** A damaged database is left alone from the first sign on: writing more could destroy what can still be saved. */
static void note_damage(struct ql_store *s, int result, const struct ql_err *err)
{
    if (result != QL_ECORRUPT || s->is_broken)
        return;
    s->is_broken = true;
    s->broken_err = *err;
    ql_log(QL_ERROR, "store", "%s: nothing more is written: %s", s->name, err->text);
}

/** Run the function of one item in the transaction that is open. */
static int call(struct ql_store *s, struct ql_store_item *item, struct ql_err *err)
{
    struct ql_txn t = ql_txn_start(s);
    int r = item->fn(&t, item->arg, err);

    if (!t.fault)
        return r < 0 ? r : QL_OK;
    note_damage(s, t.fault, &t.fault_err);
    if (r >= 0 || t.fault == QL_EAGAIN || t.fault == QL_ECORRUPT) {
        *err = t.fault_err;
        return t.fault;
    }
    return r;
}

/** All items in one transaction. @param[out] begun  the transaction could be begun */
static int attempt(struct ql_store *s, struct ql_store_item *const *items, size_t count, bool *begun,
                   struct ql_err *err)
{
    int r;

    *begun = false;
    if (s->is_broken) {
        *err = s->broken_err;
        return QL_ECORRUPT;
    }
    r = s->backend->begin(s->plugin, s->db, err);
    note_damage(s, r, err);
    if (r < 0)
        return r;
    *begun = true;
    for (size_t i = 0; i < count; i++) {
        r = call(s, items[i], err);
        if (r < 0) {
            s->backend->rollback(s->plugin, s->db);
            return r;
        }
    }
    r = s->backend->commit(s->plugin, s->db, err);
    note_damage(s, r, err);
    if (r < 0)
        s->backend->rollback(s->plugin, s->db);
    return r < 0 ? r : QL_OK;
}

/** Sleep before the next try. @return false when the time for tries is over */
static bool pause_before_retry(struct ql_store *s, int64_t *pause_ms, int64_t deadline_ns)
{
    struct timespec ts;
    int64_t now = ql_mono_ns();

    pthread_mutex_lock(&s->lock);
    if (s->is_closing && deadline_ns > s->closing_ns + QL_STORE_CLOSE_MS * QL_NS_PER_MS)
        deadline_ns = s->closing_ns + QL_STORE_CLOSE_MS * QL_NS_PER_MS;
    pthread_mutex_unlock(&s->lock);
    if (s->is_away || now + *pause_ms * QL_NS_PER_MS > deadline_ns)
        return false;
    ts.tv_sec = (time_t)(*pause_ms / 1000);
    ts.tv_nsec = (long)(*pause_ms % 1000 * QL_NS_PER_MS);
    (void)nanosleep(&ts, NULL); /* a shorter sleep is as good */
    *pause_ms = *pause_ms * 2 < QL_STORE_BACKOFF_MS ? *pause_ms * 2 : QL_STORE_BACKOFF_MS;
    return true;
}

static void note_away(struct ql_store *s, const struct ql_err *err)
{
    if (!s->is_away)
        ql_log(QL_ERROR, "store", "%s cannot be written, transactions fail until it can: %s", s->name,
               err->text);
    s->is_away = true;
}

static void note_back(struct ql_store *s)
{
    if (s->is_away)
        ql_log(QL_INFO, "store", "%s can be written again", s->name);
    s->is_away = false;
}

/** Bring items to a result: all at once, or, when that fails, one by one. */
static void run(struct ql_store *s, struct ql_store_item *const *items, size_t count, int64_t deadline_ns)
{
    struct ql_err err = QL_ERR_INIT;
    int64_t pause_ms = FIRST_BACKOFF_MS;
    bool begun = false;
    int tries = 0, r;

    for (;;) {
        err = (struct ql_err)QL_ERR_INIT;
        r = attempt(s, items, count, &begun, &err);
        if (!begun && deadline_ns > ql_mono_ns() + QL_STORE_AWAY_MS * QL_NS_PER_MS)
            deadline_ns = ql_mono_ns() + QL_STORE_AWAY_MS * QL_NS_PER_MS;
        if (r == QL_OK) {
            note_back(s);
            for (size_t i = 0; i < count; i++)
                items[i]->result = QL_OK;
            return;
        }
        if (r != QL_EAGAIN || (begun && count > 1 && ++tries >= GROUP_TRIES))
            break;
        if (!pause_before_retry(s, &pause_ms, deadline_ns)) {
            note_away(s, &err);
            for (size_t i = 0; i < count; i++)
                item_fail(items[i], r, &err);
            return;
        }
    }
    if (count == 1) {
        item_fail(items[0], r, &err);
        return;
    }
    for (size_t i = 0; i < count; i++)
        run(s, &items[i], 1, deadline_ns);
}

static void to_timespec(int64_t ns, struct timespec *ret)
{
    ret->tv_sec = (time_t)(ns / QL_NS_PER_S);
    ret->tv_nsec = (long)(ns % QL_NS_PER_S);
}

/** Wait for work and take it. @return false: closing, and nothing is left */
static bool take(struct ql_store *s, struct group *g, size_t *progress)
{
    struct timespec until;
    int64_t due = 0;

    g->count = 0;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        due = ql_progress_due(s);
        if (!TAILQ_EMPTY(&s->queue) || s->is_closing || due <= ql_mono_ns())
            break;
        if (due == INT64_MAX) {
            pthread_cond_wait(&s->work, &s->lock);
        } else {
            to_timespec(due, &until);
            (void)pthread_cond_timedwait(&s->work, &s->lock, &until); /* the loop looks at the clock itself */
        }
    }
    while (g->count < QL_STORE_BATCH_MAX && !TAILQ_EMPTY(&s->queue)) {
        struct ql_store_item *item = TAILQ_FIRST(&s->queue);

        TAILQ_REMOVE(&s->queue, item, link);
        g->items[g->count++] = item;
    }
    /* Progress travels with whatever is committed anyway, unless it has just failed. */
    *progress = s->progress_after_ns <= ql_mono_ns() || s->is_closing ? ql_progress_take(s) : 0;
    pthread_mutex_unlock(&s->lock);
    return g->count || *progress;
}

static void finish(struct ql_store *s, const struct group *g, size_t count)
{
    const uint64_t one = 1;
    bool wake = false;

    if (!count)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        struct ql_store_item *item = g->items[i];

        if (item->is_sync) {
            item->is_finished = true;
            continue;
        }
        TAILQ_INSERT_TAIL(&s->finished, item, link);
        wake = true;
    }
    atomic_fetch_sub(&s->pending, count);
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    if (wake)
        (void)!write(s->done_fd, &one, sizeof one); /* full means that the loop has been told already */
}

static void serve(struct ql_store *s)
{
    struct group g;
    size_t progress = 0;

    while (take(s, &g, &progress)) {
        struct ql_store_item batch = {.fn = ql_progress_write, .arg = s};
        int64_t deadline = ql_mono_ns() + QL_STORE_RETRY_MS * QL_NS_PER_MS;
        size_t count = g.count;

        /* First: what the queue holds was asked for later than what progress tells. */
        if (progress) {
            memmove(&g.items[1], &g.items[0], count * sizeof g.items[0]);
            g.items[0] = &batch;
            g.count++;
        }
        run(s, g.items, g.count, deadline);
        if (progress) {
            ql_progress_end(s, batch.result, batch.err);
            free(batch.err);
            memmove(&g.items[0], &g.items[1], count * sizeof g.items[0]);
        }
        finish(s, &g, count);
    }
}

/** Everything that touches the backend happens here: its functions are called from one thread. */
static void *store_main(void *arg)
{
    struct ql_store *s = arg;
    struct ql_err err = QL_ERR_INIT;
    int r;

    r = s->backend->open(s->plugin, s->url, s->state_dir, &s->db, &err);
    if (r == QL_OK)
        r = s->backend->tables(s->plugin, s->db, s->schema, &err);

    pthread_mutex_lock(&s->lock);
    s->is_open = true;
    s->open_result = r;
    s->open_err = err;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);

    if (r == QL_OK)
        serve(s);
    if (s->db)
        s->backend->close(s->plugin, s->db);
    s->db = NULL;
    return NULL;
}

/* -- the loop thread -------------------------------------------------------------------------------------------- */

static void deliver(struct ql_store *s)
{
    struct ql_store_items ready = TAILQ_HEAD_INITIALIZER(ready);

    pthread_mutex_lock(&s->lock);
    TAILQ_CONCAT(&ready, &s->finished, link);
    pthread_mutex_unlock(&s->lock);
    while (!TAILQ_EMPTY(&ready)) {
        struct ql_store_item *item = TAILQ_FIRST(&ready);
        struct ql_err none = QL_ERR_INIT;

        TAILQ_REMOVE(&ready, item, link);
        none.code = item->result;
        if (item->done)
            item->done(item->result, item->err ? item->err : &none, item->arg);
        free(item->err);
        free(item);
    }
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count = 0;

    (void)what;
    (void)!read(fd, &count, sizeof count); /* empty: an earlier call delivered it all */
    deliver(arg);
}

static struct ql_store *store_new(const struct ql_store_config *config)
{
    struct ql_store *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;

    if (!s)
        return NULL;
    s->done_fd = -1;
    s->backend = (const struct ql_store_backend *)(const void *)config->backend.head;
    s->plugin = config->backend.plugin;
    s->schema = config->schema;
    TAILQ_INIT(&s->queue);
    TAILQ_INIT(&s->finished);
    ql_progress_init(s);
    (void)pthread_mutex_init(&s->lock,
                             NULL); /* cannot fail with these attributes on Linux, nor can the next */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->work, &attr);
    (void)pthread_cond_init(&s->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    return s;
}

static void store_free(struct ql_store *s)
{
    if (s->done_event)
        event_free(s->done_event);
    ql_closep(&s->done_fd);
    ql_progress_free(s);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s->state_dir);
    free(s->name);
    free(s);
}
QL_DEFINE_CLEANUP(struct ql_store, store_free)

static int store_start(struct ql_store *s, struct ql_err *err)
{
    int r = pthread_create(&s->thread, NULL, store_main, s);

    if (r)
        return ql_fail(err, QL_ENOMEM, "store thread cannot be started: %s", strerror(r));
    pthread_mutex_lock(&s->lock);
    while (!s->is_open)
        pthread_cond_wait(&s->idle, &s->lock);
    r = s->open_result;
    pthread_mutex_unlock(&s->lock);
    if (r == QL_OK)
        return QL_OK;
    (void)pthread_join(s->thread, NULL); /* it ends by itself after a failure */
    return ql_fail(err, r, "store \"%s\": %s", s->name, s->open_err.text);
}

int ql_store_open(const struct ql_store_config *config, struct ql_store **ret, struct ql_err *err)
{
    ql_auto(store_freep) struct ql_store *s = NULL;
    int r;

    if (!config->backend.head || config->backend.head->kind != QL_KIND_STORE)
        return ql_fail(err, QL_EINTERNAL, "no store backend given");
    s = store_new(config);
    if (!s)
        return ql_fail_nomem(err);
    s->url = strdup(config->url);
    s->state_dir = strdup(config->state_dir);
    s->name = name_of(config->url);
    if (!s->url || !s->state_dir || !s->name)
        return ql_fail_nomem(err);
    s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->done_fd < 0)
        return ql_fail(err, QL_EIO, "eventfd: %s", strerror(errno));
    if (config->base) {
        s->done_event = event_new(config->base, s->done_fd, EV_READ | EV_PERSIST, on_done, s);
        if (!s->done_event || event_add(s->done_event, NULL) < 0)
            return ql_fail_nomem(err);
    }
    r = store_start(s, err);
    if (r < 0)
        return r;
    *ret = ql_steal(s);
    return QL_OK;
}

void ql_store_close(struct ql_store *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->is_closing = true;
    s->closing_ns = ql_mono_ns();
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL); /* joined once, here */
    deliver(s);
    store_free(s);
}

static int enqueue(struct ql_store *s, struct ql_store_item *item, struct ql_err *err)
{
    int r = QL_OK;

    pthread_mutex_lock(&s->lock);
    if (s->is_closing) {
        r = ql_fail(err, QL_ECLOSED, "the store is being closed");
    } else if (atomic_load(&s->pending) >= QL_STORE_QUEUE_MAX) {
        r = ql_fail(err, QL_EFULL, "%d transactions wait for the store already", QL_STORE_QUEUE_MAX);
    } else {
        TAILQ_INSERT_TAIL(&s->queue, item, link);
        atomic_fetch_add(&s->pending, 1);
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

int ql_store_submit(struct ql_store *s, ql_txn_fn fn, ql_txn_done done, void *arg, struct ql_err *err)
{
    ql_auto_free struct ql_store_item *item = NULL;
    int r;

    if (!s->done_event)
        return ql_fail(err, QL_EINTERNAL, "the store has no event loop to answer on");
    item = calloc(1, sizeof *item);
    if (!item)
        return ql_fail_nomem(err);
    item->fn = fn;
    item->done = done;
    item->arg = arg;
    r = enqueue(s, item, err);
    if (r < 0)
        return r;
    (void)ql_steal(item); /* the queue's */
    return QL_OK;
}

int ql_store_run(struct ql_store *s, ql_txn_fn fn, void *arg, struct ql_err *err)
{
    struct ql_store_item item = {.fn = fn, .arg = arg, .is_sync = true};
    int r = enqueue(s, &item, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    while (!item.is_finished)
        pthread_cond_wait(&s->idle, &s->lock);
    pthread_mutex_unlock(&s->lock);
    if (item.result < 0)
        (void)ql_fail(err, item.result, "%s", item.err ? item.err->text : "out of memory");
    free(item.err);
    return item.result;
}

size_t ql_store_pending(const struct ql_store *s)
{
    return atomic_load(&s->pending);
}
