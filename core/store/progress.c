/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "internal.h"
#include "log.h"
#include "parse.h"

enum {
    FIRST_BUCKETS = 1024,
    PROGRESS_GROUP = 128 /* records that the backend is given at once */
};

static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a; ids come from admins, none is chosen to collide */

    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static struct ql_progress **find(struct ql_progress_map *m, const char *id)
{
    struct ql_progress **at = NULL;

    if (!m->bucket_count)
        return NULL;
    at = &m->buckets[hash(id) & (m->bucket_count - 1)];
    while (*at && strcmp((*at)->p.agent_id, id) != 0)
        at = &(*at)->chain;
    return *at ? at : NULL;
}

/** Room for one more; a map that cannot grow still takes it, with longer chains. @return false: no memory at all */
static bool grow(struct ql_progress_map *m)
{
    size_t count = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
    struct ql_progress **buckets = NULL, *e = NULL;

    if (m->count < m->bucket_count)
        return true;
    buckets = calloc(count, sizeof(*buckets));
    if (!buckets)
        return m->bucket_count > 0;
    TAILQ_FOREACH(e, &m->list, order) {
        size_t b = hash(e->p.agent_id) & (count - 1);

        e->chain = buckets[b];
        buckets[b] = e;
    }
    free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
    return true;
}

static void chain_in(struct ql_progress_map *m, struct ql_progress *e)
{
    size_t b = hash(e->p.agent_id) & (m->bucket_count - 1);

    e->chain = m->buckets[b];
    m->buckets[b] = e;
    m->count++;
}

static void take_out(struct ql_progress_map *m, struct ql_progress **at)
{
    struct ql_progress *e = *at;

    *at = e->chain;
    TAILQ_REMOVE(&m->list, e, order);
    m->count--;
}

void ql_progress_init(struct ql_store *s)
{
    TAILQ_INIT(&s->waiting.list);
    TAILQ_INIT(&s->taken);
}

static void free_list(struct ql_progress_list *list)
{
    while (!TAILQ_EMPTY(list)) {
        struct ql_progress *e = TAILQ_FIRST(list);

        TAILQ_REMOVE(list, e, order);
        free(e);
    }
}

void ql_progress_free(struct ql_store *s)
{
    free_list(&s->waiting.list);
    free_list(&s->taken);
    free(s->waiting.buckets);
}

int64_t ql_progress_due(const struct ql_store *s)
{
    const struct ql_progress *oldest = TAILQ_FIRST(&s->waiting.list);
    int64_t due = 0;

    if (!oldest)
        return INT64_MAX;
    due = oldest->queued_ns + QL_STORE_BATCH_MS * QL_NS_PER_MS;
    return due > s->progress_after_ns ? due : s->progress_after_ns;
}

size_t ql_progress_take(struct ql_store *s)
{
    size_t count = 0;

    while (count < QL_STORE_BATCH_MAX && !TAILQ_EMPTY(&s->waiting.list)) {
        struct ql_progress *e = TAILQ_FIRST(&s->waiting.list);

        take_out(&s->waiting, find(&s->waiting, e->p.agent_id));
        TAILQ_INSERT_TAIL(&s->taken, e, order);
        count++;
    }
    return count;
}

/** Write some of what was taken. */
static int write_group(struct ql_txn *t, struct ql_progress **group, uint32_t count, struct ql_err *err)
{
    const struct ql_agent_progress *records[PROGRESS_GROUP] = {NULL};
    int32_t results[PROGRESS_GROUP] = {0};
    int r;

    for (uint32_t i = 0; i < count; i++)
        records[i] = &group[i]->p;
    r = ql_agents_progress_put(t, records, count, results, err);
    for (uint32_t i = 0; i < count; i++)
        /* Stale, or the agent is gone; or its own fault: then the next try goes without it, so that it does not hold up
         * the others. */
        if (results[i] == QL_ECONFLICT || results[i] == QL_ERANGE || results[i] == QL_ELIMIT)
            atomic_store(&group[i]->is_dropped, true);
    return r;
}

int ql_progress_write(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_store *s = arg;
    struct ql_progress *group[PROGRESS_GROUP] = {NULL}, *e = NULL;
    uint32_t count = 0;
    int r = QL_OK;

    /* The list does not change while it is written: others only mark entries. */
    TAILQ_FOREACH(e, &s->taken, order) {
        if (atomic_load(&e->is_dropped))
            continue;
        group[count++] = e;
        if (count == PROGRESS_GROUP) {
            r = write_group(t, group, count, err);
            count = 0;
        }
        if (r < 0)
            return r;
    }
    return count ? write_group(t, group, count, err) : QL_OK;
}

/** Copy a piece of a record into its memory. */
static const void *keep(char **at, const void *data, size_t len)
{
    char *to = *at;

    if (!data)
        return NULL;
    if (len)
        memcpy(to, data, len);
    to[len] = 0;
    *at += len + 1;
    return to;
}

static size_t text_room(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *keep_text(char **at, const char *text)
{
    return keep(at, text, text ? strlen(text) : 0);
}

static struct ql_progress *record(const struct ql_agent_progress *p)
{
    size_t room = text_room(p->agent_id) + text_room(p->hash_alg) + text_room(p->enc_alg) +
                  text_room(p->sign_alg) + text_room(p->clock) + text_room(p->public_key) +
                  (p->state ? p->state_len + 1 : 0);
    struct ql_progress *e = malloc(sizeof *e + room);
    char *at = NULL;

    if (!e)
        return NULL;
    memset(e, 0, sizeof *e);
    at = e->memory;
    e->p = *p;
    e->p.agent_id = keep_text(&at, p->agent_id);
    e->p.hash_alg = keep_text(&at, p->hash_alg);
    e->p.enc_alg = keep_text(&at, p->enc_alg);
    e->p.sign_alg = keep_text(&at, p->sign_alg);
    e->p.clock = keep_text(&at, p->clock);
    e->p.public_key = keep_text(&at, p->public_key);
    e->p.state = keep(&at, p->state, p->state_len);
    e->queued_ns = ql_mono_ns();
    return e;
}

/** What the newer record leaves unchanged may have been changed by the older one that was not written. */
static struct ql_agent_progress merge(const struct ql_agent_progress *older,
                                      const struct ql_agent_progress *newer)
{
    struct ql_agent_progress m = *newer;

    if (older->generation != newer->generation)
        return m;
    m.clock = newer->clock ? newer->clock : older->clock;
    m.public_key = newer->public_key ? newer->public_key : older->public_key;
    if (!newer->state && older->state) {
        m.state = older->state;
        m.state_len = older->state_len;
        m.state_number = older->state_number;
    }
    return m;
}

/** Put @p newer, completed by @p older, in the place of the waiting entry @p at; without memory, leave it there. */
static void replace(struct ql_store *s, struct ql_progress **at, const struct ql_progress *older,
                    const struct ql_agent_progress *newer)
{
    struct ql_agent_progress merged = merge(&older->p, newer);
    struct ql_progress *gone = *at, *e = record(&merged);

    if (!e)
        return;
    /* Nobody waits longer because news keep coming. */
    e->queued_ns = older->queued_ns < gone->queued_ns ? older->queued_ns : gone->queued_ns;
    TAILQ_INSERT_BEFORE(gone, e, order);
    take_out(&s->waiting, at);
    chain_in(&s->waiting, e);
    free(gone);
}

void ql_progress_end(struct ql_store *s, int result, const struct ql_err *err)
{
    struct ql_progress *e = NULL;
    bool is_data = result == QL_ERANGE || result == QL_ELIMIT;
    size_t lost = 0;

    if (result < 0)
        ql_log(is_data ? QL_ERROR : QL_WARN, "store", "%s: progress of attestations was not written: %s",
               s->name, err ? err->text : "out of memory");
    pthread_mutex_lock(&s->lock);
    if (result < 0)
        s->progress_after_ns = is_data ? 0 : ql_mono_ns() + QL_STORE_BACKOFF_MS * QL_NS_PER_MS;
    while ((e = TAILQ_LAST(&s->taken, ql_progress_list))) {
        struct ql_progress **newer = find(&s->waiting, e->p.agent_id);

        TAILQ_REMOVE(&s->taken, e, order);
        if (result == QL_OK || atomic_load(&e->is_dropped)) {
            free(e);
        } else if (newer) {
            replace(s, newer, e, &(*newer)->p);
            free(e);
        } else if (s->is_closing && !is_data) {
            lost++;
            free(e);
        } else {
            /* Back to the front, last one first: the order stays. */
            TAILQ_INSERT_HEAD(&s->waiting.list, e, order);
            chain_in(&s->waiting, e);
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (lost)
        ql_log(QL_WARN, "store", "%s: closed without the latest progress of %zu agents", s->name, lost);
}

void ql_agents_progress(struct ql_store *s, const struct ql_agent_progress *p)
{
    struct ql_progress *e = NULL, **old = NULL;

    pthread_mutex_lock(&s->lock);
    old = find(&s->waiting, p->agent_id);
    if (old) {
        replace(s, old, *old, p);
    } else {
        /* Without memory it is left out: the next quote brings the next record. */
        e = record(p);
        if (e && grow(&s->waiting)) {
            /* The thread sleeps until the oldest is due; only the first one is news to it. */
            bool is_first = TAILQ_EMPTY(&s->waiting.list);

            TAILQ_INSERT_TAIL(&s->waiting.list, e, order);
            chain_in(&s->waiting, e);
            if (is_first)
                pthread_cond_signal(&s->work);
            e = NULL;
        }
    }
    pthread_mutex_unlock(&s->lock);
    free(e);
}

void ql_agents_progress_drop(struct ql_store *s, const char *agent_id)
{
    struct ql_progress **at = NULL, *gone = NULL, *e = NULL;

    pthread_mutex_lock(&s->lock);
    at = find(&s->waiting, agent_id);
    if (at) {
        gone = *at;
        take_out(&s->waiting, at);
    }
    TAILQ_FOREACH(e, &s->taken, order)
        if (!strcmp(e->p.agent_id, agent_id))
            atomic_store(&e->is_dropped, true);
    pthread_mutex_unlock(&s->lock);
    free(gone);
}
