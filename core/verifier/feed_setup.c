/* SPDX-License-Identifier: Apache-2.0 */
#include "feed_setup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "job.h"
#include "paths.h"
#include "registry.h"
#include "secret.h"
#include "tlsdir.h"
#include "verifier.h"

enum {
    LINES_MAX = 256 /* of action_settings */
};

static const char *option(const struct ql_verifier *v, const char *name)
{
    return ql_config_string(v->config, "revocations", name);
}

static json_t *list_of(const struct ql_verifier *v, const char *name)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ql_config_count(v->config, "revocations", name); i++)
        (void)json_array_append_new(list, json_string(ql_config_item(v->config, "revocations", name, i)));
    return list;
}

static int set_password(json_t *hook, const struct ql_secret *password)
{
    return password ? json_object_set_new(
                          hook, "key_password",
                          json_stringn((const char *)ql_secret_data(password), ql_secret_len(password)))
                    : 0;
}

/* Upstream posts over HTTPS whatever the URL says, and so do we unless told otherwise. */
static int make_webhook(const struct ql_verifier *v, json_t *job, struct ql_err *err)
{
    const bool plain = ql_config_bool(v->config, "revocations", "webhook_plain"),
               with_cert = ql_config_bool(v->config, "revocations", "webhook_client_cert");
    const char *url = option(v, "webhook_url");
    ql_auto_free char *secure = NULL;
    struct ql_tls_paths paths = {0};
    json_t *hook = json_object(), *cas = list_of(v, "webhook_ca");
    int r = QL_OK, bad = 0;

    if (*url == '\0')
        r = ql_fail(err, QL_ERANGE, "revocations.webhook_url is empty, but the webhook notifier is enabled");
    if (r == QL_OK && !plain && strncmp(url, "http://", 7) == 0 &&
        asprintf(&secure, "https://%s", url + 7) < 0)
        secure = NULL; /* undefined after a failure */
    if (r == QL_OK)
        r = ql_tls_paths_resolve(v->config, "verifier", v->state_dir, "cv_ca", QL_TLS_CLIENT, &paths, err);
    if (r == QL_OK && json_array_size(cas) == 0)
        for (size_t i = 0; paths.ca[i]; i++)
            bad |= json_array_append_new(cas, json_string(paths.ca[i]));
    bad |= json_object_set_new(hook, "url", json_string(secure ? secure : url));
    bad |= json_object_set_new(hook, "system_cas",
                               json_boolean(ql_config_count(v->config, "revocations", "webhook_ca") == 0));
    bad |= json_object_set_new(hook, "plain", json_boolean(plain));
    bad |= json_object_set(hook, "cas", cas);
    if (r == QL_OK && with_cert) {
        bad |= json_object_set_new(hook, "cert", json_string(paths.cert));
        bad |= json_object_set_new(hook, "key", json_string(paths.key));
        bad |= set_password(hook, paths.key_password);
    }
    ql_tls_paths_done(&paths);
    json_decref(cas);
    bad |= json_object_set_new(job, "webhook", hook);
    return r == QL_OK && bad ? ql_fail_nomem(err) : r;
}

/* The file of an action: NAME.lua or NAME.so of plugin_dir. What else is wrong with it is found when it is loaded. */
static int find_file(const struct ql_verifier *v, const char *name, json_t *job, struct ql_err *err)
{
    static const char *const endings[] = {"so", "lua"};
    const char *dir = ql_plugin_dir(ql_config_string(v->config, "verifier", "plugin_dir"));
    struct ql_plugin_file file = {.fd = -1};
    int r = ql_plugin_file_open(dir, name, &file, err);

    if (r < 0)
        return r;
    ql_plugin_file_close(&file);
    for (size_t i = 0; i < QL_ARRAY_LEN(endings); i++) {
        ql_auto_free char *path = NULL;

        if (asprintf(&path, "%s/%s.%s", dir, name, endings[i]) < 0) {
            path = NULL; /* undefined after a failure */
            return ql_fail_nomem(err);
        }
        if (access(path, R_OK) == 0)
            return json_object_set_new(job, "file", json_string(path)) == 0 ? QL_OK : ql_fail_nomem(err);
    }
    return ql_fail(err, QL_EACCES, "plugin %s cannot be read", name);
}

static json_t *settings_of(const struct ql_verifier *v, const char *name)
{
    const struct ql_config *c = v->config;
    const char *lines[LINES_MAX];
    size_t count = ql_config_count(c, "revocations", "action_settings");
    json_t *settings;

    if (count > LINES_MAX)
        count = LINES_MAX;
    for (size_t i = 0; i < count; i++)
        lines[i] = ql_config_item(c, "revocations", "action_settings", i);
    settings = ql_job_settings(name, lines, count);
    if (settings && strcmp(name, "zeromq") == 0) {
        char port[24];

        (void)snprintf(port, sizeof port, "%lld",
                       (long long)ql_config_int(c, "revocations", "zmq_port")); /* fits */
        (void)json_object_set_new(settings, "ip",
                                  json_string(option(v, "zmq_ip"))); /* the action says what it lacks */
        (void)json_object_set_new(settings, "port", json_string(port));
    }
    return settings;
}

int ql_feed_setup(const struct ql_verifier *v, const char *name, char **ret, struct ql_err *err)
{
    const unsigned timeout_s = (unsigned)ql_config_int(v->config, "revocations", "action_timeout");
    ql_auto_json json_t *job =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "site", "verifier", "work_dir", v->state_dir,
                  "timeout_ms", (int)timeout_s * 1000, "settings", settings_of(v, name), "exec",
                  list_of(v, "action_exec"), "files", list_of(v, "action_files"), "http",
                  list_of(v, "action_http_hosts"), "http_ca", list_of(v, "action_http_ca"));
    char *text;
    int r = !job                           ? ql_fail_nomem(err)
            : strcmp(name, "webhook") == 0 ? make_webhook(v, job, err)
                                           : find_file(v, name, job, err);

    if (r < 0)
        return r;
    text = ql_json_text(job);
    if (!text)
        return ql_fail_nomem(err);
    *ret = text;
    return QL_OK;
}
