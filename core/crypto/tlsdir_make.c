/* SPDX-License-Identifier: Apache-2.0 */
/* tls_dir = generate: a CA and the certificates of one installation (spec/server.md 11.2, 11.3, 11.5). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ca.h"
#include "cert.h"
#include "error.h"
#include "file.h"

/** What is being made, in a folder that gets its name at the end. */
struct making {
    const struct ql_tls_dir *what;
    struct ql_ca_profile profile;
    char *dir;
    struct ql_ca *ca;
};

static int make_leaf(struct making *m, const struct ql_ca_leaf *leaf, struct ql_err *err)
{
    m->ca->last_serial++;
    return ql_ca_issue(m->ca, &m->profile, leaf, m->dir, err);
}

static int make_all(struct making *m, struct ql_err *err)
{
    struct ql_ca_leaf server = {.name = "server",
                                .for_server = true,
                                .dns = m->what->dns,
                                .ips = m->what->ips,
                                .password = m->what->server_key_password};
    struct ql_ca_leaf client = {
        .name = "client", .for_client = true, .password = m->what->client_key_password};
    int r = ql_ca_new(&m->profile, &m->ca, err);

    if (r == QL_OK)
        r = ql_ca_write_crl(m->ca, &m->profile, m->dir, err);
    if (r == QL_OK)
        r = make_leaf(m, &server, err);
    if (r == QL_OK && m->what->with_client)
        r = make_leaf(m, &client, err);
    if (r == QL_OK)
        r = ql_ca_keep(m->ca, m->dir, m->what->ca_password, err);
    return r == QL_OK ? ql_ca_publish(m->ca, m->dir, err) : r;
}

/* ---- the folder ---- */

static void remove_folder(const char *dir)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, NULL, NULL);

    for (int i = 0; i < found; i++) {
        ql_auto_free char *path = ql_path_join(dir, names[i]->d_name);

        if (path && names[i]->d_name[0] != '.')
            (void)unlink(path); /* a leftover of a failed attempt: nothing depends on it */
        free(names[i]);
    }
    free(names);
    (void)rmdir(dir); /* as above */
}

/* A CA that is gone after a power cut would leave agents that trust it and servers that have another. */
static int sync_parent(const char *path, struct ql_err *err)
{
    ql_auto_free char *dir = strdup(path);
    ql_auto_close int fd = -1;
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (!dir)
        return ql_fail_nomem(err);
    if (slash)
        slash[slash == dir ? 1 : 0] = '\0';
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return ql_fail(err, QL_EIO, "folder of %s: %m", path);
    return QL_OK;
}

/* Made beside its place and renamed: a crash leaves no half CA that a later start takes for a whole one. */
static int make_folder(struct making *m, struct ql_err *err)
{
    int r;

    if (asprintf(&m->dir, "%s.XXXXXX", m->what->dir) < 0) {
        m->dir = NULL;
        return ql_fail_nomem(err);
    }
    if (!mkdtemp(m->dir))
        return ql_fail(err, QL_EIO, "folder %s: %m", m->dir);
    r = make_all(m, err);
    if (r == QL_OK && rename(m->dir, m->what->dir) != 0)
        r = errno == ENOTEMPTY || errno == EEXIST
                ? ql_fail(err, QL_EEXIST, "folder %s holds something, but no cacert.crt", m->what->dir)
                : ql_fail(err, QL_EIO, "folder %s: %m", m->what->dir);
    if (r < 0)
        remove_folder(m->dir);
    return r == QL_OK ? sync_parent(m->what->dir, err) : r;
}

int ql_tls_dir_make(const struct ql_tls_dir *what, bool *made, struct ql_err *err)
{
    ql_auto_free char *ca = ql_path_join(what->dir, "cacert.crt");
    struct making m = {.what = what, .profile = QL_CA_PROFILE_PRESET};
    int r;

    if (!ca)
        return ql_fail_nomem(err);
    m.profile.subject = what->ca_subject;
    *made = false;
    if (access(ca, F_OK) == 0)
        return QL_OK;
    r = make_folder(&m, err);
    if (r == QL_EEXIST && access(ca, F_OK) == 0)
        r = QL_OK; /* another process was faster */
    else
        *made = r == QL_OK;
    free(m.dir);
    ql_ca_free(m.ca);
    return r;
}
