/* SPDX-License-Identifier: Apache-2.0 */
/* tls_dir = generate: a CA and the certificates of one installation (spec/server.md 11.2, 11.3, 11.5). */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "json.h"

enum {
    CA_DAYS = 3650,
    LEAF_DAYS = 365,
    CRL_DAYS = 365,
    CA_BITS = 2048,
    SALT_LEN = 16,
    PBKDF2_ROUNDS = 100000
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

/* The CA's key stands in private.json only, under a key derived from the password. */
static int derive(const struct ql_secret *password, const char *salt, struct ql_secret **ret,
                  struct ql_err *err)
{
    static const char preset[] = "default"; /* Keylime's services use this word where no password is set */
    const char *text = password ? (const char *)ql_secret_data(password) : preset;
    size_t len = password ? ql_secret_len(password) : sizeof preset - 1;
    int r = ql_secret_new_empty(32, ret, err);

    if (r == QL_OK && PKCS5_PBKDF2_HMAC(text, (int)len, (const unsigned char *)salt, (int)strlen(salt),
                                        PBKDF2_ROUNDS, EVP_sha256(), 32, ql_secret_writable(*ret)) != 1) {
        ql_secret_free(ql_steal(*ret));
        r = ql_fail(err, QL_ECRYPTO, "key derivation failed");
    }
    return r;
}

static int keep_ca_key(const struct making *m, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL, *key = NULL;
    ql_auto_json json_t *inner = NULL, *outer = NULL;
    ql_auto_free uint8_t *sealed = NULL;
    ql_auto_free char *priv = NULL, *text = NULL;
    char *plain = NULL, salt[SALT_LEN + 1];
    size_t sealed_len = 0;
    int r = ql_key_private_pem(m->ca_key, NULL, &pem, err);

    ql_random_alnum(salt, SALT_LEN);
    if (r == QL_OK)
        r = derive(m->what->ca_password, salt, &key, err);
    if (r < 0)
        return r;
    inner = json_pack("{s:s, s:I, s:[]}", "ca", (const char *)ql_secret_data(pem), "lastserial",
                      (json_int_t)m->serial, "revoked_keys");
    plain = inner ? ql_json_text(inner) : NULL;
    r = plain ? ql_gcm_seal(key, plain, strlen(plain), &sealed, &sealed_len, err) : ql_fail_nomem(err);
    if (plain)
        ql_wipe(plain, strlen(plain));
    free(plain);
    if (r < 0)
        return r;
    priv = ql_base64_dup(sealed, sealed_len);
    outer = priv ? json_pack("{s:s, s:s}", "priv", priv, "salt", salt) : NULL;
    text = outer ? ql_json_text(outer) : NULL;
    return text ? put(m, "private.json", 0600, text, strlen(text), err) : ql_fail_nomem(err);
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
    struct ql_cert_profile server = {.for_server = true, .dns = m->what->dns, .ips = m->what->ips};
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
        r = ql_fail(err, errno == ENOTEMPTY || errno == EEXIST ? QL_EEXIST : QL_EIO,
                    "folder %s is there, but cacert.crt is not in it: %m", m->what->dir);
    if (r < 0)
        remove_folder(m->dir);
    return r;
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
    *made = r == QL_OK;
    free(m.dir);
    ql_key_free(m.ca_key);
    ql_cert_free(m.ca);
    return r;
}
