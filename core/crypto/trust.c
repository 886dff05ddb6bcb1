/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "cert.h"
#include "error.h"
#include "file.h"

enum {
    FILE_MAX = 4 * 1024 * 1024
};

struct ql_trust {
    X509_STORE *store;
    size_t count;
};

int ql_trust_new(struct ql_trust **ret, struct ql_err *err)
{
    ql_auto(ql_trust_freep) struct ql_trust *t = calloc(1, sizeof *t);

    if (!t || !(t->store = X509_STORE_new()))
        return ql_fail_nomem(err);
    *ret = ql_steal(t);
    return QL_OK;
}

void ql_trust_free(struct ql_trust *t)
{
    if (!t)
        return;
    X509_STORE_free(t->store);
    free(t);
}

size_t ql_trust_count(const struct ql_trust *t)
{
    return t->count;
}

X509_STORE *ql_trust_native(const struct ql_trust *t)
{
    return t->store;
}

static int add_cert(struct ql_trust *t, X509 *cert, struct ql_err *err)
{
    int ok = X509_STORE_add_cert(t->store, cert) == 1;

    ERR_clear_error(); /* what failed is said below */
    if (!ok)
        return ql_fail(err, QL_ECRYPTO, "certificate cannot be added");
    t->count++;
    return QL_OK;
}

/* One block of a PEM text, taken when it is a certificate. @return 1: read; 0: no more; <0: bad */
static int add_block(struct ql_trust *t, BIO *bio, size_t *added, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;
    int r = 1;

    ERR_clear_error();
    if (PEM_read_bio(bio, &name, &header, &der, &der_len) != 1) {
        unsigned long why = ERR_peek_last_error();
        bool end = ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE;

        ERR_clear_error(); /* what failed is said here */
        return end ? 0 : ql_fail(err, QL_EPARSE, "a PEM block is damaged");
    }
    if (strcmp(name, PEM_STRING_X509) == 0) {
        r = *header ? ql_fail(err, QL_EPARSE, "a certificate is said to be encrypted")
                    : ql_cert_from_der(der, (size_t)der_len, &cert, err);
        if (r == QL_OK)
            r = add_cert(t, ql_cert_native(cert), err);
        if (r == QL_OK) {
            ++*added;
            r = 1;
        }
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(der, (size_t)der_len); /* may be a key that lies beside its certificate */
    return r;
}

/* Every certificate of a PEM text; none is a failure, and so is one that cannot be read. */
static int add_pem(struct ql_trust *t, const uint8_t *text, size_t len, const char *path, struct ql_err *err)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    size_t added = 0;
    int r = bio ? 1 : ql_fail_nomem(err);

    while (r > 0)
        r = add_block(t, bio, &added, err);
    BIO_free(bio);
    if (r < 0)
        return ql_fail_context(err, r, "%s", path);
    return added > 0 ? QL_OK : ql_fail(err, QL_EPARSE, "%s holds no PEM certificate", path);
}

int ql_trust_add_pem_file(struct ql_trust *t, const char *path, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len;
    int r = ql_file_read(path, FILE_MAX, &text, &len, err);

    return r < 0 ? r : add_pem(t, text, len, path, err);
}

static int add_any_file(struct ql_trust *t, const char *path, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free uint8_t *data = NULL;
    size_t len;
    int r = ql_file_read(path, FILE_MAX, &data, &len, err);

    if (r < 0)
        return r;
    if (memmem(data, len, "-----BEGIN", 10))
        return add_pem(t, data, len, path, err);
    r = ql_cert_from_der(data, len, &cert, err);
    return r < 0 ? r : add_cert(t, ql_cert_native(cert), err);
}

static int is_cert_name(const struct dirent *entry)
{
    static const char *const endings[] = {".pem", ".crt", ".der", ".cer"};
    const char *ending = strrchr(entry->d_name, '.');

    for (size_t i = 0; ending && i < QL_ARRAY_LEN(endings); i++)
        if (strcmp(ending, endings[i]) == 0)
            return 1;
    return 0;
}

int ql_trust_add_dir(struct ql_trust *t, const char *dir, size_t *added, size_t *skipped, struct ql_err *err)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, is_cert_name, alphasort);
    size_t before = t->count, bad = 0;

    if (found < 0)
        return ql_fail(err, QL_ENOTFOUND, "folder %s: %m", dir);
    for (int i = 0; i < found; i++) {
        ql_auto_free char *path = ql_path_join(dir, names[i]->d_name);

        if (!path || add_any_file(t, path, NULL) < 0)
            bad++;
        free(names[i]);
    }
    free(names);
    *added = t->count - before;
    *skipped = bad;
    return QL_OK;
}

/*
 * EK certificates mark extensions critical that no library knows; what matters here is who signed. Only in the leaf: in
 * an issuer such an extension could limit what it may sign.
 */
static int tolerate(int ok, X509_STORE_CTX *ctx)
{
    if (!ok && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION &&
        X509_STORE_CTX_get_error_depth(ctx) == 0) {
        X509_STORE_CTX_set_error(ctx, X509_V_OK);
        return 1;
    }
    return ok;
}

int ql_trust_check(const struct ql_trust *t, const struct ql_cert *c, bool check_dates, struct ql_err *err)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    unsigned long flags =
        X509_V_FLAG_PARTIAL_CHAIN | (check_dates ? 0ul : (unsigned long)X509_V_FLAG_NO_CHECK_TIME);
    int ok = 0, why = X509_V_ERR_UNSPECIFIED;

    if (ctx && X509_STORE_CTX_init(ctx, t->store, ql_cert_native(c), NULL) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

        X509_STORE_CTX_set_flags(ctx, flags);
        X509_VERIFY_PARAM_set_depth(param, QL_CERT_MAX_CHAIN);
        X509_STORE_CTX_set_verify_cb(ctx, tolerate);
        ok = X509_verify_cert(ctx) == 1;
        why = X509_STORE_CTX_get_error(ctx);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error(); /* what failed is said below */
    return ok ? QL_OK
              : ql_fail(err, QL_ECRYPTO, "certificate is not trusted: %s",
                        X509_verify_cert_error_string(why));
}
