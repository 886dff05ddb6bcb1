/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "error.h"
#include "items.h"
#include "json.h"
#include "key.h"
#include "log.h"
#include "pool.h"
#include "sandbox.h"
#include "warmup.h"
#include "work.h"
#include "worker.h"

enum {
    SETUP_MAX = 1024 * 1024,        /* bytes of the set-up */
    TRIM_ABOVE = 1024 * 1024,       /* bytes of a job after which freed memory goes back to the system */
    LEAST_MEMORY = 64 * 1024 * 1024 /* bytes that a worker needs to be of use */
};

/** What the parent's HELLO says. */
struct setup {
    json_t *json;
    struct ql_plugin_file plugins[QL_PLUGINS_MAX];
    size_t plugin_count;
    size_t memory_max;
    int64_t wall_ms;
};

static int read_plugins(struct setup *s, struct ql_err *err)
{
    const json_t *list = json_object_get(s->json, "plugins"), *one;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > QL_PLUGINS_MAX)
        return ql_fail(err, QL_EPARSE, "set-up: plugins are not a list of at most %d", QL_PLUGINS_MAX);
    json_array_foreach(list, i, one) {
        struct ql_plugin_file *f = &s->plugins[s->plugin_count++];
        const char *name = NULL;
        size_t len = 0;
        int r = ql_json_get_text(one, "name", &name, &len, err);

        *f = (struct ql_plugin_file){.fd = QL_WORKER_PLUGINS + (int)i};
        if (r == QL_OK && len >= sizeof f->name)
            r = ql_fail(err, QL_ELIMIT, "set-up: plugin name of %zu characters", len);
        if (r == QL_OK)
            r = ql_json_get_bool(one, "lua", &f->is_lua, err);
        if (r < 0)
            return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "set-up: plugin without name or kind") : r;
        memcpy(f->name, name, len);
    }
    return QL_OK;
}

static int read_setup(int sock, struct setup *s, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = NULL;
    int64_t memory = 0, level = QL_WARN;
    int r = ql_frame_recv(sock, &f, err);

    if (r == QL_OK && f->kind != QL_FRAME_HELLO)
        r = ql_fail(err, QL_EPARSE, "set-up: frame of kind %u", f->kind);
    if (r == QL_OK)
        r = ql_item_json(f, QL_TAG_OPTIONS, SETUP_MAX, &s->json, err);
    if (r == QL_OK)
        r = ql_json_get_int(s->json, "memory_max", LEAST_MEMORY, INT64_MAX, &memory, err);
    if (r == QL_OK)
        r = ql_json_get_int(s->json, "wall_ms", 1, INT32_MAX, &s->wall_ms, err);
    if (r == QL_OK)
        r = ql_json_get_int(s->json, "log_level", QL_ERROR, QL_DEBUG, &level, err);
    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "set-up: a member is missing") : r;
    s->memory_max = (size_t)memory;
    ql_log_setup("quicklime-worker", (enum ql_log_level)level, QL_LOG_LOGFMT);
    return read_plugins(s, err);
}

/* The plugins' options as the daemon read them: the worker has no files of its own to look into. */
static int make_config(const struct setup *s, struct ql_config **ret, struct ql_err *err)
{
    const char *text = NULL;
    size_t len = 0;
    int r = ql_json_get_text(s->json, "options", &text, &len, err);

    if (r < 0)
        return ql_fail(err, QL_EPARSE, "set-up: plugins' options are missing");
    return ql_config_load_text("worker", text, NULL, 0, ret, err);
}

static int load_plugins(struct ql_worker *w, const struct setup *s, struct ql_config *config,
                        struct ql_err *err)
{
    const struct ql_registry_config registry = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR,
                                                .plugin_memory = s->memory_max};
    int r = ql_registry_new(&registry, &w->registry, err);

    for (size_t i = 0; r == QL_OK && i < s->plugin_count; i++) {
        ql_work_entering(w, NULL, s->plugins[i].name);
        r = ql_registry_load(w->registry, &s->plugins[i], config, err);
    }
    if (r == QL_OK)
        r = ql_config_finish(config, err);
    return r == QL_OK ? ql_registry_order(w->registry, err) : r;
}

/* What plugins read when they are loaded; a file that is not there is for the plugin to tell. @return descriptors */
static size_t open_readable(const struct setup *s, int *fds)
{
    const json_t *list = json_object_get(s->json, "readable"), *one;
    size_t i, count = 0;

    json_array_foreach(list, i, one) {
        const int fd = count < QL_POOL_READABLE_MAX && json_is_string(one)
                           ? open(json_string_value(one), O_PATH | O_CLOEXEC)
                           : -1;

        if (fd >= 0)
            fds[count++] = fd;
    }
    return count;
}

static int start(struct ql_worker *w, struct setup *s, struct ql_err *err)
{
    /* As long as the process: plugins read their options from it at any time. */
    static struct ql_config *config;
    int fds[QL_PLUGINS_MAX + QL_POOL_READABLE_MAX], r;
    size_t readable;
    bool landlock = false;

    r = make_config(s, &config, err);
    if (r == QL_OK)
        r = ql_warmup(err);
    if (r == QL_OK)
        r = ql_digester_new(&w->digester, err);
    if (r == QL_OK)
        r = ql_vault_new(ql_verdict_vault_len(), &w->vault, err);
    if (r == QL_OK)
        r = ql_policy_cache_new(s->memory_max / 2, &w->policies, err);
    if (r == QL_OK)
        r = ql_key_cache_new(QL_KEYS_KEPT, &w->keys, err);
    if (r == QL_OK)
        r = ql_sandbox_limits(s->memory_max, err);
    for (size_t i = 0; i < s->plugin_count; i++)
        fds[i] = s->plugins[i].fd;
    readable = open_readable(s, fds + s->plugin_count);
    if (r == QL_OK)
        r = ql_sandbox_before_plugins(fds, s->plugin_count + readable, &landlock, err);
    while (readable > 0)
        (void)close(fds[s->plugin_count + --readable]); /* the rules hold them */
    if (r == QL_OK && !landlock)
        ql_log(QL_INFO, "sandbox", "this kernel has no Landlock: seccomp alone");
    if (r == QL_OK)
        r = load_plugins(w, s, config, err);
    if (r == QL_OK)
        r = ql_sandbox_before_jobs(err);
    w->job_ms = s->wall_ms;
    return r;
}

static int send_hello(int sock, const struct ql_err *failed)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_HELLO, 0);

    if (!f)
        return QL_ENOMEM;
    if (failed)
        (void)ql_frame_add_text(f, QL_TAG_ERROR_TEXT, failed->text, NULL); /* a poisoned frame is not sent */
    return ql_frame_send(sock, f, NULL);
}

static int send_error(int sock, const struct ql_frame *job, int code, const struct ql_err *why)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_RESULT, job->job);

    if (!f)
        return QL_ENOMEM;
    (void)ql_frame_add_u64(f, QL_TAG_ERROR_CODE, (uint64_t)-code, NULL); /* a poisoned frame is not sent */
    (void)ql_frame_add_text(f, QL_TAG_REASONS, why->text, NULL);
    return ql_frame_send(sock, f, NULL);
}

static bool is_large(const struct ql_frame *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (job->items[i].len > TRIM_ABOVE)
            return true;
    return false;
}

/* @return exit code, or -1 to go on */
static int one_job(struct ql_worker *w)
{
    ql_auto(ql_frame_freep) struct ql_frame *job = NULL, *result = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r = ql_frame_recv(w->sock, &job, &err);

    if (r == QL_ECLOSED)
        return 0;
    if (r == QL_ENOMEM)
        return QL_WORKER_NO_MEMORY;
    if (r < 0 || job->kind != QL_FRAME_JOB) {
        ql_log(QL_ERROR, "worker", "not a job: %s", err.text);
        return QL_WORKER_FAULT;
    }
    r = ql_work(w, job, &result, &err);
    if (r == QL_OK)
        r = ql_frame_send(w->sock, result, &err);
    else if (r != QL_ENOMEM && r != QL_ECLOSED)
        r = send_error(w->sock, job, r, &err);
    if (r == QL_ENOMEM)
        return QL_WORKER_NO_MEMORY;
    if (r == QL_ECLOSED)
        return 0;
    if (r < 0) {
        ql_log(QL_ERROR, "worker", "result not sent: %s", err.text);
        return QL_WORKER_FAULT;
    }
    if (is_large(job))
        (void)malloc_trim(0); /* whether there was something to give back does not matter */
    return -1;
}

int ql_worker_main(void)
{
    struct ql_worker w = {.sock = QL_WORKER_SOCKET};
    struct setup s = {0};
    struct ql_err err = QL_ERR_INIT;
    int code;

    ql_log_setup("quicklime-worker", QL_WARN, QL_LOG_LOGFMT);
    if (read_setup(w.sock, &s, &err) < 0 || start(&w, &s, &err) < 0) {
        ql_log(QL_ERROR, "worker", "not started: %s", err.text);
        (void)send_hello(w.sock, &err); /* the daemon sees the end of the process as well */
        return QL_WORKER_FAULT;
    }
    if (send_hello(w.sock, NULL) < 0)
        return QL_WORKER_FAULT;
    do
        code = one_job(&w);
    while (code < 0);
    /* No tidying up: nothing outlives the process, and a fault in a plugin's fini would only be noise. */
    fflush(NULL);
    _exit(code);
}
