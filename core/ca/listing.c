/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder's certificates are, and which of them the list revokes. */
#include <dirent.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ca.h"
#include "clock.h"
#include "error.h"
#include "file.h"
#include "tool.h"

enum {
    CRL_FILE_MAX = 8 * 1024 * 1024,
    CERT_FILE_MAX = 64 * 1024
};

static void crl_freep(X509_CRL **crl)
{
    X509_CRL_free(*crl);
}

static int read_cert(const char *dir, const char *name, struct ql_cert **ret, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(dir, name);
    ql_auto_free uint8_t *pem = NULL;
    size_t len;
    int r = path ? ql_file_read(path, CERT_FILE_MAX, &pem, &len, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    r = ql_cert_from_pem((const char *)pem, len, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : r;
}

static int read_crl(const char *dir, const struct ql_cert *ca, X509_CRL **ret, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(dir, "cacrl.der");
    ql_auto_free uint8_t *der = NULL;
    const uint8_t *at;
    X509_CRL *crl;
    size_t len;
    int r = path ? ql_file_read(path, CRL_FILE_MAX, &der, &len, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    at = der;
    crl = d2i_X509_CRL(NULL, &at, (long)len);
    if (!crl || X509_CRL_verify(crl, X509_get0_pubkey(ql_cert_native(ca))) != 1) {
        X509_CRL_free(crl);
        ERR_clear_error(); /* what failed is said here */
        return ql_fail(err, QL_ECRYPTO, "%s is no list of the CA in this folder", path);
    }
    *ret = crl;
    return QL_OK;
}

static void print_cert(const struct ql_cert *ca, X509_CRL *crl, const char *name, size_t name_len,
                       const struct ql_cert *cert)
{
    const int64_t end_ns = ql_cert_not_after_ns(cert);
    const time_t end = (time_t)(end_ns / QL_NS_PER_S);
    X509_REVOKED *revoked = NULL;
    char date[16] = "?";
    struct tm tm;
    uint64_t serial;
    const char *state = "valid";

    if (X509_verify(ql_cert_native(cert), X509_get0_pubkey(ql_cert_native(ca))) != 1 ||
        ql_cert_serial(cert, &serial, NULL) < 0) {
        ERR_clear_error(); /* said by the word */
        printf("%10s  %-8s  %-10s  %.*s\n", "-", "foreign", "-", (int)name_len, name);
        return;
    }
    if (X509_CRL_get0_by_cert(crl, &revoked, ql_cert_native(cert)) == 1)
        state = "revoked";
    else if (end_ns < ql_now_ns())
        state = "expired";
    if (gmtime_r(&end, &tm))
        (void)strftime(date, sizeof date, "%Y-%m-%d", &tm); /* fits: the form has a fixed length */
    printf("%10" PRIu64 "  %-8s  %-10s  %.*s\n", serial, state, date, (int)name_len, name);
}

static int print_all(const char *dir, const struct ql_cert *ca, X509_CRL *crl, struct ql_err *err)
{
    static const char ending[] = "-cert.crt";
    struct dirent **names = NULL;
    int found = scandir(dir, &names, NULL, alphasort);

    if (found < 0)
        return ql_fail(err, QL_EIO, "folder %s: %m", dir);
    for (int i = 0; i < found; i++) {
        const char *name = names[i]->d_name;
        size_t len = strlen(name), cut = sizeof ending - 1;
        ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;

        if (len > cut && strcmp(name + len - cut, ending) == 0) {
            if (read_cert(dir, name, &cert, NULL) == QL_OK)
                print_cert(ca, crl, name, len - cut, cert);
            else
                printf("%10s  %-8s  %-10s  %.*s\n", "-", "damaged", "-", (int)(len - cut), name);
        }
        free(names[i]);
    }
    free(names);
    return QL_OK;
}

int ql_ca_list(const char *dir, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *ca = NULL;
    ql_auto(crl_freep) X509_CRL *crl = NULL;
    int r = read_cert(dir, "cacert.crt", &ca, err);

    if (r == QL_OK)
        r = read_crl(dir, ca, &crl, err);
    return r == QL_OK ? print_all(dir, ca, crl, err) : r;
}
