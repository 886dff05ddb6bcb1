/* SPDX-License-Identifier: Apache-2.0 */
/* tls_dir = generate: a CA and the certificates of one installation (spec/server.md 11.2, 11.3, 11.5). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cert.h"
#include "error.h"
#include "file.h"
#include "keystore.h"

enum {
    CA_DAYS = 3650,
    LEAF_DAYS = 365,
    CRL_DAYS = 365,
    CA_BITS = 2048,
    KEYSTORE_TEXT_MAX = 16 * 1024
};

#define CRL_URL "http://localhost:38080/crl"

/** What is being made, in a folder that gets its name at the end. */
struct making {
    const struct ql_tls_dir *what;
    char *dir;
    struct ql_key *ca_key;
    struct ql_cert *ca;
    uint64_t serial;
};

static int put(const struct making *m, const char *name, mode_t mode, const void *data, size_t len,
               struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(m->dir, name);

    return path ? ql_file_write(path, mode, data, len, err) : ql_fail_nomem(err);
}

static int put_cert(const struct making *m, const char *name, const struct ql_cert *cert, struct ql_err *err)
{
    ql_auto_free char *pem = ql_cert_pem(cert);

    return pem ? put(m, name, 0644, pem, strlen(pem), err) : ql_fail_nomem(err);
}

static int put_public(const struct making *m, const char *name, const struct ql_key *key, struct ql_err *err)
{
    ql_auto_free char *pem = ql_key_public_pem(key);

    return pem ? put(m, name, 0644, pem, strlen(pem), err) : ql_fail_nomem(err);
}

/* ---- the CA ---- */

static int make_crl(const struct making *m, struct ql_err *err)
{
    ql_auto_free uint8_t *der = NULL;
    X509_CRL *crl;
    const uint8_t *at;
    char *pem = NULL;
    BIO *bio;
    size_t len;
    long pem_len = 0;
    int r = ql_crl_make(m->ca, m->ca_key, NULL, 0, CRL_DAYS, 1, &der, &len, err);

    if (r < 0)
        return r;
    at = der;
    crl = d2i_X509_CRL(NULL, &at, (long)len);
    bio = BIO_new(BIO_s_mem());
    if (crl && bio && PEM_write_bio_X509_CRL(bio, crl) == 1)
        pem_len = BIO_get_mem_data(bio, &pem);
    r = pem_len > 0 ? put(m, "cacrl.der", 0644, der, len, err) : ql_fail_nomem(err);
    if (r == QL_OK)
        r = put(m, "cacrl.pem", 0644, pem, (size_t)pem_len, err);
    BIO_free(bio);
    X509_CRL_free(crl);
    return r;
}

/* Base64, dashes and line ends: of these, JSON wants only the line ends escaped. */
static void add_pem_text(struct ql_buf *b, const struct ql_secret *pem)
{
    const char *at = (const char *)ql_secret_data(pem), *end = at + ql_secret_len(pem);

    while (at < end) {
        size_t line = strcspn(at, "\n");

        (void)ql_buf_add(b, at, line); /* a failed append poisons the buffer, which is checked at the end */
        at += line;
        if (at < end) {
            (void)ql_buf_add_text(b, "\\n");
            at++;
        }
    }
}

/*
 * The CA's key stands in private.json only, sealed. The text is put together by hand in memory that is wiped: a JSON
 * library would leave copies of the key behind.
 */
static int keep_ca_key(const struct making *m, struct ql_err *err)
{
    ql_auto(ql_buf_wipe) struct ql_buf text = ql_buf_init(KEYSTORE_TEXT_MAX);
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL, *plain = NULL;
    ql_auto_free char *sealed = NULL;
    int r = ql_key_private_pem(m->ca_key, NULL, &pem, err);

    if (r < 0)
        return r;
    (void)ql_buf_add_text(&text, "{\"ca\":\""); /* as above: checked at the end */
    add_pem_text(&text, pem);
    (void)ql_buf_addf(&text, "\",\"lastserial\":%llu,\"revoked_keys\":[]}", (unsigned long long)m->serial);
    if (text.failed)
        return ql_fail_nomem(err);
    r = ql_secret_new(text.data, text.len, &plain, err);
    if (r == QL_OK)
        r = ql_keystore_seal(plain, m->what->ca_password, &sealed, err);
    return r == QL_OK ? put(m, "private.json", 0600, sealed, strlen(sealed), err) : r;
}

static int make_ca(struct making *m, struct ql_err *err)
{
    struct ql_cert_profile profile = {
        .subject = m->what->ca_subject, .days = CA_DAYS, .serial = 1, .is_ca = true, .crl_url = CRL_URL};
    int r = ql_key_generate_rsa(CA_BITS, &m->ca_key, err);

    if (r == QL_OK)
        r = ql_cert_make(&profile, m->ca_key, NULL, m->ca_key, &m->ca, err);
    if (r == QL_OK)
        r = put_public(m, "ca-public.pem", m->ca_key, err);
    m->serial = 1;
    return r == QL_OK ? make_crl(m, err) : r;
}

/* ---- leaves ---- */

static int make_leaf(struct making *m, const char *name, const struct ql_cert_profile *role,
                     const struct ql_secret *password, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL;
    struct ql_cert_profile profile = *role;
    char file[64];
    int r = ql_key_generate_rsa(CA_BITS, &key, err);

    profile.subject = m->what->ca_subject;
    profile.subject.common_name = name;
    profile.days = LEAF_DAYS;
    profile.serial = ++m->serial;
    profile.crl_url = CRL_URL;
    profile.netscape_comment = true;
    if (r == QL_OK)
        r = ql_cert_make(&profile, key, m->ca, m->ca_key, &cert, err);
    if (r == QL_OK)
        r = ql_key_private_pem(key, password, &pem, err);
    if (r < 0)
        return r;
    snprintf(file, sizeof file, "%s-cert.crt", name);
    r = put_cert(m, file, cert, err);
    snprintf(file, sizeof file, "%s-private.pem", name);
    if (r == QL_OK)
        r = put(m, file, 0600, ql_secret_data(pem), ql_secret_len(pem), err);
    snprintf(file, sizeof file, "%s-public.pem", name);
    return r == QL_OK ? put_public(m, file, key, err) : r;
}

static int make_all(struct making *m, struct ql_err *err)
{
    static const char *const client_names[] = {"client", NULL};
    static const char *const server_names[] = {"server", NULL};
    struct ql_cert_profile server = {
        .for_server = true, .dns = m->what->dns ? m->what->dns : server_names, .ips = m->what->ips};
    struct ql_cert_profile client = {.for_client = true, .dns = client_names};
    int r = make_ca(m, err);

    if (r == QL_OK)
        r = make_leaf(m, "server", &server, m->what->server_key_password, err);
    if (r == QL_OK && m->what->with_client)
        r = make_leaf(m, "client", &client, m->what->client_key_password, err);
    if (r == QL_OK)
        r = keep_ca_key(m, err);
    /* Last: whoever sees cacert.crt sees everything. */
    return r == QL_OK ? put_cert(m, "cacert.crt", m->ca, err) : r;
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
    struct making m = {.what = what};
    int r;

    if (!ca)
        return ql_fail_nomem(err);
    *made = false;
    if (access(ca, F_OK) == 0)
        return QL_OK;
    r = make_folder(&m, err);
    if (r == QL_EEXIST && access(ca, F_OK) == 0)
        r = QL_OK; /* another process was faster */
    else
        *made = r == QL_OK;
    free(m.dir);
    ql_key_free(m.ca_key);
    ql_cert_free(m.ca);
    return r;
}
