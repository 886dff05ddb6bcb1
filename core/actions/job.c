/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "post.h"
#include "registry.h"

enum {
    LIST_MAX = 64,
    AGENT_ADDRESS_MAX = 128,
    TIMEOUT_PRESET_MS = 60 * 1000
};

/* ---- making ---- */

static const char *site_name(uint32_t site)
{
    return site == QL_SITE_VERIFIER ? "verifier" : site == QL_SITE_PRIVILEGED ? "privileged" : "agent";
}

static int set_list(json_t *j, const char *key, const json_t *list)
{
    return list ? json_object_set(j, key, (json_t *)(uintptr_t)list) : 0;
}

char *ql_job_text(const struct ql_job *job)
{
    ql_auto_free char *body = ql_notice_body(job->notice);
    ql_auto_json json_t *j = NULL;

    if (!body)
        return NULL;
    j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b}", "file", job->file, "site", site_name(job->site),
                  "body", body, "work_dir", job->work_dir, "certificate",
                  job->certificate ? job->certificate : "", "timeout_ms", (int)job->timeout_ms, "attempt",
                  (int)job->attempt, "dry_run", job->dry_run ? 1 : 0);
    if (!j || set_list(j, "settings", job->settings) != 0 || set_list(j, "exec", job->exec) != 0 ||
        set_list(j, "files", job->files) != 0 || set_list(j, "http", job->http) != 0 ||
        set_list(j, "http_ca", job->http_ca) != 0)
        return NULL;
    return ql_json_text(j);
}

json_t *ql_job_settings(const char *action, const char *const *lines, size_t count)
{
    ql_auto_json json_t *j = json_object();
    const size_t len = strlen(action);

    for (size_t i = 0; j && i < count; i++) {
        const char *equals = strchr(lines[i], '='), *name = lines[i] + len + 1;
        char key[64];

        if (strncmp(lines[i], action, len) != 0 || lines[i][len] != '.' || !equals || equals <= name ||
            (size_t)(equals - name) >= sizeof key)
            continue;
        memcpy(key, name, (size_t)(equals - name));
        key[equals - name] = '\0';
        if (json_object_set_new(j, key, json_string(equals + 1)) != 0)
            return NULL;
    }
    return ql_steal(j);
}

/* ---- running ---- */

struct ql_job_host {
    json_t *json;
    struct ql_registry *registry; /* NULL: a webhook */
    const char *exec[LIST_MAX + 1], *files[LIST_MAX + 1], *http[LIST_MAX + 1], *cas[QL_POST_CAS_MAX + 1];
    struct ql_post_config post;
    const char *url; /* of a webhook */
    bool is_lua, is_dry;
    uint32_t site;
    int64_t timeout_ns;
    uint32_t opened; /* bit n: action n was opened */
};

void ql_job_host_free(struct ql_job_host *h)
{
    if (!h)
        return;
    ql_registry_free(h->registry);
    json_decref(h->json);
    free(h);
}

static const char *text_of(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);

    return json_is_string(value) ? json_string_value(value) : "";
}

static const char *text_or_null(const json_t *j, const char *key)
{
    const char *text = text_of(j, key);

    return *text ? text : NULL;
}

static void take_list(const json_t *j, const char *key, const char **out, size_t max)
{
    const json_t *list = json_object_get(j, key);
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(list) && at < max; i++)
        if (json_is_string(json_array_get(list, i)))
            out[at++] = json_string_value(json_array_get(list, i));
    out[at] = NULL;
}

static int do_post(void *arg, const char *url, const void *body, size_t len, const char *type, int64_t end_ns,
                   int *status, char **answer, size_t *answer_len, struct ql_err *err)
{
    return ql_post(arg, url, body, len, type, end_ns, status, answer, answer_len, err);
}

static uint32_t site_of(const char *name)
{
    return strcmp(name, "verifier") == 0     ? QL_SITE_VERIFIER
           : strcmp(name, "privileged") == 0 ? QL_SITE_PRIVILEGED
                                             : QL_SITE_AGENT;
}

static int load_file(struct ql_job_host *h, struct ql_err *err)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_ACTION};
    struct ql_lua_grants grants = {.exec = h->exec,
                                   .file_dirs = h->files,
                                   .http_hosts = h->http,
                                   .http_post = do_post,
                                   .http_arg = &h->post,
                                   .dry_run = h->is_dry};
    struct ql_plugin_file file = {.fd = -1};
    int e = ql_registry_new(&config, &h->registry, err);

    take_list(h->json, "exec", h->exec, LIST_MAX);
    take_list(h->json, "files", h->files, LIST_MAX);
    take_list(h->json, "http", h->http, LIST_MAX);
    take_list(h->json, "http_ca", h->cas, QL_POST_CAS_MAX);
    h->post.ca_files = h->cas;
    h->post.system_cas = !h->cas[0];
    if (e < 0)
        return e;
    ql_registry_set_grants(h->registry, &grants);
    e = ql_plugin_action_open(text_of(h->json, "file"), &file, err);
    h->is_lua = e == QL_OK && file.is_lua;
    if (e == QL_OK)
        e = ql_registry_load(h->registry, &file, NULL, err);
    ql_plugin_file_close(&file);
    return e;
}

static void load_webhook(struct ql_job_host *h, const json_t *hook)
{
    take_list(hook, "cas", h->cas, QL_POST_CAS_MAX);
    h->url = text_of(hook, "url");
    h->post = (struct ql_post_config){.ca_files = h->cas,
                                      .system_cas = json_is_true(json_object_get(hook, "system_cas")),
                                      .cert_file = text_or_null(hook, "cert"),
                                      .key_file = text_or_null(hook, "key"),
                                      .key_password = text_or_null(hook, "key_password"),
                                      .plain_ok = json_is_true(json_object_get(hook, "plain"))};
}

static struct ql_action_ctx context_of(const struct ql_job_host *h)
{
    return (struct ql_action_ctx){.size = sizeof(struct ql_action_ctx),
                                  .site = h->site,
                                  .work_dir = text_of(h->json, "work_dir"),
                                  .flags = h->is_dry ? QL_ACTION_DRY_RUN : 0,
                                  .certificate = text_of(h->json, "certificate"),
                                  .settings = json_object_get(h->json, "settings")};
}

static const struct ql_action *action_at(const struct ql_job_host *h, size_t n, struct ql_found *found)
{
    *found = ql_registry_at(h->registry, QL_KIND_ACTION, n);
    return (const struct ql_action *)(const void *)found->head;
}

/* Once for each action; what failed is tried again before the next run. */
static int open_one(struct ql_job_host *h, size_t n, struct ql_err *err)
{
    const struct ql_action_ctx ctx = context_of(h);
    struct ql_found found;
    const struct ql_action *action = action_at(h, n, &found);
    int e = QL_OK;

    if (n >= 32 || (h->opened & (UINT32_C(1) << n)) || !action->open || h->is_dry)
        return QL_OK;
    e = action->open(found.plugin, &ctx, err);
    if (e == QL_OK)
        h->opened |= UINT32_C(1) << n;
    return e;
}

int ql_job_host_new(const char *text, size_t len, struct ql_job_host **ret, struct ql_err *err)
{
    ql_auto(ql_job_host_freep) struct ql_job_host *h = calloc(1, sizeof *h);
    const json_t *timeout, *hook;
    struct ql_found found;
    int e = h ? ql_json_parse_object(text, len, QL_JOB_MAX, &h->json, err) : ql_fail_nomem(err);

    if (e < 0)
        return e;
    timeout = json_object_get(h->json, "timeout_ms");
    h->timeout_ns =
        (json_is_integer(timeout) ? json_integer_value(timeout) : TIMEOUT_PRESET_MS) * QL_NS_PER_MS;
    h->is_dry = json_is_true(json_object_get(h->json, "dry_run"));
    h->site = site_of(text_of(h->json, "site"));
    hook = json_object_get(h->json, "webhook");
    if (hook)
        load_webhook(h, hook);
    else
        e = load_file(h, err);
    for (size_t i = 0; e == QL_OK && h->registry && action_at(h, i, &found); i++)
        if (found.head->flags & h->site)
            (void)open_one(h, i, NULL); /* tried again, and then said, when it is needed */
    if (e == QL_OK)
        *ret = ql_steal(h);
    return e;
}

static int run_one(struct ql_job_host *h, size_t n, const struct ql_event *event, struct ql_err *err)
{
    const struct ql_action_ctx ctx = context_of(h);
    struct ql_found found;
    const struct ql_action *action = action_at(h, n, &found);
    int e;

    /* What a script does goes through the host, which does nothing in a dry run. */
    if (h->is_dry && !h->is_lua && !(found.head->flags & QL_ACTION_CAN_DRY_RUN)) {
        ql_log(QL_INFO, "action", "would run action %s, which cannot be tried without effect",
               found.head->name);
        return QL_OK;
    }
    e = open_one(h, n, err);
    return e == QL_OK ? action->run(found.plugin, event, &ctx, err) : e;
}

static int run_webhook(const struct ql_job_host *h, const struct ql_notice *notice, struct ql_err *err)
{
    ql_auto_json json_t *j = json_pack("{s:s, s:s}", "msg", notice->msg, "signature", notice->signature);
    ql_auto_free char *body = j ? ql_json_text_spaced(j) : NULL;
    int status = 0, e;

    if (!body)
        return ql_fail_nomem(err);
    e = ql_post(&h->post, h->url, body, strlen(body), "application/json", ql_mono_ns() + h->timeout_ns,
                &status, NULL, NULL, err);
    if (e == QL_ERANGE)
        return e; /* no URL: that does not change */
    if (e == QL_OK && status != 200 && status != 202)
        e = ql_fail(err, QL_EAGAIN, "%.100s answers with HTTP %d", h->url, status);
    if (e < 0)
        return ql_fail(err, QL_EAGAIN, "%s", err->text);
    return QL_OK;
}

int ql_job_host_run(struct ql_job_host *h, struct ql_notice *notice, uint32_t attempt, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    char address[AGENT_ADDRESS_MAX];
    struct ql_event event;
    struct ql_found found;
    size_t count = 0;
    int e = ql_notice_read(notice, &why);

    if (e == QL_OK && h->url)
        e = run_webhook(h, notice, &why);
    if (e < 0 || h->url) {
        if (e < 0)
            (void)ql_fail(err, e, "%s", why.text); /* the code is returned below */
        return e;
    }
    (void)snprintf(address, sizeof address, "%.80s:%" PRId64, notice->ip, notice->port); /* fits */
    event = (struct ql_event){.size = sizeof event,
                              .message = (const uint8_t *)notice->msg,
                              .message_len = notice->msg_len,
                              .msg = notice->json,
                              .signature = notice->signature,
                              .agent_id = notice->agent_id,
                              .agent_address = address,
                              .severity = notice->severity,
                              .event_id = notice->event_id,
                              .metadata = notice->meta_data,
                              .attempt = attempt,
                              .type = notice->type};
    ql_registry_set_deadline(h->registry, ql_mono_ns() + h->timeout_ns);
    for (size_t i = 0; e == QL_OK && action_at(h, i, &found); i++)
        if (found.head->flags & h->site) {
            count++;
            e = run_one(h, i, &event, err);
        }
    if (e == QL_OK && count == 0)
        e = ql_fail(err, QL_ENOTFOUND, "%s has no action for site %s", text_of(h->json, "file"),
                    site_name(h->site));
    return e;
}

int ql_job_run(const char *text, size_t len, struct ql_err *err)
{
    ql_auto(ql_job_host_freep) struct ql_job_host *h = NULL;
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    const json_t *attempt;
    const char *body;
    int e = ql_job_host_new(text, len, &h, err);

    if (e != QL_OK)
        return e;
    body = text_of(h->json, "body");
    attempt = json_object_get(h->json, "attempt");
    e = ql_notice_parse(body, strlen(body), &n, err);
    if (e < 0)
        return e;
    return ql_job_host_run(h, n, json_is_integer(attempt) ? (uint32_t)json_integer_value(attempt) : 1, err);
}
