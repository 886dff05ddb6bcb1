/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "daemon.h"
#include "error.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "paths.h"
#include "registrar.h"
#include "schemas.h"
#include "secret.h"
#include "tlsdir.h"

enum {
    WAIT_FOR_CA_MS = 1000,
    DRAIN_S = 10,
    IAK_CA_FILE_MAX = 64 * 1024
};

static struct ql_daemon as_daemon(const struct ql_registrar *r)
{
    return (struct ql_daemon){
        .base = r->base,
        .config = r->config,
        .group = "registrar",
        .state_dir = r->state_dir,
        .own_ca = "reg_ca",
    };
}

/* ---- what starts and stops ---- */

static void on_term(evutil_socket_t sig, short what, void *arg)
{
    struct ql_registrar *r = arg;
    struct timeval grace = {.tv_sec = DRAIN_S};

    (void)sig;
    (void)what;
    ql_notify("STOPPING=1");
    ql_log(QL_INFO, "main", "stopping");
    if (r->http)
        ql_http_server_drain(r->http);
    if (r->https)
        ql_http_server_drain(r->https);
    /* Requests under way end within the grace; nothing new comes in. */
    if (!r->http || (ql_http_server_pending(r->http) == 0 && ql_http_server_pending(r->https) == 0))
        event_base_loopbreak(r->base);
    else
        event_base_loopexit(r->base, &grace);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
    struct ql_registrar *r = arg;
    ql_auto(ql_tls_unrefp) struct ql_tls *tls = NULL;
    const struct ql_daemon self = as_daemon(r);
    struct ql_err err = QL_ERR_INIT;

    (void)sig;
    (void)what;
    ql_notify("RELOADING=1");
    ql_daemon_reopen_log(&self);
    if (ql_daemon_tls(&self, QL_TLS_SERVER, &tls, &err) == QL_OK)
        ql_http_server_set_tls(r->https, tls);
    else
        ql_log(QL_ERROR, "main", "certificates not reloaded: %s", err.text);
    ql_pool_restart(r->pool);
    ql_log(QL_INFO, "main", "reloaded");
    ql_notify("READY=1");
}

static int expire_txn(struct ql_txn *t, void *arg, struct ql_err *err)
{
    uint64_t dropped;

    (void)arg;
    return ql_registrations_expire(t, ql_now_ns() - QL_PENDING_S * QL_NS_PER_S, QL_PENDING_MAX, &dropped,
                                   err);
}

static void expired(int result, const struct ql_err *err, void *arg)
{
    (void)arg;
    if (result < 0)
        ql_log(QL_WARN, "store", "old registrations not removed: %s", err->text);
}

static void on_expire(evutil_socket_t fd, short what, void *arg)
{
    struct ql_registrar *r = arg;
    struct ql_err err = QL_ERR_INIT;

    (void)fd;
    (void)what;
    if (ql_store_submit(r->store, expire_txn, expired, r, &err) < 0)
        ql_log(QL_WARN, "store", "old registrations not removed: %s", err.text);
}

/* ---- start-up ---- */

static int load_iak_ca(struct ql_registrar *r, struct ql_err *err)
{
    ql_auto_free char *dir =
        ql_path_join(r->state_dir, ql_config_string(r->config, "registrar", "tpm_cert_store"));
    struct dirent **names = NULL;
    size_t loaded = 0;
    int found;

    if (!dir)
        return ql_fail_nomem(err);
    found = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < found; i++) {
        const char *ending = strrchr(names[i]->d_name, '.');
        ql_auto_free char *path = ql_path_join(dir, names[i]->d_name);
        uint8_t *text = NULL;
        size_t len;

        if (path && ending && strcmp(ending, ".pem") == 0 && loaded < QL_IAK_CA_MAX &&
            ql_file_read(path, IAK_CA_FILE_MAX, &text, &len, err) == QL_OK)
            r->iak_ca[loaded++] = (char *)text;
        free(names[i]);
    }
    free(names);
    if (loaded == 0 && r->iak_needed)
        return ql_fail(err, QL_ENOTFOUND,
                       "tpm_identity = \"iak_idevid\" needs certificates in %s, there are none", dir);
    return QL_OK;
}

static void tpm_identity(struct ql_registrar *r)
{
    const char *identity = ql_config_string(r->config, "registrar", "tpm_identity");

    r->iak_needed = strcmp(identity, "iak_idevid") == 0;
    r->ek_needed = !r->iak_needed; /* an EK is needed in any case to make the challenge */
}

/* `tls_dir = generate`: a CA and certificates of our own, made once. */
static int make_tls_dir(struct ql_registrar *r, struct ql_err *err)
{
    ql_auto_free char *dir = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    const char *dns[18] = {"localhost"}, *ips[] = {"127.0.0.1", "::1", NULL, NULL};
    const char *ip = ql_config_string(r->config, "registrar", "ip");
    const char *key_password = ql_config_string(r->config, "registrar", "server_key_password");
    struct ql_tls_dir what = {
        .ca_subject = {"US", "Keylime Certificate Authority", "MA", "Lexington", "Keylime", "53"},
        .dns = dns,
        .ips = ips,
    };
    bool made;
    int result;

    if (strcmp(ql_config_string(r->config, "registrar", "tls_dir"), "generate") != 0)
        return QL_OK;
    for (size_t i = 0; i < 16; i++) {
        dns[i + 1] = ql_config_item(r->config, "registrar", "cert_subject_alternative_names", i);
        if (!dns[i + 1])
            break;
    }
    if (strcmp(ip, "*") != 0 && strcmp(ip, "0.0.0.0") != 0 && strcmp(ip, "::") != 0 &&
        strcmp(ip, "127.0.0.1") != 0)
        ips[2] = ip;
    if (*key_password != '\0') {
        result = ql_secret_new(key_password, strlen(key_password), &password, err);
        if (result < 0)
            return result;
        what.server_key_password = password;
    }
    dir = ql_path_join(r->state_dir, "reg_ca");
    if (!dir)
        return ql_fail_nomem(err);
    what.dir = dir;
    result = ql_tls_dir_make(&what, &made, err);
    if (result == QL_OK && made)
        ql_log(QL_INFO, "main", "made a CA and certificates in %s", dir);
    return result;
}

static int no_policies(void *arg, const uint8_t digest[32], int *ret_fd, size_t *ret_len)
{
    (void)arg;
    (void)digest;
    (void)ret_fd;
    (void)ret_len;
    return QL_ENOTFOUND;
}

static int start_pool(struct ql_registrar *r, struct ql_err *err)
{
    struct ql_pool_config config = {
        .base = r->base,
        .worker_path = ql_worker_path(ql_config_string(r->config, "registrar", "worker_path")),
        .plugin_dir = ql_plugin_dir(ql_config_string(r->config, "registrar", "plugin_dir")),
        .workers = (unsigned)ql_config_int(r->config, "registrar", "max_workers"),
        .policy = no_policies,
    };

    return ql_pool_new(&config, &r->pool, err);
}

static int listen_on(struct ql_registrar *r, const char *port, struct ql_tls *tls,
                     struct ql_http_server **ret, struct ql_err *err)
{
    const struct ql_daemon self = as_daemon(r);
    const struct ql_http_server_config config = {
        .base = r->base,
        .address = ql_config_string(r->config, "registrar", "ip"),
        .port = (uint16_t)ql_config_int(r->config, "registrar", port),
        .tls = tls,
        .routes = ql_registrar_routes,
        .versions = ql_registrar_versions,
        .arg = r,
        .limits = ql_daemon_limits(&self),
        .slash_optional = true,
        .judges_tokens = true,
        .json_indent = true,
    };

    return ql_http_server_new(&config, ret, err);
}

static int listen_all(struct ql_registrar *r, struct ql_err *err)
{
    ql_auto(ql_tls_unrefp) struct ql_tls *tls = NULL;
    const struct ql_daemon self = as_daemon(r);
    int result = ql_daemon_tls(&self, QL_TLS_SERVER, &tls, err);

    if (result == QL_OK)
        result = listen_on(r, "port", NULL, &r->http, err);
    if (result == QL_OK)
        result = listen_on(r, "tls_port", tls, &r->https, err);
    if (result < 0)
        return result;
    ql_log(QL_INFO, "main", "ready: HTTP port %u, HTTPS port %u", ql_http_server_port(r->http),
           ql_http_server_port(r->https));
    ql_notify("READY=1");
    return QL_OK;
}

/* The verifier may not have made its CA yet: wait for the files, whatever the order of starts. */
static void try_listen(evutil_socket_t fd, short what, void *arg)
{
    struct ql_registrar *r = arg;
    struct timeval again = ql_timeval(WAIT_FOR_CA_MS * QL_NS_PER_MS);
    struct ql_err err = QL_ERR_INIT;
    int result = listen_all(r, &err);

    (void)fd;
    if (result == QL_OK)
        return;
    if (result == QL_ENOTFOUND) {
        if (what == 0)
            ql_log(QL_WARN, "main", "waiting for certificates: %s", err.text);
        if (event_base_once(r->base, -1, EV_TIMEOUT, try_listen, r, &again) == 0)
            return;
    }
    r->failure = err;
    event_base_loopbreak(r->base);
}

static int add_signals(struct ql_registrar *r, struct ql_err *err)
{
    static const struct timeval every = {.tv_sec = QL_EXPIRE_EVERY_S};

    r->term = evsignal_new(r->base, SIGTERM, on_term, r);
    r->interrupt = evsignal_new(r->base, SIGINT, on_term, r);
    r->hangup = evsignal_new(r->base, SIGHUP, on_hangup, r);
    r->expire_timer = event_new(r->base, -1, EV_PERSIST, on_expire, r);
    if (!r->term || !r->interrupt || !r->hangup || !r->expire_timer || event_add(r->term, NULL) != 0 ||
        event_add(r->interrupt, NULL) != 0 || event_add(r->hangup, NULL) != 0 ||
        event_add(r->expire_timer, &every) != 0)
        return ql_fail(err, QL_EINTERNAL, "signals and timers cannot be set up");
    return QL_OK;
}

static int prepare(struct ql_registrar *r, struct ql_err *err)
{
    const struct ql_daemon self = as_daemon(r);
    int result = ql_daemon_load_backend(&self, &r->plugins, err);

    tpm_identity(r);
    if (result == QL_OK)
        result = ql_daemon_check_offered(&self, err);
    if (result == QL_OK)
        result = ql_config_finish(r->config, err);
    return result == QL_OK ? load_iak_ca(r, err) : result;
}

static int run(struct ql_registrar *r, struct ql_err *err)
{
    ql_auto_close int lock = -1;
    const struct ql_daemon self = as_daemon(r);
    int result = ql_dir_make(r->state_dir, 0700, err);

    if (result == QL_OK)
        result = ql_state_dir_lock(r->state_dir, &lock, err);
    if (result == QL_OK)
        result = make_tls_dir(r, err);
    if (result == QL_OK)
        result = ql_daemon_open_store(&self, r->plugins, &ql_registrar_schema, &r->store, err);
    if (result == QL_OK)
        result = start_pool(r, err);
    if (result == QL_OK)
        result = add_signals(r, err);
    if (result < 0)
        return result;
    try_listen(-1, 0, r);
    if (r->failure.code == 0)
        event_base_dispatch(r->base);
    if (r->failure.code != 0) {
        *err = r->failure;
        return r->failure.code;
    }
    ql_log(QL_INFO, "main", "stopped");
    return QL_OK;
}

static void done(struct ql_registrar *r)
{
    ql_http_server_free(r->http);
    ql_http_server_free(r->https);
    ql_pool_free(r->pool);
    ql_store_close(r->store);
    ql_registry_free(r->plugins);
    struct event *events[] = {r->expire_timer, r->term, r->interrupt, r->hangup};
    for (size_t i = 0; i < QL_ARRAY_LEN(events); i++)
        if (events[i])
            event_free(events[i]);
    for (size_t i = 0; i < QL_IAK_CA_MAX; i++)
        free(r->iak_ca[i]);
    if (r->base)
        event_base_free(r->base);
}

int main(int argc, char **argv)
{
    static const struct ql_program program = {
        .name = "quicklime-registrar",
        .component = "registrar",
        .summary = "registers agents and proves that their keys live in a TPM",
        .groups = ql_registrar_options,
    };
    struct ql_registrar r = {0};
    struct ql_start start = {0};
    struct ql_err err = QL_ERR_INIT;
    int exit_code = 0, result;

    if (ql_program_start(&program, argc, argv, &start, &exit_code) != 0)
        return exit_code;
    r.config = start.config;
    r.state_dir = start.state_dir;
    r.base = ql_loop_new(0);
    result = r.base ? prepare(&r, &err) : ql_fail_nomem(&err);
    if (result == QL_OK && start.show_config)
        ql_config_show(r.config, stdout);
    else if (result == QL_OK && !start.check_config)
        result = run(&r, &err);
    if (result < 0) {
        ql_log(QL_ERROR, "main", "%s", err.text);
        exit_code = 1;
    }
    done(&r);
    ql_start_done(&start);
    return exit_code;
}
