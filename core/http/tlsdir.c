/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "tlsdir.h"

/** Option names and default file names of one role. */
struct role_names {
    const char *key, *cert, *password, *ca;
    const char *default_key, *default_cert;
};

static const struct role_names roles[] = {
    [QL_TLS_SERVER] = {"server_key", "server_cert", "server_key_password", "trusted_client_ca",
                       "server-private.pem", "server-cert.crt"},
    [QL_TLS_CLIENT] = {"client_key", "client_cert", "client_key_password", "trusted_server_ca",
                       "client-private.pem", "client-cert.crt"},
};

static int join(const char *dir, const char *name, char **ret, struct ql_err *err)
{
    char *path = ql_path_join(dir, name);

    if (!path)
        return ql_fail_nomem(err);
    *ret = path;
    return QL_OK;
}

static int resolve_dir(const char *option, const char *state_dir, const char *generate, char **ret,
                       struct ql_err *err)
{
    if (strcmp(option, "generate") == 0) {
        if (!generate)
            return ql_fail(err, QL_ERANGE, "tls_dir = \"generate\" has no meaning here");
        return join(state_dir, generate, ret, err);
    }
    /* Every component shares the verifier's folder by default. */
    return join(state_dir, *option == '\0' || strcmp(option, "default") == 0 ? "cv_ca" : option, ret, err);
}

static int resolve_file(const char *dir, const char *option, const char *preset, char **ret,
                        struct ql_err *err)
{
    return join(dir, *option == '\0' || strcmp(option, "default") == 0 ? preset : option, ret, err);
}

static int resolve_ca(const struct ql_config *config, const char *group, const struct role_names *names,
                      const char *state_dir, struct ql_tls_paths *paths, struct ql_err *err)
{
    size_t count = ql_config_count(config, group, names->ca);
    int r;

    if (count > QL_TLS_CA_MAX)
        return ql_fail(err, QL_ELIMIT, "%s lists %zu files, at most %d", names->ca, count, QL_TLS_CA_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *item = ql_config_item(config, group, names->ca, i);

        if (strcmp(item, "all") == 0)
            return ql_fail(err, QL_ERANGE,
                           "%s = \"all\" would accept any certificate; name the files to trust", names->ca);
        /* The default is the verifier's CA below the work directory, wherever tls_dir points. */
        if (strcmp(item, "default") == 0)
            r = join(state_dir, "cv_ca/cacert.crt", &paths->ca[i], err);
        else
            r = join(paths->dir, item, &paths->ca[i], err);
        if (r < 0)
            return r;
    }
    if (count == 0)
        return join(state_dir, "cv_ca/cacert.crt", &paths->ca[0], err);
    return QL_OK;
}

int ql_tls_paths_resolve(const struct ql_config *config, const char *group, const char *state_dir,
                         const char *generate, enum ql_tls_role role, struct ql_tls_paths *ret,
                         struct ql_err *err)
{
    const struct role_names *names = &roles[role];
    struct ql_tls_paths paths = {0};
    const char *password = ql_config_string(config, group, names->password);
    int r = resolve_dir(ql_config_string(config, group, "tls_dir"), state_dir, generate, &paths.dir, err);

    if (r == QL_OK)
        r = resolve_file(paths.dir, ql_config_string(config, group, names->cert), names->default_cert,
                         &paths.cert, err);
    if (r == QL_OK)
        r = resolve_file(paths.dir, ql_config_string(config, group, names->key), names->default_key,
                         &paths.key, err);
    if (r == QL_OK)
        r = resolve_ca(config, group, names, state_dir, &paths, err);
    if (r == QL_OK && *password != '\0')
        r = ql_secret_new(password, strlen(password), &paths.key_password, err);
    if (r < 0) {
        ql_tls_paths_done(&paths);
        return r;
    }
    *ret = paths;
    return QL_OK;
}

void ql_tls_paths_done(struct ql_tls_paths *p)
{
    free(p->dir);
    free(p->cert);
    free(p->key);
    for (size_t i = 0; i < QL_TLS_CA_MAX; i++)
        free(p->ca[i]);
    ql_secret_free(p->key_password);
    memset(p, 0, sizeof *p);
}

static int must_exist(const char *path, struct ql_err *err)
{
    if (access(path, R_OK) != 0)
        return ql_fail(err, QL_ENOTFOUND, "%s does not exist or cannot be read", path);
    return QL_OK;
}

int ql_tls_from_paths(const struct ql_tls_paths *paths, enum ql_tls_role role,
                      enum ql_client_cert client_cert, struct ql_tls **ret, struct ql_err *err)
{
    struct ql_tls_config config = {
        .is_server = role == QL_TLS_SERVER,
        .cert_file = paths->cert,
        .key_file = paths->key,
        .key_password = paths->key_password,
        .ca_files = (const char *const *)paths->ca,
        .client_cert = client_cert,
    };
    int r = must_exist(paths->cert, err);

    if (r == QL_OK)
        r = must_exist(paths->key, err);
    for (size_t i = 0; r == QL_OK && paths->ca[i]; i++)
        r = must_exist(paths->ca[i], err);
    return r == QL_OK ? ql_tls_new(&config, ret, err) : r;
}
