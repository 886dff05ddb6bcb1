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

/** A job as read. */
struct running {
    json_t *json;
    struct ql_notice *notice;
    struct ql_registry *registry;
    const char *exec[LIST_MAX + 1], *files[LIST_MAX + 1], *http[LIST_MAX + 1], *cas[QL_POST_CAS_MAX + 1];
    struct ql_post_config post;
    bool is_lua;
    char address[AGENT_ADDRESS_MAX];
};

static void running_done(struct running *r)
{
    ql_registry_free(r->registry);
    ql_notice_free(r->notice);
    json_decref(r->json);
}

static const char *text_of(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);

    return json_is_string(value) ? json_string_value(value) : "";
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

static int load(struct running *r, struct ql_err *err)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_ACTION};
    struct ql_lua_grants grants = {.exec = r->exec,
                                   .file_dirs = r->files,
                                   .http_hosts = r->http,
                                   .http_post = do_post,
                                   .http_arg = &r->post,
                                   .dry_run = json_is_true(json_object_get(r->json, "dry_run"))};
    struct ql_plugin_file file = {.fd = -1};
    int e = ql_registry_new(&config, &r->registry, err);

    take_list(r->json, "exec", r->exec, LIST_MAX);
    take_list(r->json, "files", r->files, LIST_MAX);
    take_list(r->json, "http", r->http, LIST_MAX);
    take_list(r->json, "http_ca", r->cas, QL_POST_CAS_MAX);
    r->post.ca_files = r->cas;
    r->post.system_cas = !r->cas[0];
    if (e < 0)
        return e;
    ql_registry_set_grants(r->registry, &grants);
    e = ql_plugin_action_open(text_of(r->json, "file"), &file, err);
    r->is_lua = e == QL_OK && file.is_lua;
    if (e == QL_OK)
        e = ql_registry_load(r->registry, &file, NULL, err);
    ql_plugin_file_close(&file);
    return e;
}

static int run_one(struct running *r, const struct ql_found *found, uint32_t site, struct ql_err *err)
{
    const struct ql_action *action = (const struct ql_action *)(const void *)found->head;
    const bool dry = json_is_true(json_object_get(r->json, "dry_run"));
    const json_t *attempt = json_object_get(r->json, "attempt");
    const struct ql_event event = {.size = sizeof event,
                                   .message = (const uint8_t *)r->notice->msg,
                                   .message_len = r->notice->msg_len,
                                   .msg = r->notice->json,
                                   .signature = r->notice->signature,
                                   .agent_id = r->notice->agent_id,
                                   .agent_address = r->address,
                                   .severity = r->notice->severity,
                                   .event_id = r->notice->event_id,
                                   .metadata = r->notice->meta_data,
                                   .attempt =
                                       json_is_integer(attempt) ? (uint32_t)json_integer_value(attempt) : 1,
                                   .type = r->notice->type};
    const struct ql_action_ctx ctx = {.size = sizeof ctx,
                                      .site = site,
                                      .work_dir = text_of(r->json, "work_dir"),
                                      .flags = dry ? QL_ACTION_DRY_RUN : 0,
                                      .certificate = text_of(r->json, "certificate"),
                                      .settings = json_object_get(r->json, "settings")};

    /* What a script does goes through the host, which does nothing in a dry run. */
    if (dry && !r->is_lua && !(found->head->flags & QL_ACTION_CAN_DRY_RUN)) {
        ql_log(QL_INFO, "action", "would run action %s, which cannot be tried without effect",
               found->head->name);
        return QL_OK;
    }
    return action->run(found->plugin, &event, &ctx, err);
}

static int run_all(struct running *r, struct ql_err *err)
{
    const uint32_t site = site_of(text_of(r->json, "site"));
    const json_t *timeout = json_object_get(r->json, "timeout_ms");
    size_t count = 0;
    int e = QL_OK;

    ql_registry_set_deadline(r->registry, ql_mono_ns() + QL_NS_PER_MS * (json_is_integer(timeout)
                                                                             ? json_integer_value(timeout)
                                                                             : TIMEOUT_PRESET_MS));
    for (size_t i = 0; e == QL_OK; i++) {
        const struct ql_found found = ql_registry_at(r->registry, QL_KIND_ACTION, i);

        if (!found.head)
            break;
        if (!(found.head->flags & site))
            continue;
        count++;
        e = run_one(r, &found, site, err);
    }
    if (e == QL_OK && count == 0)
        e = ql_fail(err, QL_ENOTFOUND, "%s has no action for site %s", text_of(r->json, "file"),
                    site_name(site));
    return e;
}

int ql_job_run(const char *text, size_t len, struct ql_err *err)
{
    ql_auto(running_done) struct running r = {0};
    int e = ql_json_parse_object(text, len, QL_JOB_MAX, &r.json, err);

    if (e == QL_OK)
        e = ql_notice_parse(text_of(r.json, "body"), strlen(text_of(r.json, "body")), &r.notice, err);
    if (e == QL_OK)
        e = ql_notice_read(r.notice, err);
    if (e < 0)
        return e;
    (void)snprintf(r.address, sizeof r.address, "%.80s:%" PRId64, r.notice->ip, r.notice->port); /* fits */
    e = load(&r, err);
    return e == QL_OK ? run_all(&r, err) : e;
}
