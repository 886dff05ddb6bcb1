/* SPDX-License-Identifier: Apache-2.0 */
/* From options to a listening verifier. */
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "daemon.h"
#include "error.h"
#include "failing.h"
#include "file.h"
#include "journal.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "paths.h"
#include "schemas.h"
#include "secret.h"
#include "tlsdir.h"
#include "verifier.h"

enum {
    NAMES_MAX = 16, /* further names of a generated certificate */
    PLUGINS_MAX = 64
};

static const char *text(const struct ql_verifier *v, const char *name)
{
    return ql_config_string(v->config, "verifier", name);
}

static unsigned number(const struct ql_verifier *v, const char *name)
{
    return (unsigned)ql_config_int(v->config, "verifier", name);
}

static struct ql_daemon as_daemon(const struct ql_verifier *v)
{
    return (struct ql_daemon){
        .base = v->base,
        .config = v->config,
        .group = "verifier",
        .state_dir = v->state_dir,
        .own_ca = "cv_ca",
    };
}

/* ---- what needs no state folder ---- */

static int worker_plugin_names(const struct ql_verifier *v, const char **names, size_t *ret_count,
                               struct ql_err *err)
{
    size_t count = ql_config_count(v->config, "verifier", "plugins");

    if (count > PLUGINS_MAX)
        return ql_fail(err, QL_ELIMIT, "plugins lists %zu names, at most %d", count, PLUGINS_MAX);
    for (size_t i = 0; i < count; i++)
        names[i] = ql_config_item(v->config, "verifier", "plugins", i);
    *ret_count = count;
    return QL_OK;
}

/** Options of our own group, under Keylime's names, that belong to validators. */
static const char *const HANDED_DOWN[] = {"measured_boot_policy_name", "measured_boot_imports",
                                          "measured_boot_evaluate"};

/* Workers run them; their options are part of our configuration, and what is wrong with either is said at start. */
static int know_worker_plugins(struct ql_verifier *v, struct ql_err *err)
{
    const struct ql_registry_config config = {.rows_only = true};
    const char *names[PLUGINS_MAX];
    size_t count = 0;
    int r = worker_plugin_names(v, names, &count, err);

    if (r == QL_OK)
        r = ql_registry_new(&config, &v->worker_plugins, err);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(HANDED_DOWN); i++)
        r = ql_config_hand_down(v->config, "verifier", HANDED_DOWN[i], err);
    return r < 0 ? r
                 : ql_registry_load_all(v->worker_plugins, ql_plugin_dir(text(v, "plugin_dir")), names, count,
                                        v->config, err);
}

static int check_offered(const struct ql_verifier *v, struct ql_err *err)
{
    const struct ql_daemon self = as_daemon(v);
    int r = ql_daemon_check_offered(&self, err);

    if (r < 0)
        return r;
    if (ql_config_bool(v->config, "verifier", "leases") && !ql_config_bool(v->config, "verifier", "keep_v"))
        return ql_fail(err, QL_ERANGE,
                       "leases = true needs keep_v = true: another verifier may have to send V");
    if (*v->uuid == '\0')
        return ql_fail(err, QL_ERANGE, "uuid is empty");
    return QL_OK;
}

static void read_poll_options(struct ql_verifier *v)
{
    const struct ql_config *c = v->config;

    v->poll = (struct ql_poll_options){
        .interval_ms = (int64_t)(ql_config_float(c, "verifier", "quote_interval") * 1000),
        .request_ms = (unsigned)(ql_config_float(c, "verifier", "request_timeout") * 1000),
        .retry_ms = (int64_t)(ql_config_float(c, "verifier", "retry_interval") * 1000),
        .exponential = ql_config_bool(c, "verifier", "exponential_backoff"),
        .max_retries = number(v, "max_retries"),
        .response_max = (size_t)ql_config_int(c, "verifier", "max_agent_response"),
        .min_rate = number(v, "agent_min_rate"),
    };
}

int ql_verifier_prepare(struct ql_verifier *v, struct ql_err *err)
{
    const struct ql_daemon self = as_daemon(v);
    int r = ql_daemon_load_backend(&self, &v->plugins, err);

    if (r == QL_OK)
        r = know_worker_plugins(v, err);
    v->uuid = text(v, "uuid");
    read_poll_options(v);
    if (r == QL_OK)
        r = check_offered(v, err);
    if (r == QL_OK)
        r = ql_severity_new(v->config, "verifier", &v->severity, err);
    return r == QL_OK ? ql_config_finish(v->config, err) : r;
}

/* ---- TLS ---- */

/** Names of this machine for a generated certificate. */
struct names {
    char host[256], *full;
    const char *dns[NAMES_MAX + 4], *ips[4];
};

static void add_name(struct names *n, const char *name)
{
    size_t i = 0;

    for (; n->dns[i]; i++)
        if (strcmp(n->dns[i], name) == 0)
            return;
    if (i + 1 < QL_ARRAY_LEN(n->dns) && *name)
        n->dns[i] = name;
}

static void find_names(const struct ql_verifier *v, struct names *n)
{
    const char *ip = text(v, "ip");
    struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *found = NULL;

    n->dns[0] = "localhost";
    n->ips[0] = "127.0.0.1";
    n->ips[1] = "::1";
    if (strcmp(ip, "*") != 0 && *ip && strcmp(ip, "0.0.0.0") != 0 && strcmp(ip, "::") != 0 &&
        strcmp(ip, "127.0.0.1") != 0 && strcmp(ip, "::1") != 0)
        n->ips[2] = ip;
    for (size_t i = 0; i < NAMES_MAX; i++) {
        const char *name = ql_config_item(v->config, "verifier", "cert_subject_alternative_names", i);

        if (!name)
            break;
        add_name(n, name);
    }
    if (gethostname(n->host, sizeof n->host - 1) != 0)
        return;
    add_name(n, n->host);
    if (getaddrinfo(n->host, NULL, &hints, &found) == 0 && found->ai_canonname &&
        (n->full = strdup(found->ai_canonname)))
        add_name(n, n->full);
    if (found)
        freeaddrinfo(found);
}

static int password(const struct ql_verifier *v, const char *option, struct ql_secret **ret,
                    struct ql_err *err)
{
    const char *value = text(v, option);

    return *value ? ql_secret_new(value, strlen(value), ret, err) : QL_OK;
}

/* `tls_dir = generate`: CA, server and client certificates of our own, made once. */
static int make_tls_dir(struct ql_verifier *v, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *server_password = NULL, *client_password = NULL;
    ql_auto_free char *dir = ql_path_join(v->state_dir, "cv_ca");
    struct names names = {0};
    struct ql_tls_dir what = {
        .dir = dir,
        .ca_subject = {"US", "Keylime Certificate Authority", "MA", "Lexington", "Keylime", "53"},
        .dns = names.dns,
        .ips = names.ips,
        .with_client = true,
    };
    bool made = false;
    int r;

    if (strcmp(text(v, "tls_dir"), "generate") != 0)
        return QL_OK;
    if (!dir)
        return ql_fail_nomem(err);
    r = password(v, "server_key_password", &server_password, err);
    if (r == QL_OK)
        r = password(v, "client_key_password", &client_password, err);
    if (r < 0)
        return r;
    what.server_key_password = server_password;
    what.client_key_password = client_password;
    find_names(v, &names);
    r = ql_tls_dir_make(&what, &made, err);
    free(names.full);
    if (r == QL_OK && made)
        ql_log(QL_INFO, "main", "made a CA and certificates in %s", dir);
    return r;
}

static void use_new_tls(struct ql_agent *a, void *arg)
{
    if (a->peer && !a->is_plain)
        ql_peer_reset(a->peer, arg);
}

void ql_verifier_reload(struct ql_verifier *v)
{
    ql_auto(ql_tls_unrefp) struct ql_tls *server = NULL;
    struct ql_tls *client = NULL;
    const struct ql_daemon self = as_daemon(v);
    struct ql_err err = QL_ERR_INIT;

    ql_notify("RELOADING=1");
    ql_daemon_reopen_log(&self);
    if (ql_daemon_tls(&self, QL_TLS_SERVER, &server, &err) == QL_OK &&
        ql_daemon_tls(&self, QL_TLS_CLIENT, &client, &err) == QL_OK) {
        ql_http_server_set_tls(v->https, server);
        ql_tls_unref(v->agent_tls);
        v->agent_tls = client;
        ql_agents_visit(&v->agents, use_new_tls, client);
    } else {
        ql_log(QL_ERROR, "main", "certificates not reloaded: %s", err.text);
    }
    ql_pool_restart(v->pool);
    ql_pool_restart(v->public_pool);
    ql_log(QL_INFO, "main", "reloaded");
    ql_notify("READY=1");
}

/* ---- store ---- */

static int open_store(struct ql_verifier *v, struct ql_err *err)
{
    const struct ql_daemon self = as_daemon(v);
    ql_auto_free char *key = ql_path_join(v->state_dir, text(v, "store_key_file"));
    ql_auto_free char *journal = ql_path_join(v->state_dir, "failures.journal");
    int r;

    if (!key || !journal)
        return ql_fail_nomem(err);
    r = ql_seal_open(key, &v->seal, err);
    if (r == QL_OK)
        r = ql_journal_open(journal, &v->journal, err);
    return r == QL_OK ? ql_daemon_open_store(&self, v->plugins, &ql_verifier_schema, &v->store, err) : r;
}

/* ---- workers ---- */

static int give_policy(void *arg, const uint8_t digest[32], int *ret_fd, size_t *ret_len)
{
    struct ql_verifier *v = arg;

    return ql_contents_fd(v->contents, digest, ret_fd, ret_len);
}

static enum ql_pool_isolation isolation(const struct ql_verifier *v)
{
    const char *word = text(v, "worker_isolation");

    return strcmp(word, "job") == 0     ? QL_ISOLATION_JOB
           : strcmp(word, "group") == 0 ? QL_ISOLATION_GROUP
                                        : QL_ISOLATION_SHARED;
}

/* Scripts of boot policies are read by the plugin, inside of the worker. @return how many */
static size_t boot_scripts(const struct ql_verifier *v, const char *const *plugins, size_t count,
                           const char **ret)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (strcmp(plugins[i], "mboot") == 0)
            for (;
                 n < QL_POOL_READABLE_MAX && n < ql_config_count(v->config, "mboot", "measured_boot_imports");
                 n++)
                ret[n] = ql_config_item(v->config, "mboot", "measured_boot_imports", n);
    return n;
}

static int start_pools(struct ql_verifier *v, struct ql_err *err)
{
    ql_auto_free char *options = NULL;
    const char *plugins[PLUGINS_MAX], *readable[QL_POOL_READABLE_MAX];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned most = number(v, "max_workers");
    struct ql_pool_config config = {
        .base = v->base,
        .worker_path = ql_worker_path(text(v, "worker_path")),
        .plugin_dir = ql_plugin_dir(text(v, "plugin_dir")),
        .plugins = plugins,
        .workers = cpus > 0 ? (unsigned)cpus : 1,
        .memory_max = (size_t)ql_config_int(v->config, "verifier", "worker_memory_max"),
        .cpu_ms = number(v, "worker_cpu_ms"),
        .wall_ms = number(v, "worker_wall_ms"),
        .jobs_max = number(v, "worker_max_jobs"),
        .isolation = isolation(v),
        .policy = give_policy,
        .arg = v,
    };
    int r = worker_plugin_names(v, plugins, &config.plugin_count, err);

    config.readable_count = boot_scripts(v, plugins, config.plugin_count, readable);
    config.readable = readable;
    if (r == QL_OK)
        r = ql_registry_config_text(v->worker_plugins, v->config, &options, err);
    if (r < 0)
        return r;
    config.config_text = options;
    if (most > 0 && config.workers > most)
        config.workers = most;
    r = ql_pool_new(&config, &v->pool, err);
    if (r < 0)
        return r;
    /* Whoever asks for one-shot checks shares one worker with the others who do. */
    config.workers = 1;
    if (config.cpu_ms > QL_EVIDENCE_CPU_MS)
        config.cpu_ms = QL_EVIDENCE_CPU_MS;
    return ql_pool_new(&config, &v->public_pool, err);
}

/* ---- loop ---- */

static void on_term(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    ql_verifier_stop(arg);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    ql_verifier_reload(arg);
}

static int add_signals(struct ql_verifier *v, struct ql_err *err)
{
    v->term = evsignal_new(v->base, SIGTERM, on_term, v);
    v->interrupt = evsignal_new(v->base, SIGINT, on_term, v);
    v->hangup = evsignal_new(v->base, SIGHUP, on_hangup, v);
    if (!v->term || !v->interrupt || !v->hangup || event_add(v->term, NULL) != 0 ||
        event_add(v->interrupt, NULL) != 0 || event_add(v->hangup, NULL) != 0)
        return ql_fail(err, QL_EINTERNAL, "signals cannot be set up");
    return QL_OK;
}

static int make_client(struct ql_verifier *v, struct ql_err *err)
{
    const struct ql_http_client_config config = {
        .base = v->base,
        .connecting_max = number(v, "agent_connecting_max"),
        .connect_ms = number(v, "agent_connect_ms"),
        .total_body_max = (size_t)ql_config_int(v->config, "verifier", "max_agent_responses"),
    };
    const struct ql_daemon self = as_daemon(v);
    int r = ql_daemon_tls(&self, QL_TLS_CLIENT, &v->agent_tls, err);

    return r == QL_OK ? ql_http_client_new(&config, &v->client, err) : r;
}

static int listen_on(struct ql_verifier *v, struct ql_err *err)
{
    ql_auto(ql_tls_unrefp) struct ql_tls *server = NULL;
    const struct ql_daemon self = as_daemon(v);
    struct ql_http_server_config config = {
        .base = v->base,
        .address = text(v, "ip"),
        .port = (uint16_t)number(v, "port"),
        .versions = ql_verifier_versions,
        .arg = v,
        .limits = ql_daemon_limits(&self),
        .slash_optional = true,
        .judges_tokens = true,
    };
    int r = ql_daemon_tls(&self, QL_TLS_SERVER, &server, err);

    config.limits.handshakes_max = number(v, "http_handshakes_max");
    config.limits.write_ms = number(v, "http_write_ms");
    config.limits.reply_ms = number(v, "http_reply_ms");
    v->routes = ql_verifier_routes_for(text(v, "verify_evidence"));
    if (!v->routes)
        return ql_fail_nomem(err);
    config.routes = v->routes;
    config.tls = server;
    return r == QL_OK ? ql_http_server_new(&config, &v->https, err) : r;
}

/* 10,000 agents are 10,000 descriptors and more: take what the system allows. */
static void raise_limits(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* it stays as it was */
    }
}

int ql_verifier_start(struct ql_verifier *v, struct ql_err *err)
{
    int r;

    raise_limits();
    r = make_tls_dir(v, err);
    if (r == QL_OK)
        r = ql_contents_new(&v->contents, err);
    if (r == QL_OK)
        r = open_store(v, err);
    if (r == QL_OK)
        r = ql_offload_new(v->base, &v->offload, err);
    if (r == QL_OK)
        r = start_pools(v, err);
    if (r == QL_OK)
        r = add_signals(v, err);
    if (r == QL_OK)
        r = make_client(v, err);
    if (r == QL_OK)
        r = ql_scheduler_init(v, err);
    if (r == QL_OK)
        r = ql_failures_init(v, err);
    if (r == QL_OK)
        r = ql_verifier_recover(v, err);
    if (r == QL_OK)
        r = listen_on(v, err);
    if (r == QL_OK)
        r = ql_leases_start(v, err);
    if (r == QL_OK)
        r = ql_outbox_runner_new(v, &v->outbox, err);
    if (r < 0)
        return r;
    ql_log(QL_INFO, "main", "ready: HTTPS port %u, %zu agents", ql_http_server_port(v->https),
           v->agents.count);
    ql_notify("READY=1");
    return QL_OK;
}
