/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server.h"

/* Where distributions keep the CAs that the system trusts. */
static const char *const system_cas[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

const struct ql_option sv_options[] = {
    {.name = "tls",
     .type = QL_OPT_STRING,
     .preset = "default",
     .choices = "default disable require verify-ca verify-full",
     .help =
         "protection of the line to the server unless database_url says it (sslmode): default is disable on "
         "this machine and verify-full to others"},
    {.name = "tls_ca",
     .type = QL_OPT_STRING,
     .help = "PEM file of the CAs that may have signed the server's certificate; empty: the system's"},
    {.name = "tls_cert", .type = QL_OPT_STRING, .help = "certificate that we show to the server, PEM file"},
    {.name = "tls_key", .type = QL_OPT_STRING, .help = "private key of tls_cert, PEM file"},
    {.name = "password_file",
     .type = QL_OPT_STRING,
     .help = "file whose first line is the password, instead of one in database_url; below the state folder "
             "unless absolute, read at every connect"},
    {.name = "connect_timeout",
     .type = QL_OPT_INT,
     .min = 1,
     .max = 600,
     .preset = "5",
     .help = "longest wait for a connection, seconds"},
    {.name = "statement_timeout",
     .type = QL_OPT_INT,
     .min = 1,
     .max = 3600,
     .preset = "30",
     .help = "longest wait for one statement, seconds; then it is tried again"},
    {.name = NULL},
};

static char *option_text(const struct ql_options *o, const char *name)
{
    return strdup(o ? o->get_string(o, name) : "");
}

static int64_t option_number(const struct ql_options *o, const char *name, int64_t preset)
{
    int64_t value = o ? o->get_int(o, name) : 0;

    return value > 0 ? value : preset;
}

int sv_plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                   struct ql_err *err)
{
    struct sv_plugin *p = calloc(1, sizeof *p);

    if (!p)
        return sv_nomem(host, err);
    p->host = host;
    p->tls = option_text(options, "tls");
    p->tls_ca = option_text(options, "tls_ca");
    p->tls_cert = option_text(options, "tls_cert");
    p->tls_key = option_text(options, "tls_key");
    p->password_file = option_text(options, "password_file");
    p->connect_timeout_s = option_number(options, "connect_timeout", 5);
    p->statement_timeout_s = option_number(options, "statement_timeout", 30);
    if (!p->tls || !p->tls_ca || !p->tls_cert || !p->tls_key || !p->password_file) {
        sv_plugin_fini(p);
        return sv_nomem(host, err);
    }
    *plugin = p;
    return QL_OK;
}

void sv_plugin_fini(void *plugin)
{
    struct sv_plugin *p = plugin;

    if (!p)
        return;
    free(p->tls);
    free(p->tls_ca);
    free(p->tls_cert);
    free(p->tls_key);
    free(p->password_file);
    free(p);
}

static int fill(const struct sv_db *db, char **at, const char *option, struct ql_err *err)
{
    if (*at || !*option)
        return QL_OK;
    *at = strdup(option);
    return *at ? QL_OK : sv_nomem(db->host, err);
}

static enum sv_tls tls_of(const char *word)
{
    return !strcmp(word, "disable")       ? SV_TLS_OFF
           : !strcmp(word, "require")     ? SV_TLS_REQUIRE
           : !strcmp(word, "verify-ca")   ? SV_TLS_CA
           : !strcmp(word, "verify-full") ? SV_TLS_FULL
                                          : SV_TLS_DEFAULT;
}

static int find_ca(struct sv_db *db, struct ql_err *err)
{
    for (size_t i = 0; i < sizeof system_cas / sizeof system_cas[0]; i++)
        if (access(system_cas[i], R_OK) == 0)
            return fill(db, &db->url.ca, system_cas[i], err);
    return db->host->fail(err, QL_ENOTFOUND, "the system's CAs are not found: set tls_ca of %s",
                          sv_dialect.scheme);
}

int sv_config_complete(struct sv_db *db, struct ql_err *err)
{
    const struct sv_plugin *p = db->plugin;
    struct sv_url *u = &db->url;
    int r = fill(db, &u->ca, p->tls_ca, err);

    if (r == QL_OK)
        r = fill(db, &u->cert, p->tls_cert, err);
    if (r == QL_OK)
        r = fill(db, &u->key, p->tls_key, err);
    if (r == QL_OK && !u->password)
        r = fill(db, &u->password_file, p->password_file, err);
    if (r < 0)
        return r;
    if (u->password && u->password_file)
        return db->host->fail(err, QL_ERANGE, "database_url has both a password and a password_file");
    if (u->tls == SV_TLS_DEFAULT)
        u->tls = tls_of(p->tls);
    if (u->tls == SV_TLS_DEFAULT)
        /* Whoever names a CA wants it to be used. */
        u->tls = sv_url_is_local(u) && !u->ca ? SV_TLS_OFF : SV_TLS_FULL;
    if ((u->cert == NULL) != (u->key == NULL))
        return db->host->fail(err, QL_ERANGE, "tls_cert and tls_key of %s go together", sv_dialect.scheme);
    return u->tls >= SV_TLS_CA && !u->ca ? find_ca(db, err) : QL_OK;
}

static int read_password(struct sv_db *db, int fd, const char *path, char *out, struct ql_err *err)
{
    struct stat st;
    ssize_t n;
    size_t len;

    if (fstat(fd, &st) < 0)
        return db->host->fail(err, QL_EIO, "password file %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO))
        return db->host->fail(err, QL_EACCES,
                              "password file %s must be a regular file that others cannot read", path);
    n = read(fd, out, SV_PASSWORD_MAX + 1);
    if (n < 0)
        return db->host->fail(err, QL_EIO, "password file %s: %s", path, strerror(errno));
    out[n <= SV_PASSWORD_MAX ? n : SV_PASSWORD_MAX] = 0;
    len = strcspn(out, "\r\n");
    if (n > SV_PASSWORD_MAX && len == SV_PASSWORD_MAX)
        return db->host->fail(err, QL_ELIMIT, "password file %s: the first line is longer than %d bytes",
                              path, SV_PASSWORD_MAX);
    if (!len)
        return db->host->fail(err, QL_ERANGE, "password file %s: the first line is empty", path);
    explicit_bzero(out + len, SV_PASSWORD_MAX - len);
    return 1;
}

int sv_password(struct sv_db *db, char *out, struct ql_err *err)
{
    const char *file = db->url.password_file;
    char *path = NULL;
    int fd, r;

    if (!file) {
        if (!db->url.password)
            return 0;
        if (strlen(db->url.password) > SV_PASSWORD_MAX)
            return db->host->fail(err, QL_ELIMIT, "the password is longer than %d bytes", SV_PASSWORD_MAX);
        (void)snprintf(out, SV_PASSWORD_MAX + 1, "%s", db->url.password);
        return 1;
    }
    if (asprintf(&path, "%s%s%s", *file == '/' ? "" : db->state_dir, *file == '/' ? "" : "/", file) < 0)
        return sv_nomem(db->host, err);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    r = fd < 0 ? db->host->fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EACCES, "password file %s: %s", path,
                                strerror(errno))
               : read_password(db, fd, path, out, err);
    if (fd >= 0)
        (void)close(fd); /* read only */
    free(path);
    return r;
}
