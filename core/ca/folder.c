/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <dirent.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "file.h"

enum {
    FILE_MAX = 8 * 1024 * 1024, /* a revocation list of many; others have a few KiB */
    KEY_FILE_MAX = 64 * 1024,
    LOCK_POLL_MS = 20
};

static bool there(const struct ql_ca_folder *f, const char *name)
{
    ql_auto_free char *path = ql_path_join(f->dir, name);

    return path && access(path, F_OK) == 0;
}

/* "DIR/NAMEENDING"; NULL: no memory. */
static char *path_of(const struct ql_ca_folder *f, const char *name, const char *ending)
{
    char *path;

    return asprintf(&path, "%s/%s%s", f->dir, name, ending) < 0 ? NULL : path;
}

static int lock(const char *dir, int *ret, struct ql_err *err)
{
    const int64_t until_ns = ql_mono_ns() + QL_CA_LOCK_WAIT_MS * QL_NS_PER_MS;
    const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * QL_NS_PER_MS};
    int r = ql_dir_make(dir, 0700, err);

    if (r < 0)
        return r;
    while ((r = ql_state_dir_lock(dir, ret, err)) == QL_EEXIST && ql_mono_ns() < until_ns)
        (void)nanosleep(&pause, NULL); /* woken early: asks again early */
    return r;
}

int ql_ca_folder_lock(const char *dir, const struct ql_secret *password, const struct ql_ca_profile *profile,
                      struct ql_ca_folder *ret, struct ql_err *err)
{
    struct ql_ca_folder f = {.dir = strdup(dir), .lock = -1, .password = password, .profile = profile};
    int r = f.dir ? lock(dir, &f.lock, err) : ql_fail_nomem(err);

    if (r < 0) {
        ql_ca_folder_close(&f);
        return r;
    }
    *ret = f;
    return QL_OK;
}

int ql_ca_folder_open(const char *dir, const struct ql_secret *password, const struct ql_ca_profile *profile,
                      struct ql_ca_folder *ret, struct ql_err *err)
{
    struct ql_ca_folder f;
    int r = ql_ca_folder_lock(dir, password, profile, &f, err);

    if (r < 0)
        return r;
    if (there(&f, "cacert.crt") && there(&f, "private.json"))
        r = ql_ca_read(dir, password, &f.ca, err);
    if (r < 0) {
        ql_ca_folder_close(&f);
        return r;
    }
    *ret = f;
    return QL_OK;
}

void ql_ca_folder_close(struct ql_ca_folder *f)
{
    ql_ca_free(f->ca);
    f->ca = NULL;
    ql_closep(&f->lock);
    free(f->dir);
    f->dir = NULL;
}

static int need_ca(const struct ql_ca_folder *f, struct ql_err *err)
{
    if (f->ca)
        return QL_OK;
    if (there(f, "private.yml"))
        return ql_fail(err, QL_ENOTFOUND, "%s holds a CA of Keylime: \"import\" it first", f->dir);
    return ql_fail(err, QL_ENOTFOUND, "%s holds no CA: make one by \"init\"", f->dir);
}

/* ---- the CA ---- */

/* What a CA is made of; its certificate comes first, so that a half removed one is none. */
static void remove_ca(const struct ql_ca_folder *f)
{
    static const char *const endings[] = {".crt", ".pem", ".der", ".zip"};
    ql_auto_free char *cert = path_of(f, "cacert.crt", ""), *store = path_of(f, "private.json", "");
    struct dirent **names = NULL;
    int found = scandir(f->dir, &names, NULL, alphasort);

    if (cert)
        (void)unlink(cert); /* may be absent, here and below; what stays is written over */
    for (int i = 0; i < found; i++) {
        const char *ending = strrchr(names[i]->d_name, '.');
        ql_auto_free char *path = path_of(f, names[i]->d_name, "");

        for (size_t n = 0; path && ending && n < QL_ARRAY_LEN(endings); n++)
            if (strcmp(ending, endings[n]) == 0)
                (void)unlink(path);
        free(names[i]);
    }
    free(names);
    if (store)
        (void)unlink(store);
}

int ql_ca_folder_init(struct ql_ca_folder *f, bool replace, struct ql_err *err)
{
    ql_auto(ql_ca_freep) struct ql_ca *ca = NULL;
    int r;

    if (!replace && (there(f, "cacert.crt") || there(f, "private.json") || there(f, "private.yml")))
        return ql_fail(err, QL_EEXIST, "%s holds a CA; --force replaces it, and its certificates with it",
                       f->dir);
    if (replace)
        remove_ca(f);
    r = ql_ca_new(f->profile, &ca, err);
    if (r == QL_OK)
        r = ql_ca_keep(ca, f->dir, f->password, err);
    if (r == QL_OK)
        r = ql_ca_write_crl(ca, f->profile, f->dir, err);
    if (r == QL_OK)
        r = ql_ca_publish(ca, f->dir, err);
    if (r < 0)
        return r;
    ql_ca_free(f->ca);
    f->ca = ql_steal(ca);
    return QL_OK;
}

static int read_cert(const struct ql_ca_folder *f, const char *name, const char *ending, struct ql_cert **ret,
                     struct ql_err *err)
{
    ql_auto_free char *path = path_of(f, name, ending);
    ql_auto_free uint8_t *pem = NULL;
    size_t len;
    int r = path ? ql_file_read(path, KEY_FILE_MAX, &pem, &len, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    r = ql_cert_from_pem((const char *)pem, len, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : r;
}

int ql_ca_folder_adopt(struct ql_ca_folder *f, struct ql_ca *ca, struct ql_err *err)
{
    ql_auto(ql_ca_freep) struct ql_ca *mine = ca;
    int r;

    ql_cert_free(mine->cert);
    mine->cert = NULL;
    r = read_cert(f, "cacert.crt", "", &mine->cert, err);
    if (r == QL_OK)
        r = ql_ca_check_pair(mine->cert, mine->key, err);
    if (r == QL_OK) {
        mine->crl_number++;
        r = ql_ca_keep(mine, f->dir, f->password, err);
    }
    if (r == QL_OK)
        r = ql_ca_write_crl(mine, f->profile, f->dir, err);
    if (r == QL_OK)
        r = ql_ca_publish(mine, f->dir, err);
    if (r < 0)
        return r;
    ql_ca_free(f->ca);
    f->ca = ql_steal(mine);
    return QL_OK;
}

/* ---- certificates ---- */

bool ql_ca_folder_has(const struct ql_ca_folder *f, const char *name)
{
    ql_auto_free char *cert = path_of(f, name, "-cert.crt"), *key = path_of(f, name, "-private.pem");

    return cert && key && access(cert, F_OK) == 0 && access(key, F_OK) == 0;
}

/* Writing over a certificate that still counts would leave one about of which the folder knows nothing. */
static int check_free(const struct ql_ca_folder *f, const char *name, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    uint64_t serial = 0;

    if (!ql_ca_folder_has(f, name))
        return QL_OK;
    if (read_cert(f, name, "-cert.crt", &cert, NULL) == QL_OK &&
        ql_cert_serial(cert, &serial, NULL) == QL_OK &&
        (ql_ca_is_revoked(f->ca, serial) || ql_cert_not_after_ns(cert) < ql_now_ns()))
        return QL_OK;
    return ql_fail(err, QL_EEXIST, "%s has a certificate in %s; revoke it first, or use --force", name,
                   f->dir);
}

int ql_ca_folder_create(struct ql_ca_folder *f, const char *name, bool clear, bool replace,
                        struct ql_err *err)
{
    struct ql_ca_leaf leaf = {.name = name,
                              .for_server = true,
                              .for_client = true,
                              .needs_rsa = strcmp(name, QL_CA_NOTIFIER) == 0,
                              .password = clear ? NULL : f->password};
    int r = need_ca(f, err);

    if (r == QL_OK && !ql_ca_name_ok(name))
        r = ql_fail(err, QL_ERANGE, "%.80s is no name for a certificate: 1 to %d of A-Z a-z 0-9 . _ -", name,
                    QL_CA_NAME_MAX);
    if (r == QL_OK && !replace)
        r = check_free(f, name, err);
    if (r < 0)
        return r;
    f->ca->last_serial++;
    r = ql_ca_keep(f->ca, f->dir, f->password, err);
    return r == QL_OK ? ql_ca_issue(f->ca, f->profile, &leaf, f->dir, err) : r;
}

int ql_ca_folder_cert(const struct ql_ca_folder *f, const char *name, struct ql_cert **ret,
                      struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    int r = need_ca(f, err);

    if (r == QL_OK && !ql_ca_name_ok(name))
        r = ql_fail(err, QL_ERANGE, "%.80s is no name for a certificate", name);
    if (r == QL_OK)
        r = read_cert(f, name, "-cert.crt", &cert, err);
    if (r < 0)
        return r;
    if (X509_verify(ql_cert_native(cert), ql_key_native(f->ca->key)) != 1) {
        ERR_clear_error(); /* what failed is said here */
        return ql_fail(err, QL_ECRYPTO, "%s/%s-cert.crt is not of the CA in this folder", f->dir, name);
    }
    *ret = ql_steal(cert);
    return QL_OK;
}

int ql_ca_folder_key(const struct ql_ca_folder *f, const char *name, bool clear, struct ql_secret **ret,
                     struct ql_err *err)
{
    ql_auto_free char *path = path_of(f, name, "-private.pem");
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    uint8_t *pem = NULL;
    size_t len;
    int r = ql_ca_folder_cert(f, name, &cert, err);

    if (r == QL_OK)
        r = path ? ql_file_read(path, KEY_FILE_MAX, &pem, &len, err) : ql_fail_nomem(err);
    if (r < 0)
        return r;
    r = ql_key_from_private_pem((const char *)pem, len, f->password, &key, err);
    ql_wipe(pem, len);
    free(pem);
    if (r < 0)
        return ql_fail_context(err, r, "%s (has it another password than the key store?)", path);
    if (X509_check_private_key(ql_cert_native(cert), ql_key_native(key)) != 1)
        return ql_fail(err, QL_ECORRUPT, "%s does not belong to its certificate", path);
    return ql_key_private_pem(key, clear ? NULL : f->password, ret, err);
}

/* ---- revoking ---- */

int ql_ca_folder_refresh(struct ql_ca_folder *f, struct ql_err *err)
{
    int r = need_ca(f, err);

    if (r < 0)
        return r;
    f->ca->crl_number++;
    r = ql_ca_keep(f->ca, f->dir, f->password, err);
    return r == QL_OK ? ql_ca_write_crl(f->ca, f->profile, f->dir, err) : r;
}

int ql_ca_folder_revoke(struct ql_ca_folder *f, const char *name, uint64_t serial, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    int r = need_ca(f, err);

    if (r == QL_OK && name)
        r = ql_ca_folder_cert(f, name, &cert, err);
    if (r == QL_OK && name)
        r = ql_cert_serial(cert, &serial, err);
    if (r < 0)
        return r;
    if (serial <= 1 || serial > f->ca->last_serial)
        return ql_fail(err, QL_ERANGE, "serial number %llu was never given: 2 to %llu",
                       (unsigned long long)serial, (unsigned long long)f->ca->last_serial);
    r = ql_ca_revoke(f->ca, serial, err);
    return r == QL_OK || r == QL_EEXIST ? ql_ca_folder_refresh(f, err) : r;
}

/* ---- packages ---- */

int ql_ca_folder_add_file(const struct ql_ca_folder *f, struct ql_bundle *b, const char *name,
                          const char *ending, struct ql_err *err)
{
    ql_auto_free char *path = path_of(f, name, ending);
    ql_auto_free uint8_t *data = NULL;
    size_t len;
    int r = path ? ql_file_read(path, FILE_MAX, &data, &len, err) : ql_fail_nomem(err);

    return r == QL_OK ? ql_bundle_add(b, strrchr(path, '/') + 1, data, len, false, err) : r;
}

int ql_ca_folder_bundle(const struct ql_ca_folder *f, const char *name, bool clear, struct ql_bundle **ret,
                        struct ql_err *err)
{
    ql_auto(ql_bundle_freep) struct ql_bundle *b = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    ql_auto_free char *key_name = NULL;
    int r = ql_ca_folder_key(f, name, clear, &key, err);

    if (r < 0)
        return r;
    if (asprintf(&key_name, "%s-private.pem", name) < 0) {
        key_name = NULL;
        return ql_fail_nomem(err);
    }
    r = ql_bundle_new(&b, err);
    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, b, name, "-public.pem", err);
    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, b, name, "-cert.crt", err);
    if (r == QL_OK)
        r = ql_bundle_add(b, key_name, ql_secret_data(key), ql_secret_len(key), false, err);
    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, b, "cacert.crt", "", err);
    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, b, "cacrl.der", "", err);
    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, b, "cacrl.pem", "", err);
    if (r == QL_OK)
        *ret = ql_steal(b);
    return r;
}
