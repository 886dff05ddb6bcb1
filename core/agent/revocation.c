/* SPDX-License-Identifier: Apache-2.0 */
#include "revocation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "action_run.h"
#include "clock.h"
#include "error.h"
#include "file.h"
#include "log.h"
#include "lookup.h"
#include "parse.h"
#include "seen.h"

enum {
    NAME_ROOM = 17 /* first digits of a digest, as text */
};

/** A message that waits or is being acted on. */
struct waiting {
    TAILQ_ENTRY(waiting) next;
    struct ql_notice *notice;
    char *path; /* its file in the folder */
};

struct ql_revocation {
    struct ql_agent *agent;
    char *dir, *running; /* folder of messages that were taken; file that names the action that runs */
    struct ql_seen *seen;
    TAILQ_HEAD(, waiting) queue;
    size_t count;
    uint64_t number; /* of the next message's file */
    struct event *again;

    /* The message that is being acted on is the first of the queue. */
    bool is_busy;
    struct ql_action_names names;
    size_t at;     /* action that runs */
    size_t failed; /* actions that did */
    int64_t started_ns;
    struct ql_action_run *run;
};

static const char *name_of(const struct waiting *w, char *out)
{
    return ql_notice_name(w->notice, out);
}

static void waiting_free(struct waiting *w)
{
    ql_notice_free(w->notice);
    free(w->path);
    free(w);
}

static void wait_ms(struct ql_revocation *r, unsigned ms)
{
    const struct timeval pause = ql_timeval(ms * QL_NS_PER_MS);

    if (event_add(r->again, &pause) != 0)
        ql_log(QL_ERROR, "revocation", "no memory for a timer: messages wait for the next one");
}

/* ---- one message ---- */

/* It is through: its file goes, and then it is the next one's turn. */
static void finish(struct ql_revocation *r)
{
    struct waiting *w = TAILQ_FIRST(&r->queue);
    char name[NAME_ROOM];

    if (unlink(w->path) != 0)
        ql_log(QL_WARN, "revocation", "message=%s: %s: %s", name_of(w, name), w->path, strerror(errno));
    (void)unlink(r->running); /* absent when no action was run */
    ql_log(QL_INFO, "revocation",
           "message=%s agent=%s event=%s: done: %zu of %zu actions run, %zu failed, %" PRId64 " ms",
           name_of(w, name), w->notice->agent_id, w->notice->event_id, r->at, r->names.count, r->failed,
           (ql_mono_ns() - r->started_ns) / QL_NS_PER_MS);
    ql_action_names_done(&r->names);
    TAILQ_REMOVE(&r->queue, w, next);
    r->count--;
    waiting_free(w);
    r->is_busy = false;
    wait_ms(r, 0); /* from the loop: many that end at once must not pile up on the stack */
}

static void run_action(struct ql_revocation *r);

static void action_ended(void *arg, int result, const char *text)
{
    struct ql_revocation *r = arg;
    const struct waiting *w = TAILQ_FIRST(&r->queue);
    const char *action = r->names.names[r->at];
    char name[NAME_ROOM];

    r->run = NULL;
    r->at++;
    ql_log(result == QL_OK ? QL_INFO : QL_WARN, "revocation", "message=%s agent=%s action=%s: %s",
           name_of(w, name), w->notice->agent_id, action, text);
    if (result != QL_OK)
        r->failed++;
    if (result != QL_OK && r->at < r->names.count &&
        !ql_config_bool(r->agent->config, "agent", "revocation_actions_continue")) {
        ql_log(QL_WARN, "revocation",
               "message=%s: %zu further actions are not run (revocation_actions_continue is off)",
               name_of(w, name), r->names.count - r->at);
        finish(r);
        return;
    }
    run_action(r);
}

/* For the log after a crash: which action was running. Not synced: it has to outlive this process, not the machine. */
static void note_running(const struct ql_revocation *r, const char *action)
{
    ql_auto_close int fd = open(r->running, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || write(fd, action, strlen(action)) < 0)
        ql_log(QL_WARN, "revocation", "%s: %s", r->running, strerror(errno));
}

static void run_action(struct ql_revocation *r)
{
    struct ql_err err = QL_ERR_INIT;
    const char *action;

    if (r->at == r->names.count) {
        finish(r);
        return;
    }
    action = r->names.names[r->at];
    note_running(r, action);
    if (ql_action_run_start(r->agent, r->dir, action, TAILQ_FIRST(&r->queue)->notice, action_ended, r,
                            &r->run, &err) < 0)
        action_ended(r, err.code, err.text);
}

static void start_next(struct ql_revocation *r)
{
    const struct waiting *w = TAILQ_FIRST(&r->queue);
    struct ql_err err = QL_ERR_INIT;
    char name[NAME_ROOM];

    if (r->is_busy || !w)
        return;
    if (ql_seen_add(r->seen, w->notice->digest, w->notice->time_ns, &err) < 0) {
        /* Not on disk, not run: it could be run twice. */
        ql_log(QL_ERROR, "revocation", "message=%s: not acted on yet, it cannot be remembered: %s",
               name_of(w, name), err.text);
        wait_ms(r, QL_REVOCATION_RETRY_S * 1000);
        return;
    }
    r->is_busy = true;
    r->at = r->failed = 0;
    r->started_ns = ql_mono_ns();
    if (ql_action_names_of(r->agent, &r->names, &err) < 0)
        ql_log(QL_WARN, "revocation", "message=%s: %s", name_of(w, name), err.text);
    run_action(r);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    start_next(arg);
}

/* ---- taking ---- */

static bool is_waiting(const struct ql_revocation *r, const struct ql_notice *n)
{
    const struct waiting *w;

    TAILQ_FOREACH(w, &r->queue, next)
        if (memcmp(w->notice->digest, n->digest, sizeof n->digest) == 0)
            return true;
    return false;
}

/* Signature, meaning, replay. @return true: act on it */
static bool is_wanted(const struct ql_revocation *r, struct ql_notice *n, const char *peer)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free char *path =
        ql_agent_path(r->agent, "revocation_cert", "secure/unzipped/RevocationNotifier-cert.crt");
    struct ql_err err = QL_ERR_INIT;
    enum ql_seen_is seen;
    char name[NAME_ROOM];

    (void)ql_notice_name(n, name); /* fills name */
    if (!path || ql_notice_cert(path, &cert, &err) < 0) {
        ql_log(QL_WARN, "revocation", "peer=%s message=%s: dropped: no revocation certificate is loaded: %s",
               peer, name, path ? err.text : "out of memory");
        return false;
    }
    if (ql_notice_check(n, cert, &err) < 0 || ql_notice_read(n, &err) < 0) {
        ql_log(QL_WARN, "revocation", "peer=%s message=%s: dropped: %s", peer, name, err.text);
        return false;
    }
    seen = is_waiting(r, n) ? QL_SEEN_KNOWN : ql_seen_look(r->seen, n->digest, n->time_ns, ql_now_ns());
    if (seen != QL_SEEN_NEW)
        ql_log(seen == QL_SEEN_OLD ? QL_WARN : QL_INFO, "revocation",
               "peer=%s message=%s agent=%s: dropped: %s", peer, name, n->agent_id,
               seen == QL_SEEN_OLD ? "older than what is remembered of earlier messages" : "acted on before");
    return seen == QL_SEEN_NEW;
}

static int enqueue(struct ql_revocation *r, struct ql_notice **n, const char *path, struct ql_err *err)
{
    struct waiting *w = calloc(1, sizeof *w);

    if (!w || !(w->path = strdup(path))) {
        free(w);
        return ql_fail_nomem(err);
    }
    w->notice = ql_steal(*n);
    TAILQ_INSERT_TAIL(&r->queue, w, next);
    r->count++;
    return QL_OK;
}

/* On disk before it is acknowledged. */
static int keep(struct ql_revocation *r, struct ql_notice **n, struct ql_err *err)
{
    ql_auto_free char *body = ql_notice_body(*n), *path = NULL;
    int e;

    if (r->count >= QL_REVOCATIONS_WAITING)
        return ql_fail(err, QL_EFULL, "%d messages wait already", QL_REVOCATIONS_WAITING);
    if (!body || asprintf(&path, "%s/%016" PRIx64 ".json", r->dir, r->number) < 0)
        return ql_fail_nomem(err);
    e = ql_file_write(path, 0600, body, strlen(body), err);
    if (e == QL_OK) {
        r->number++;
        e = enqueue(r, n, path, err);
    }
    return e;
}

enum ql_revocation_taken ql_revocation_take(struct ql_revocation *r, const void *body, size_t len,
                                            const char *peer, struct ql_err *err)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    char name[NAME_ROOM];

    if (ql_notice_parse(body, len, &n, err) < 0)
        return QL_REVOCATION_BAD;
    if (!is_wanted(r, n, peer))
        return QL_REVOCATION_DROPPED;
    ql_log(QL_WARN, "revocation", "peer=%s message=%s type=%s agent=%s event=%s severity=%s: received", peer,
           ql_notice_name(n, name), n->type, n->agent_id, n->event_id, n->severity);
    if (keep(r, &n, err) < 0) {
        ql_log(QL_ERROR, "revocation", "message=%s: not taken, the sender has to repeat it: %s", name,
               err->text);
        return QL_REVOCATION_BUSY;
    }
    start_next(r);
    return QL_REVOCATION_TAKEN;
}

void ql_agent_post_revocation(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;
    const uint8_t *body = ql_req_body(req, &len);

    if (!ql_req_is_json(req)) {
        ql_req_replyf(req, 400, "Json deserialize error: Content-Type is not application/json");
        return;
    }
    switch (ql_revocation_take(a->revocation, body, len, ql_req_peer(req), &err)) {
    case QL_REVOCATION_TAKEN:
    case QL_REVOCATION_DROPPED: /* says nothing of what is known here */
        ql_req_reply(req, 200, NULL, json_null());
        break;
    case QL_REVOCATION_BUSY:
        ql_req_replyf(req, 503, "Revocation cannot be kept now");
        break;
    case QL_REVOCATION_BAD:
        ql_req_replyf(req, 400, "Json deserialize error: %s", err.text);
        break;
    }
}

/* ---- start ---- */

static int is_message(const struct dirent *d)
{
    return strlen(d->d_name) == 21 && strcmp(d->d_name + 16, ".json") == 0 &&
           strspn(d->d_name, "0123456789abcdef") == 16;
}

/* Files of actions that a crash left behind. */
static void remove_leftovers(const struct ql_revocation *r)
{
    DIR *d = opendir(r->dir);
    const struct dirent *entry;

    while (d && (entry = readdir(d)))
        if (strncmp(entry->d_name, "event-", 6) == 0 || strncmp(entry->d_name, "job-", 4) == 0)
            (void)unlinkat(dirfd(d), entry->d_name, 0); /* tried again at the next start */
    if (d)
        (void)closedir(d); /* read only */
}

/* Signed and checked when it was taken; the folder is ours. */
static int read_message(const char *path, struct ql_notice **ret, struct ql_err *err)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    ql_auto_free uint8_t *body = NULL;
    size_t len = 0;
    int e = ql_file_read(path, 2 * QL_NOTICE_MAX, &body, &len, err);

    if (e == QL_OK)
        e = ql_notice_parse(body, len, &n, err);
    if (e == QL_OK)
        e = ql_notice_read(n, err);
    if (e == QL_OK)
        *ret = ql_steal(n);
    return e;
}

static void say_cut_short(const struct ql_revocation *r, const struct ql_notice *n)
{
    ql_auto_free uint8_t *action = NULL;
    size_t len = 0;
    char name[NAME_ROOM];

    (void)ql_file_read(r->running, QL_ACTION_NAME_MAX, &action, &len, NULL); /* none: not known */
    ql_log(QL_WARN, "revocation",
           "message=%s agent=%s action=%s: cut short by the end of an earlier run; it and those after it are "
           "not repeated",
           ql_notice_name(n, name), n->agent_id, action ? (const char *)action : "?");
}

static int take_left(struct ql_revocation *r, const char *file, struct ql_err *err)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    ql_auto_free char *path = ql_path_join(r->dir, file);
    struct ql_err why = QL_ERR_INIT;
    int e;

    if (!path)
        return ql_fail_nomem(err);
    r->number = strtoull(file, NULL, 16) + 1; /* 16 hex digits: is_message() */
    e = read_message(path, &n, &why);
    if (e == QL_OK && ql_seen_look(r->seen, n->digest, n->time_ns, ql_now_ns()) == QL_SEEN_NEW)
        return enqueue(r, &n, path, err);
    if (e == QL_OK)
        say_cut_short(r, n);
    else
        ql_log(QL_WARN, "revocation", "%s: cannot be read, removed: %s", path, why.text);
    (void)unlink(path); /* tried again at the next start */
    return QL_OK;
}

static int take_all_left(struct ql_revocation *r, struct ql_err *err)
{
    struct dirent **files = NULL;
    int count = scandir(r->dir, &files, is_message, alphasort), e = QL_OK;

    if (count < 0)
        return ql_fail(err, QL_EIO, "%s: %s", r->dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (e == QL_OK)
            e = take_left(r, files[i]->d_name, err);
        free(files[i]);
    }
    free(files);
    return e;
}

int ql_revocation_new(struct ql_agent *a, struct ql_revocation **ret, struct ql_err *err)
{
    struct ql_revocation *r = calloc(1, sizeof *r);
    ql_auto_free char *seen = ql_path_join(a->dir, "revocations/seen");
    int e = QL_OK;

    if (!r)
        return ql_fail_nomem(err);
    r->agent = a;
    TAILQ_INIT(&r->queue);
    r->dir = ql_path_join(a->dir, "revocations");
    r->running = ql_path_join(a->dir, "revocations/running");
    r->again = evtimer_new(a->base, on_again, r);
    if (!seen || !r->dir || !r->running || !r->again)
        e = ql_fail_nomem(err);
    if (e == QL_OK)
        e = ql_dir_make(r->dir, 0700, err);
    if (e == QL_OK)
        e = ql_seen_open(seen, &r->seen, err);
    if (e == QL_OK) {
        remove_leftovers(r);
        e = take_all_left(r, err);
    }
    if (e < 0) {
        ql_revocation_free(r);
        return e;
    }
    (void)unlink(r->running); /* absent but after a crash */
    if (ql_config_bool(a->config, "agent", "enable_revocation_notifications"))
        ql_log(QL_WARN, "revocation",
               "enable_revocation_notifications: ZeroMQ is not listened to; verifiers tell agents "
               "by their notifier agent");
    start_next(r);
    *ret = r;
    return QL_OK;
}

void ql_revocation_free(struct ql_revocation *r)
{
    struct waiting *w;

    if (!r)
        return;
    ql_action_run_free(r->run);
    while ((w = TAILQ_FIRST(&r->queue))) {
        TAILQ_REMOVE(&r->queue, w, next);
        waiting_free(w);
    }
    ql_action_names_done(&r->names);
    if (r->again)
        event_free(r->again);
    ql_seen_free(r->seen);
    free(r->dir);
    free(r->running);
    free(r);
}
