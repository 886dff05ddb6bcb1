/* SPDX-License-Identifier: Apache-2.0 */
/* Is the endorsement key that of a genuine TPM? Certificate store and script (spec/server.md 10.3, step 4). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "buf.h"
#include "clock.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "tenant.h"

enum {
    SCRIPT_OUTPUT_MAX = 64 * 1024, /* bytes of a script's output that are kept */
    SCRIPT_S = 300                 /* seconds it may take */
};

/* ---- certificate store ---- */

static int check_certificate(struct ql_tenant *t, const struct ql_registered *reg, struct ql_err *err)
{
    ql_auto(ql_trust_freep) struct ql_trust *trust = NULL;
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto(ql_key_freep) struct ql_key *cert_key = NULL, *ek_key = NULL;
    ql_auto_free char *dir =
        ql_path_join(t->state_dir, ql_config_string(t->config, "tenant", "tpm_cert_store"));
    struct ql_tpm_public ek;
    size_t added = 0, skipped = 0;
    int r;

    if (!dir)
        return ql_fail_nomem(err);
    if (!reg->ekcert || !reg->ek_tpm)
        return ql_fail(err, QL_ENOTFOUND, "the agent did not register an EK certificate");
    r = ql_cert_from_any(reg->ekcert, strlen(reg->ekcert), &cert, err);
    if (r == QL_OK)
        r = ql_tpm_public_from_text(reg->ek_tpm, strlen(reg->ek_tpm), &ek, NULL, NULL, err);
    if (r == QL_OK)
        r = ql_tpm_public_key(&ek, &ek_key, err);
    if (r == QL_OK)
        r = ql_cert_key(cert, &cert_key, err);
    if (r < 0)
        return r;
    if (!ql_key_equal(ek_key, cert_key))
        return ql_fail(err, QL_ECRYPTO, "the EK certificate is that of another key");
    r = ql_trust_new(&trust, err);
    if (r == QL_OK)
        r = ql_trust_add_dir(trust, dir, &added, &skipped, err);
    if (r < 0)
        return r;
    if (skipped > 0)
        ql_say_warning("%zu files of %s cannot be read as certificates", skipped, dir);
    if (added == 0)
        return ql_fail(err, QL_ENOTFOUND, "no certificates in %s", dir);
    return ql_trust_check(trust, cert, ql_config_bool(t->config, "tenant", "tpm_cert_check_dates"), err);
}

/* ---- script ---- */

/** "NAME=value" texts of the script's environment. */
struct environment {
    char *vars[16];
    size_t count;
    bool failed;
};

static void add_var(struct environment *env, const char *name, const char *value)
{
    if (env->count + 1 >= QL_ARRAY_LEN(env->vars) ||
        asprintf(&env->vars[env->count], "%s=%s", name, value) < 0) {
        env->failed = true;
        return;
    }
    env->count++;
}

static void environment_done(struct environment *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->vars[i]);
}

static void inherit(struct environment *env, const char *name)
{
    const char *value = getenv(name);

    if (value)
        add_var(env, name, value);
}

static int fill_environment(struct ql_tenant *t, const struct ql_registered *reg, struct environment *env,
                            struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto_free char *store =
        ql_path_join(t->state_dir, ql_config_string(t->config, "tenant", "tpm_cert_store"));
    ql_auto_free char *pem = NULL;
    struct ql_tpm_public ek;
    int r;

    if (!reg->ek_tpm)
        return ql_fail(err, QL_ENOTFOUND, "the agent did not register an EK");
    r = ql_tpm_public_from_text(reg->ek_tpm, strlen(reg->ek_tpm), &ek, NULL, NULL, err);
    if (r == QL_OK)
        r = ql_tpm_public_key(&ek, &key, err);
    if (r < 0)
        return r;
    pem = ql_key_public_pem(key);
    if (!pem || !store)
        return ql_fail_nomem(err);
    inherit(env, "PATH");
    inherit(env, "HOME");
    inherit(env, "LANG");
    add_var(env, "AGENT_UUID", t->agent_id);
    add_var(env, "EK", pem);
    add_var(env, "EK_TPM", reg->ek_tpm);
    add_var(env, "EK_CERT", reg->ekcert ? reg->ekcert : "");
    add_var(env, "PROVKEYS", "{}");
    add_var(env, "TPM_CERT_STORE", store);
    return env->failed ? ql_fail_nomem(err) : QL_OK;
}

/* Child side: only calls that are safe after fork. */
static void exec_script(const char *path, const char *dir, int output, char *const *env)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0 || setpgid(0, 0) != 0 || chdir(dir) != 0)
        _exit(127);
    execve(path, argv, env);
    _exit(127);
}

/* Collect output until the script closes it or its time is up. @return false: time is up */
static bool collect(int fd, struct ql_buf *out)
{
    int64_t end_ns = ql_mono_ns() + SCRIPT_S * QL_NS_PER_S;

    for (;;) {
        int64_t left_ms = (end_ns - ql_mono_ns()) / QL_NS_PER_MS;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char piece[4096];
        ssize_t got;

        if (left_ms <= 0)
            return false;
        if (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR)
            return false;
        if (p.revents == 0)
            continue;
        got = read(fd, piece, sizeof piece);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return true;
        if (got > 0 && !out->failed)
            (void)ql_buf_add(out, piece, (size_t)got); /* beyond the limit the rest is read and dropped */
    }
}

static int run_script(struct ql_tenant *t, const char *path, struct environment *env, struct ql_err *err)
{
    ql_auto_buf struct ql_buf out = ql_buf_init(SCRIPT_OUTPUT_MAX);
    ql_auto_close int from = -1;
    int ends[2], status = 0;
    bool in_time;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return ql_fail(err, QL_EIO, "pipe: %m");
    from = ends[0];
    child = fork();
    if (child == 0)
        exec_script(path, t->state_dir, ends[1], env->vars);
    close(ends[1]);
    if (child < 0)
        return ql_fail(err, QL_EIO, "fork: %m");
    in_time = collect(from, &out);
    if (!in_time)
        (void)kill(-child, SIGKILL); /* it may have ended by itself just now */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (out.len > 0)
        ql_say_info("ek_check output: %.*s", (int)out.len, (const char *)out.data);
    if (!in_time)
        return ql_fail(err, QL_ETIMEOUT, "%s took longer than %d s", path, SCRIPT_S);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return ql_fail(err, QL_ECRYPTO, "%s exited with %d", path,
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return QL_OK;
}

static int check_by_script(struct ql_tenant *t, const struct ql_registered *reg, const char *script,
                           struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(t->state_dir, script);
    struct environment env = {0};
    int r = path ? fill_environment(t, reg, &env, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        r = run_script(t, path, &env, err);
    environment_done(&env);
    return r;
}

bool ql_ek_check(struct ql_tenant *t, const struct ql_registered *reg)
{
    const char *script = ql_config_string(t->config, "tenant", "ek_check_script");
    bool required = ql_config_bool(t->config, "tenant", "require_ek_cert");
    struct ql_err err = QL_ERR_INIT;

    if (!required && *script == '\0')
        ql_say_warning(
            "DANGER: EK cert checking is disabled and no additional checks on EKs have been specified with "
            "ek_check_script option for Agent %s. Keylime is not secure!!",
            t->agent_name);
    if (required && check_certificate(t, reg, &err) < 0) {
        ql_say_error("EK certificate of Agent %s is not accepted: %s", t->agent_name, err.text);
        return false;
    }
    if (*script != '\0' && check_by_script(t, reg, script, &err) < 0) {
        ql_say_error("External check script failed to validate EK: %s", err.text);
        return false;
    }
    return true;
}
