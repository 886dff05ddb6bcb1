/* SPDX-License-Identifier: Apache-2.0 */
#include "actiond.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "digest.h"
#include "error.h"
#include "file.h"
#include "frames.h"
#include "job.h"
#include "log.h"
#include "lookup.h"
#include "seen.h"

enum {
    LINES_MAX = 256
};

struct actiond {
    json_t *setup;
    struct event_base *base;
    struct ql_seen *seen; /* runs: an action for a message */
    int lock;
    struct ql_child *child;
    struct ql_child_end end; /* of the action that ran last */
    bool is_ended;
};

static const char *text_of(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);

    return json_is_string(value) ? json_string_value(value) : "";
}

/* Only root may have said what this file says. */
static int check_root_owned(const char *path, struct ql_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: %s", path, strerror(errno));
    if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return ql_fail(err, QL_EACCES, "%s: wanted one that root owns and nobody else may write", path);
    return QL_OK;
}

/* What the agent could replace proves nothing. The folders on the way count, too. */
static int check_whole_path(const char *option, const char *path, struct ql_err *err)
{
    char part[PATH_MAX];
    const size_t len = strlen(path);
    int r;

    if (path[0] != '/' || len >= sizeof part)
        return ql_fail(err, QL_ERANGE, "%s is not an absolute path", option);
    r = check_root_owned(path, err);
    for (size_t at = len; r == QL_OK && at > 1; at--) {
        struct stat st;

        if (path[at - 1] != '/')
            continue;
        memcpy(part, path, at);
        part[at] = '\0';
        /* As /tmp: root's and sticky, nobody replaces another's entries. */
        if (stat(part, &st) == 0 && st.st_uid == 0 && (st.st_mode & S_ISVTX))
            continue;
        r = check_root_owned(part, err);
    }
    return r;
}

static bool is_listed(const struct actiond *d, const char *name)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(d->setup, "actions"), i, item)
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
            return true;
    return false;
}

static int check_message(const struct actiond *d, struct ql_notice *n, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    const int64_t age = (QL_SEEN_DAYS * INT64_C(24) + QL_SEEN_SLACK_H) * 3600 * QL_NS_PER_S;
    const char *path = text_of(d->setup, "cert");
    int r = check_whole_path("revocation_cert", path, err);

    if (r == QL_OK)
        r = ql_notice_cert(path, &cert, err);
    if (r == QL_OK)
        r = ql_notice_check(n, cert, err);
    if (r == QL_OK)
        r = ql_notice_read(n, err);
    if (r == QL_OK && n->time_ns < ql_now_ns() - age)
        r = ql_fail(err, QL_ECONFLICT, "message is older than %d days", QL_SEEN_DAYS);
    return r;
}

/* ---- memory ---- */

/* Of one process: what another one remembers is not seen here. */
static int lock_folder(struct actiond *d, const char *folder, struct ql_err *err)
{
    d->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->lock < 0)
        return ql_fail(err, QL_EIO, "%s: %s", folder, strerror(errno));
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
        return ql_fail(err, QL_EAGAIN,
                       "%s is used by another quicklime-actiond: give each agent an actiond_dir", folder);
    return QL_OK;
}

static int open_memory(struct actiond *d, struct ql_err *err)
{
    const char *folder = text_of(d->setup, "memory");
    ql_auto_free char *path = NULL;
    int r;

    if (asprintf(&path, "%s/seen", folder) < 0) {
        path = NULL; /* undefined after a failure */
        return ql_fail_nomem(err);
    }
    r = ql_dir_make(folder, 0700, err);
    if (r == QL_OK)
        r = check_whole_path("actiond_dir", folder, err);
    if (r == QL_OK)
        r = lock_folder(d, folder, err);
    return r == QL_OK ? ql_seen_open(path, &d->seen, err) : r;
}

/* On disk before the action starts: one that a crash cuts short is not repeated. */
static int remember(struct actiond *d, const struct ql_notice *n, const char *name, struct ql_err *err)
{
    const struct ql_piece piece = {name, strlen(name)};
    uint8_t digest[QL_SEEN_DIGEST_LEN];

    if (ql_hmac(QL_SHA256, n->digest, sizeof n->digest, &piece, 1, digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "SHA-256 failed");
    switch (ql_seen_look(d->seen, digest, n->time_ns, ql_now_ns())) {
    case QL_SEEN_NEW:
        return ql_seen_add(d->seen, digest, n->time_ns, err);
    case QL_SEEN_KNOWN:
        return ql_fail(err, QL_EEXIST, "was run for this message before");
    case QL_SEEN_OLD:
    default:
        return ql_fail(err, QL_ECONFLICT, "message is older than what is remembered");
    }
}

/* ---- running ---- */

static char *job_of(const struct actiond *d, const char *name, const char *file, const struct ql_notice *n)
{
    const json_t *lines = json_object_get(d->setup, "settings");
    const char *texts[LINES_MAX];
    size_t count = 0;
    ql_auto_json json_t *settings = NULL;

    for (size_t i = 0; i < json_array_size(lines) && count < LINES_MAX; i++)
        if (json_is_string(json_array_get(lines, i)))
            texts[count++] = json_string_value(json_array_get(lines, i));
    settings = ql_job_settings(name, texts, count);
    return settings ? ql_job_text(&(struct ql_job){
                          .file = file,
                          .site = QL_SITE_PRIVILEGED,
                          .notice = n,
                          .work_dir = QL_ACTIOND_DIR,
                          .certificate = text_of(d->setup, "certificate"),
                          .settings = settings,
                          .exec = json_object_get(d->setup, "exec"),
                          .files = json_object_get(d->setup, "files"),
                          .http = json_object_get(d->setup, "http"),
                          .http_ca = json_object_get(d->setup, "http_ca"),
                          .timeout_ms =
                              (unsigned)json_integer_value(json_object_get(d->setup, "timeout_s")) * 1000,
                          .attempt = 1,
                      })
                    : NULL;
}

static void child_ended(const struct ql_child_end *end, void *arg)
{
    struct actiond *d = arg;

    d->end = *end;
    d->is_ended = true;
    d->child = NULL;                     /* frees itself */
    (void)event_base_loopbreak(d->base); /* the loop looks anyway */
}

static int run_and_wait(struct actiond *d, const struct ql_child_config *config, struct ql_err *err)
{
    char text[64];
    int r = ql_child_start(config, child_ended, d, &d->child, err);

    d->is_ended = false;
    while (r == QL_OK && !d->is_ended)
        if (event_base_loop(d->base, EVLOOP_ONCE) != 0)
            r = ql_fail(err, QL_EINTERNAL, "the event loop failed");
    ql_child_free(d->child);
    d->child = NULL;
    if (r == QL_OK && !ql_child_ok(&d->end))
        r = ql_fail(err, d->end.timed_out ? QL_ETIMEOUT : QL_EIO, "%s", ql_child_end_text(&d->end, text));
    return r;
}

static int run_file(struct actiond *d, const char *name, const struct ql_action_file *file,
                    const struct ql_notice *n, struct ql_err *err)
{
    const bool is_runner = file->kind == QL_ACTION_LUA || file->kind == QL_ACTION_SO;
    ql_auto_free char *text = is_runner ? job_of(d, name, file->path, n) : ql_json_text(n->json),
                      *input = NULL;
    const char *argv[3] = {is_runner ? text_of(d->setup, "runner") : file->path, NULL, NULL};
    const struct ql_child_config config = {
        .base = d->base,
        .argv = argv,
        .cwd = QL_ACTIOND_DIR,
        .area = "action",
        .label = name,
        .timeout_ms = (unsigned)json_integer_value(json_object_get(d->setup, "timeout_s")) * 1000,
        .fd = -1,
    };
    char random[17];
    int r;

    if (file->kind == QL_ACTION_PYTHON)
        return ql_fail(err, QL_EUNSUPPORTED, "actions of Python are not run as root");
    ql_random_alnum(random, sizeof random - 1);
    if (!text || asprintf(&input, "%s/%s.json", QL_ACTIOND_DIR, random) < 0) {
        input = NULL; /* undefined after a failure */
        return ql_fail_nomem(err);
    }
    argv[1] = input;
    r = ql_dir_make(QL_ACTIOND_DIR, 0700, err);
    if (r == QL_OK)
        r = check_root_owned(QL_ACTIOND_DIR, err);
    if (r == QL_OK)
        r = ql_file_write(input, 0600, text, strlen(text), err);
    if (r == QL_OK)
        r = run_and_wait(d, &config, err);
    (void)unlink(input); /* not there when it could not be written */
    return r;
}

static int run_request(struct actiond *d, const json_t *frame, struct ql_err *err)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    const char *name = text_of(frame, "name"), *body = text_of(frame, "body");
    const struct ql_action_dirs dirs = {.configured = text_of(d->setup, "dir")};
    struct ql_action_file file;
    int r;

    if (!is_listed(d, name))
        return ql_fail(err, QL_EACCES, "is not among privileged_actions");
    r = ql_notice_parse(body, strlen(body), &n, err);
    if (r == QL_OK)
        r = check_message(d, n, err);
    if (r == QL_OK)
        r = check_root_owned(dirs.configured, err);
    if (r == QL_OK)
        r = ql_action_find(&dirs, name, &file, err);
    if (r == QL_OK)
        r = check_root_owned(file.path, err);
    if (r == QL_OK)
        r = remember(d, n, name, err);
    return r == QL_OK ? run_file(d, name, &file, n, err) : r;
}

/* ---- serving ---- */

static int answer(int sock, int code, const char *text)
{
    ql_auto_json json_t *j = json_pack("{s:i, s:s}", "code", code, "text", text);
    ql_auto_free char *out = j ? ql_json_text(j) : NULL;

    return out ? ql_frame_write(sock, out) : -1;
}

/* @return 1: read, 0: closed, -1: broken */
static int read_object(int sock, json_t **ret)
{
    ql_auto_free char *text = NULL;
    size_t len = 0;
    int r = ql_frame_read(sock, QL_ACTIOND_FRAME_MAX, &text, &len);

    if (r == 1 && ql_json_parse_object(text, len, QL_ACTIOND_FRAME_MAX, ret, NULL) < 0)
        return -1;
    return r;
}

static int serve(struct actiond *d, int sock)
{
    struct ql_err memory = QL_ERR_INIT;
    int r = read_object(sock, &d->setup);

    if (r == 1 && open_memory(d, &memory) < 0) {
        ql_log(QL_ERROR, "action", "no privileged action is run: %s", memory.text);
        r = -1;
    }
    while (r == 1) {
        ql_auto_json json_t *frame = NULL;
        struct ql_err err = QL_ERR_INIT;
        int code;

        r = read_object(sock, &frame);
        if (r != 1)
            break;
        code = run_request(d, frame, &err);
        ql_log(code == QL_OK ? QL_INFO : QL_WARN, "action", "action=%.128s: %s", text_of(frame, "name"),
               code == QL_OK ? "done, as root" : err.text);
        if (answer(sock, code, err.text) != 0)
            r = -1;
    }
    return r == 0 ? 0 : 1;
}

int ql_actiond_serve(int sock)
{
    struct actiond *d = calloc(1, sizeof *d);
    int r = 1;

    if (d)
        d->lock = -1;
    if (d && fcntl(sock, F_SETFD, FD_CLOEXEC) == 0 && (d->base = event_base_new())) {
        r = serve(d, sock);
        event_base_free(d->base);
    }
    if (d) {
        json_decref(d->setup);
        ql_seen_free(d->seen);
        ql_closep(&d->lock);
    }
    free(d);
    return r;
}
