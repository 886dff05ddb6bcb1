/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "file.h"
#include "identity.h"
#include "keeper.h"
#include "log.h"
#include "loop.h"
#include "paths.h"
#include "payload.h"
#include "payload_user.h"
#include "privileged.h"
#include "privileges.h"
#include "registration.h"
#include "revocation.h"

static const struct ql_program PROGRAM = {
    .name = "quicklime-agent",
    .component = "agent",
    .summary = "answers a verifier's requests with quotes of this node's TPM",
    .groups = QL_AGENT_GROUPS,
};

/** Options of the agent's own group, under Keylime's names, that belong to evidence plugins. */
static const char *const HANDED_DOWN[] = {"ima_ml_path", "measuredboot_ml_path"};

/* ---- before the loop ---- */

static int load_plugins(struct ql_agent *a, struct ql_err *err)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_EVIDENCE};
    const size_t count = ql_config_count(a->config, "agent", "plugins");
    ql_auto_free const char **names = calloc(count > 0 ? count : 1, sizeof *names);
    int r = names ? ql_registry_new(&config, &a->registry, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        names[i] = ql_config_item(a->config, "agent", "plugins", i);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(HANDED_DOWN); i++)
        r = ql_config_hand_down(a->start.config, "agent", HANDED_DOWN[i], err);
    if (r < 0)
        return r;
    r = ql_registry_load_all(a->registry, ql_plugin_dir(ql_config_string(a->config, "agent", "plugin_dir")),
                             names, count, a->start.config, err);
    return r < 0 ? r : ql_config_finish(a->config, err);
}

/** Make a folder that is missing, for the user the agent becomes. */
static int make_folder(const char *path, const struct ql_run_as *user, struct ql_err *err)
{
    struct stat st;
    const bool missing = stat(path, &st) < 0 && errno == ENOENT;
    int r = ql_dir_make(path, 0750, err);

    if (r == 0 && missing && user && chown(path, user->uid, user->gid) < 0)
        r = ql_fail(err, QL_EACCES, "%s: chown: %s", path, strerror(errno));
    return r;
}

static int open_evidence(struct ql_tpm **tpm, void *arg, struct ql_err *err)
{
    struct ql_agent *a = arg;

    (void)tpm;
    return ql_evidence_set_open(a->registry, &a->evidence, err);
}

static int close_evidence(struct ql_tpm **tpm, void *arg, struct ql_err *err)
{
    struct ql_agent *a = arg;

    (void)tpm;
    (void)err;
    ql_evidence_set_close(a->evidence);
    a->evidence = NULL;
    return QL_OK;
}

/** The folder of payloads. @param user  who the agent becomes; NULL: it stays who it is */
static int open_secure(struct ql_agent *a, const struct ql_run_as *user, struct ql_err *err)
{
    const char *run_as = ql_config_string(a->config, "agent", "payload_run_as");
    ql_auto_free char *path = ql_path_join(a->dir, "secure");
    ql_auto(ql_run_as_done) struct ql_run_as reader = {0};
    struct ql_secure_config config = {.path = path,
                                      .size = ql_config_string(a->config, "agent", "secure_size"),
                                      .is_insecure =
                                          ql_config_bool(a->config, "agent", "enable_insecure_storage"),
                                      .uid = user ? user->uid : geteuid(),
                                      .gid = user ? user->gid : getegid()};
    int r = QL_OK;

    if (!a->payload_allowed)
        return QL_OK;
    if (*run_as != '\0')
        r = ql_payload_user_parse(run_as, &reader, err);
    if (r < 0)
        return r;
    a->secure_owner = config.uid;
    a->secure_group = config.for_group = reader.uid != 0 && reader.uid != config.uid;
    if (config.for_group) {
        config.gid = reader.gid;
        (void)umask(
            0027); /* chmod would take the set-group-ID bit off folders; every other file names its mode */
    }
    r = path ? ql_secure_open(&config, &a->secure, err) : ql_fail_nomem(err);
    if (r == QL_OK && !a->secure.is_tmpfs)
        ql_log(QL_WARN, "payload", "enable_insecure_storage: payloads are kept in a plain folder, %s",
               a->secure.path);
    return r;
}

/** What needs root, and then root no more. */
static int as_root(struct ql_agent *a, struct ql_err *err)
{
    const char *run_as = ql_config_string(a->config, "agent", "run_as");
    ql_auto(ql_run_as_done) struct ql_run_as user = {0};
    const bool drop = geteuid() == 0 && *run_as != '\0';
    int r = drop ? ql_run_as_parse(run_as, &user, err) : QL_OK;

    if (r == 0)
        r = make_folder(a->start.state_dir, drop ? &user : NULL, err);
    if (r == 0)
        r = make_folder(a->dir, drop ? &user : NULL, err);
    if (r == 0)
        r = ql_state_dir_lock(a->start.state_dir, &a->lock_fd, err);
    if (r == 0)
        r = open_secure(a, drop ? &user : NULL, err);
    if (r == 0)
        r = ql_tpm_thread_run(a->tpm, open_evidence, a, err);
    if (r == 0) /* the firmware's UUID is readable by root alone */
        r = ql_identity_resolve(ql_config_string(a->config, "agent", "uuid"), NULL, &a->id, err);
    if (r == 0)
        r = ql_privileged_start(a, &a->privileged, err);
    if (r == 0)
        r = ql_keeper_start(a, drop, &a->keeper, err);
    if (r < 0)
        return r;
    if (drop) {
        r = ql_run_as_drop(&user, err);
        if (r < 0)
            return r;
        ql_log(QL_INFO, "agent", "running as %s", run_as);
    } else if (geteuid() == 0) {
        ql_log(QL_WARN, "agent", "run_as is empty: the agent stays root");
    }
    if (access(a->dir, R_OK | W_OK | X_OK) < 0)
        return ql_fail(err, QL_EACCES, "keylime_dir %s: not readable and writable for uid %u: %s", a->dir,
                       (unsigned)geteuid(), strerror(errno));
    return QL_OK;
}

static int read_algorithms(struct ql_agent *a, struct ql_err *err)
{
    a->algs = (struct ql_tpm_algs){.hash = ql_config_string(a->config, "agent", "tpm_hash_alg"),
                                   .enc = ql_config_string(a->config, "agent", "tpm_encryption_alg"),
                                   .sign = ql_config_string(a->config, "agent", "tpm_signing_alg")};
    if (ql_hash_by_name(a->algs.hash, strlen(a->algs.hash), &a->bank) < 0)
        return ql_fail(err, QL_ERANGE, "tpm_hash_alg %s is unknown", a->algs.hash);
    if (strcmp(a->algs.sign, "rsapss") == 0 || strcmp(a->algs.sign, "ecschnorr") == 0)
        ql_log(QL_WARN, "tpm", "tpm_signing_alg %s: verifiers refuse quotes of this scheme", a->algs.sign);
    return QL_OK;
}

/** Folders and values that the options stand for. */
static int read_options(struct ql_agent *a, struct ql_err *err)
{
    const char *dir = ql_config_string(a->config, "agent", "keylime_dir");
    const char *host = ql_config_string(a->config, "agent", "contact_ip");
    const size_t len = strlen(host);
    int r = ql_agent_check_options(a, err);

    if (r == 0)
        r = read_algorithms(a, err);
    if (r < 0)
        return r;
    if (*dir != '\0' && *dir != '/')
        return ql_fail(err, QL_ERANGE, "keylime_dir \"%s\" is not an absolute path", dir);
    a->dir = strdup(*dir != '\0' ? dir : a->start.state_dir);
    a->host = *host == '[' && len > 2 ? strndup(host + 1, len - 2) : strdup(host);
    if (!a->dir || !a->host)
        return ql_fail_nomem(err);
    ql_agent_versions(a, a->versions);
    a->evidence_max = (size_t)ql_config_int(a->config, "agent", "max_evidence");
    a->payload_allowed = ql_config_bool(a->config, "agent", "enable_agent_mtls") ||
                         ql_config_bool(a->config, "agent", "enable_insecure_payload");
    return QL_OK;
}

/* ---- in the loop ---- */

static int listen_now(struct ql_agent *a, struct ql_err *err)
{
    const struct ql_config *c = a->config;
    const unsigned request_ms = (unsigned)ql_config_int(c, "agent", "request_timeout") * 1000;
    const struct ql_http_server_config config = {
        .base = a->base,
        .address = ql_config_string(c, "agent", "ip"),
        .port = (uint16_t)ql_config_int(c, "agent", "port"),
        .tls = a->tls,
        .json_compact = true,
        .routes = QL_AGENT_ROUTES,
        .versions = a->versions,
        .arg = a,
        .limits = {.connections_max = (unsigned)ql_config_int(c, "agent", "max_connections"),
                   .per_address_max = (unsigned)ql_config_int(c, "agent", "max_connections_per_address"),
                   .idle_ms = (unsigned)ql_config_int(c, "agent", "idle_timeout") * 1000,
                   .body_ms = request_ms,
                   .reply_ms = request_ms,
                   .deferred_max = QL_TPM_QUEUE_MAX + 1},
        .on_miss = ql_agent_miss,
    };

    return ql_http_server_new(&config, &a->server, err);
}

/** The registration cannot be freed from inside its own callback. */
static void drop_registration(evutil_socket_t fd, short what, void *arg)
{
    struct ql_agent *a = arg;

    (void)fd;
    (void)what;
    ql_registration_free(a->registration);
    a->registration = NULL;
}

static void registered(void *arg, int code, const char *text)
{
    struct ql_agent *a = arg;
    const struct timeval now = {0};
    struct ql_err err = QL_ERR_INIT;

    if (code != QL_OK) {
        ql_log(QL_ERROR, "registration", "agent=%s: %s%s", a->id, text,
               code == QL_EACCES
                   ? ": another key or TPM is registered under this id; its operator must delete it"
                   : "");
        a->exit_code = 1;
        event_base_loopbreak(a->base);
        return;
    }
    if (listen_now(a, &err) < 0) {
        ql_log(QL_ERROR, "http", "%s", err.text);
        a->exit_code = 1;
        event_base_loopbreak(a->base);
        return;
    }
    (void)event_base_once(a->base, -1, EV_TIMEOUT, drop_registration, a, &now); /* else it goes at the end */
    ql_log(QL_INFO, "registration", "agent=%s: registered and active (%s)", a->id, text);
    ql_log(QL_INFO, "agent", "ready");
    ql_notify("READY=1");
}

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    struct ql_agent *a = arg;
    const struct timeval again = {.tv_usec = 20000};

    (void)fd;
    (void)what;
    if (ql_http_server_pending(a->server) == 0 || ql_mono_ns() >= a->drain_until_ns ||
        event_add(a->drain, &again) < 0)
        event_base_loopbreak(a->base);
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    struct ql_agent *a = arg;

    (void)sig;
    (void)what;
    if (a->drain_until_ns != 0 || !a->server) {
        event_base_loopbreak(a->base);
        return;
    }
    ql_notify("STOPPING=1");
    ql_log(QL_INFO, "agent", "stopping");
    a->drain_until_ns = ql_mono_ns() + QL_AGENT_DRAIN_MS * QL_NS_PER_MS;
    ql_http_server_drain(a->server);
    on_drain(-1, 0, a);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
    struct ql_agent *a = arg;
    const char *log_file = ql_config_string(a->config, "agent", "log_file");
    ql_auto(ql_tls_unrefp) struct ql_tls *tls = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)sig;
    (void)what;
    if (*log_file != '\0' && ql_log_open(log_file, &err) < 0)
        ql_log(QL_ERROR, "agent", "reload: %s", err.text);
    if (a->tls && ql_agent_tls_load(a, &tls, &err) < 0) {
        ql_log(QL_ERROR, "tls", "reload: the certificates in use stay: %s", err.text);
        return;
    }
    if (tls) {
        ql_tls_unref(a->tls);
        a->tls = ql_steal(tls);
        if (a->server)
            ql_http_server_set_tls(a->server, a->tls);
    }
    ql_log(QL_INFO, "agent", "reloaded");
}

static int watch_signals(struct ql_agent *a, struct ql_err *err)
{
    static const struct {
        int number;
        event_callback_fn handler;
    } rows[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        a->signals[i] = evsignal_new(a->base, rows[i].number, rows[i].handler, a);
        if (!a->signals[i] || event_add(a->signals[i], NULL) < 0)
            return ql_fail_nomem(err);
    }
    a->drain = evtimer_new(a->base, on_drain, a);
    return a->drain ? QL_OK : ql_fail_nomem(err);
}

/* ---- all of it ---- */

static int prepare(struct ql_agent *a, struct ql_err *err)
{
    int r = ql_tpm_thread_new(a->base, &a->tpm, err);

    if (r < 0)
        return r;
    ql_tpm_thread_at_end(a->tpm, close_evidence, a);
    r = as_root(a, err);
    if (r == 0)
        r = ql_agent_tpm_setup(a, err);
    if (r == 0)
        r = ql_agent_keys_setup(a, err);
    if (r == 0)
        r = ql_bootstrap_new(a->id, &a->bootstrap, err);
    if (r == 0 && a->payload_allowed)
        r = ql_payload_new(a, &a->payload, err);
    if (r == 0)
        r = ql_keeper_attach(a->keeper, err);
    if (r == 0)
        r = ql_privileged_attach(a->privileged, err);
    if (r == 0)
        r = ql_revocation_new(a, &a->revocation, err);
    if (r == 0)
        r = watch_signals(a, err);
    if (r == 0)
        r = ql_registration_new(a, registered, a, &a->registration, err);
    return r;
}

static void agent_done(struct ql_agent *a)
{
    ql_tpm_thread_free(a->tpm); /* answers what is still waiting, so the server goes later */
    ql_registration_free(a->registration);
    ql_http_server_free(a->server);
    ql_payload_free(a->payload);
    ql_keeper_free(a->keeper);
    ql_revocation_free(a->revocation);
    ql_privileged_free(a->privileged);
    for (size_t i = 0; i < QL_ARRAY_LEN(a->signals); i++)
        if (a->signals[i])
            event_free(a->signals[i]);
    if (a->drain)
        event_free(a->drain);
    if (a->base)
        event_base_free(a->base);
    ql_bootstrap_free(a->bootstrap);
    ql_tls_unref(a->tls);
    ql_key_free(a->nk);
    ql_registry_free(a->registry);
    (void)ql_secure_close(&a->secure); /* without root it was the keeper's */
    free(a->dir);
    free(a->id);
    free(a->host);
    free(a->nk_pem);
    free(a->ek);
    free(a->ak);
    free(a->iak);
    free(a->idevid);
    free(a->ekcert);
    free(a->iak_cert);
    free(a->idevid_cert);
    free(a->mtls_cert);
    ql_closep(&a->lock_fd);
    ql_start_done(&a->start);
}

static void run(struct ql_agent *a)
{
    struct ql_err err = QL_ERR_INIT;
    int r = load_plugins(a, &err);

    if (r == 0 && a->start.show_config) {
        ql_config_show(a->config, stdout);
        return;
    }
    if (r == 0)
        r = read_options(a, &err);
    if (r == 0 && a->start.check_config)
        return;
    if (r == 0 && a->try_action) {
        a->exit_code = ql_revocation_try(a, a->try_action, a->try_event);
        return;
    }
    if (r == 0) {
        a->base = ql_loop_new(0);
        r = a->base ? prepare(a, &err) : ql_fail_nomem(&err);
    }
    if (r < 0) {
        ql_log(QL_ERROR, "agent", "%s", err.text);
        a->exit_code = 1;
        return;
    }
    ql_log(QL_INFO, "agent", "agent=%s: registering", a->id);
    if (event_base_dispatch(a->base) < 0) {
        ql_log(QL_ERROR, "agent", "the event loop failed");
        a->exit_code = 1;
    }
}

/** `--test-action FILE EVENT`: taken out of the command line. @return arguments that are left, -1: usage */
static int take_test_action(int argc, char **argv, struct ql_agent *a)
{
    int left = 0;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--test-action") != 0) {
            argv[left++] = argv[i];
            continue;
        }
        if (a->try_action || argc - i < 3)
            return -1;
        a->try_action = argv[i + 1];
        a->try_event = argv[i + 2];
        i += 2;
    }
    return left;
}

int ql_agent_main(int argc, char **argv)
{
    struct ql_agent a = {.lock_fd = -1};

    argc = take_test_action(argc, argv, &a);
    if (argc < 0) {
        (void)fprintf(stderr, "quicklime-agent: --test-action takes FILE and EVENT.json, once\n");
        return 2;
    }

    /* tpm2-tss writes to stderr by itself; our own lines carry its codes in words. */
    (void)setenv("TSS2_LOG", "all+none", 0); /* the worst is noise */
    (void)signal(SIGHUP, SIG_IGN);           /* until there is something to reload */
    if (ql_program_start(&PROGRAM, argc, argv, &a.start, &a.exit_code) != 0)
        return a.exit_code;
    a.config = a.start.config;
    run(&a);
    agent_done(&a);
    return a.exit_code;
}
