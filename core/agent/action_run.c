/* SPDX-License-Identifier: Apache-2.0 */
#include "action_run.h"

#include <string.h>
#include <sys/wait.h>

#include "child.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "job.h"
#include "paths.h"
#include "privileged.h"

enum {
    LINES_MAX = 256 /* of revocation_action_settings */
};

struct ql_action_run {
    struct ql_child *child;
    struct ql_privileged *privileged; /* it runs there; NULL: it is a child of ours */
    char *input;                      /* file that it is given */
    bool is_runner;
    ql_action_done done;
    void *arg;
};

/* ---- what is configured ---- */

static int add_configured(const struct ql_agent *a, struct ql_action_names *ret, struct ql_err *err)
{
    const size_t count = ql_config_count(a->config, "agent", "revocation_actions");
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < count; i++) {
        const char *item = ql_config_item(a->config, "agent", "revocation_actions", i);

        r = ql_action_names_add(ret, item, strlen(item), err);
    }
    return r;
}

int ql_action_names_of(const struct ql_agent *a, struct ql_action_names *ret, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(a->dir, "secure/unzipped/action_list");
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = path ? add_configured(a, ret, err) : ql_fail_nomem(err);

    if (r < 0 || !ql_config_bool(a->config, "agent", "allow_payload_revocation_actions"))
        return r;
    r = ql_file_read(path, QL_ACTION_LIST_MAX, &text, &len, err);
    if (r == QL_ENOTFOUND)
        return QL_OK; /* no payload, or none with actions */
    return r == QL_OK ? ql_action_names_add(ret, (const char *)text, len, err) : r;
}

int ql_action_dirs_of(const struct ql_agent *a, struct ql_action_dirs *ret, char **payload,
                      struct ql_err *err)
{
    *payload = NULL;
    *ret =
        (struct ql_action_dirs){.configured = ql_config_string(a->config, "agent", "revocation_actions_dir"),
                                .python = ql_config_bool(a->config, "agent", "python_actions")};
    if (ql_config_bool(a->config, "agent", "allow_payload_revocation_actions")) {
        ret->payload = *payload = ql_path_join(a->dir, "secure/unzipped");
        if (!*payload)
            return ql_fail_nomem(err);
    }
    return QL_OK;
}

static json_t *list_of(const struct ql_agent *a, const char *option)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < ql_config_count(a->config, "agent", option); i++)
        if (json_array_append_new(list, json_string(ql_config_item(a->config, "agent", option, i))) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *settings_of(const struct ql_agent *a, const char *action)
{
    const char *lines[LINES_MAX];
    size_t count = ql_config_count(a->config, "agent", "revocation_action_settings");

    if (count > LINES_MAX)
        count = LINES_MAX;
    for (size_t i = 0; i < count; i++)
        lines[i] = ql_config_item(a->config, "agent", "revocation_action_settings", i);
    return ql_job_settings(action, lines, count);
}

char *ql_action_job(const struct ql_agent *a, const char *dir, const char *action, const char *file,
                    const struct ql_notice *notice, bool dry_run)
{
    ql_auto_json json_t *settings = settings_of(a, action), *exec = list_of(a, "action_exec"),
                        *files = list_of(a, "action_files"), *http = list_of(a, "action_http_hosts"),
                        *cas = list_of(a, "action_http_ca");
    const struct ql_job job = {
        .file = file,
        .site = QL_SITE_AGENT,
        .notice = notice,
        .work_dir = dir,
        .certificate = a->mtls_cert && strcmp(a->mtls_cert, "disabled") != 0 ? a->mtls_cert : "",
        .settings = settings,
        .exec = exec,
        .files = files,
        .http = http,
        .http_ca = cas,
        .timeout_ms = (unsigned)ql_config_int(a->config, "agent", "revocation_action_timeout") * 1000,
        .attempt = 1,
        .dry_run = dry_run};

    return settings && exec && files && http && cas ? ql_job_text(&job) : NULL;
}

/* ---- a run ---- */

void ql_action_run_free(struct ql_action_run *r)
{
    if (!r)
        return;
    ql_child_free(r->child);
    ql_privileged_forget(r->privileged, r);
    if (r->input)
        (void)unlink(r->input); /* else the next start removes it */
    free(r->input);
    free(r);
}

static void child_ended(const struct ql_child_end *end, void *arg)
{
    struct ql_action_run *r = arg;
    char text[64];
    int result = QL_OK;

    r->child = NULL; /* frees itself */
    if (!ql_child_ok(end))
        result = end->timed_out ? QL_ETIMEOUT : QL_EIO;
    (void)ql_child_end_text(end, text); /* fills text */
    if (r->is_runner && WIFEXITED(end->status) && WEXITSTATUS(end->status) == QL_JOB_EXIT_AGAIN)
        (void)snprintf(text, sizeof text, "asks to be run again, which agents do not"); /* fits */
    r->done(r->arg, result, result == QL_OK ? "done" : text);
    ql_action_run_free(r);
}

static void privileged_ended(void *arg, int result, const char *text)
{
    struct ql_action_run *r = arg;

    r->done(r->arg, result, text);
    ql_action_run_free(r);
}

static int start_privileged(struct ql_agent *a, const char *action, const struct ql_notice *notice,
                            ql_action_done done, void *arg, struct ql_action_run **ret, struct ql_err *err)
{
    struct ql_action_run *r = calloc(1, sizeof *r);
    int e;

    if (!r)
        return ql_fail_nomem(err);
    r->done = done;
    r->arg = arg;
    e = ql_privileged_run(a->privileged, action, notice, privileged_ended, r, err);
    if (e < 0) {
        free(r);
        return e;
    }
    r->privileged = a->privileged;
    *ret = r;
    return QL_OK;
}

static int write_input(struct ql_action_run *r, const char *dir, const char *kind, const char *text,
                       struct ql_err *err)
{
    char random[17];

    ql_random_alnum(random, sizeof random - 1);
    if (asprintf(&r->input, "%s/%s-%s.json", dir, kind, random) < 0) {
        r->input = NULL; /* undefined after a failure */
        return ql_fail_nomem(err);
    }
    return ql_file_write(r->input, 0600, text, strlen(text), err);
}

/* Input and command line, as the kind of file wants them. */
static int prepare(struct ql_action_run *r, const struct ql_agent *a, const char *dir, const char *action,
                   const struct ql_action_file *file, const struct ql_notice *notice, const char *argv[4],
                   char **ret_extra, struct ql_err *err)
{
    ql_auto_free char *text = NULL;
    int e;

    r->is_runner = file->kind == QL_ACTION_LUA || file->kind == QL_ACTION_SO;
    text =
        r->is_runner ? ql_action_job(a, dir, action, file->path, notice, false) : ql_json_text(notice->json);
    if (!text)
        return ql_fail_nomem(err);
    e = write_input(r, dir, r->is_runner ? "job" : "event", text, err);
    if (e < 0)
        return e;
    if (r->is_runner) {
        argv[0] = ql_action_runner_path(ql_config_string(a->config, "agent", "action_runner_path"));
        argv[1] = r->input;
    } else if (file->kind == QL_ACTION_PYTHON) {
        if (asprintf(ret_extra, "%s/shim.py",
                     ql_config_string(a->config, "agent", "revocation_actions_dir")) < 0) {
            *ret_extra = NULL; /* undefined after a failure */
            return ql_fail_nomem(err);
        }
        argv[0] = *ret_extra;
        argv[1] = action;
        argv[2] = r->input;
    } else {
        argv[0] = file->path;
        argv[1] = r->input;
    }
    return QL_OK;
}

int ql_action_run_start(struct ql_agent *a, const char *dir, const char *action,
                        const struct ql_notice *notice, ql_action_done done, void *arg,
                        struct ql_action_run **ret, struct ql_err *err)
{
    ql_auto_free char *payload = NULL, *shim = NULL, *python_path = NULL;
    const char *argv[4] = {NULL}, *env[2] = {NULL};
    struct ql_action_dirs dirs;
    struct ql_action_file file;
    struct ql_child_config config = {
        .base = a->base,
        .argv = argv,
        .env = env,
        .cwd = a->dir,
        .area = "action",
        .label = action,
        .timeout_ms = (unsigned)ql_config_int(a->config, "agent", "revocation_action_timeout") * 1000,
        .fd = -1};
    struct ql_action_run *r;
    int e;

    if (ql_privileged_has(a, action))
        return start_privileged(a, action, notice, done, arg, ret, err);
    e = ql_action_dirs_of(a, &dirs, &payload, err);
    if (e == QL_OK)
        e = ql_action_find(&dirs, action, &file, err);
    if (e < 0)
        return e;
    r = calloc(1, sizeof *r);
    if (!r)
        return ql_fail_nomem(err);
    r->done = done;
    r->arg = arg;
    e = prepare(r, a, dir, action, &file, notice, argv, &shim, err);
    if (e == QL_OK && file.kind == QL_ACTION_PYTHON) {
        if (asprintf(&python_path, "PYTHONPATH=%s", file.dir) < 0)
            python_path = NULL; /* undefined after a failure */
        env[0] = python_path;
        e = python_path ? QL_OK : ql_fail_nomem(err);
    }
    if (e == QL_OK)
        e = ql_child_start(&config, child_ended, r, &r->child, err);
    if (e < 0) {
        ql_action_run_free(r);
        return e;
    }
    *ret = r;
    return QL_OK;
}
