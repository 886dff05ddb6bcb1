/* SPDX-License-Identifier: Apache-2.0 */
/* Making certificates and revocation lists (spec/server.md 11.2). */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "cert.h"
#include "error.h"

enum {
    BACKDATE_S = 300 /* clocks of agents and servers differ */
};

static int add_name(X509_NAME *name, const char *field, const char *text)
{
    /* MBSTRING picks the type and keeps X.520's limit of 64 characters; agent ids may have 80. */
    int type = text && strlen(text) > 64 ? V_ASN1_UTF8STRING : MBSTRING_UTF8;

    return !text ||
           X509_NAME_add_entry_by_txt(name, field, type, (const unsigned char *)text, -1, -1, 0) == 1;
}

static int set_subject(X509 *cert, const struct ql_dn *dn)
{
    X509_NAME *name = X509_get_subject_name(cert);

    return add_name(name, "C", dn->country) && add_name(name, "CN", dn->common_name) &&
           add_name(name, "ST", dn->state) && add_name(name, "L", dn->locality) &&
           add_name(name, "O", dn->organization) && add_name(name, "OU", dn->unit);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    int ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* Alternative names are built as structures: in OpenSSL's text form a comma would begin the next entry. */
static int add_alt_name(GENERAL_NAMES *names, const char *text, bool is_ip)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = is_ip ? a2i_IPADDRESS(text) : ASN1_IA5STRING_new();

    if (name && value && (is_ip || ASN1_STRING_set(value, text, -1) == 1) &&
        sk_GENERAL_NAME_push(names, name) > 0) {
        GENERAL_NAME_set0_value(name, is_ip ? GEN_IPADD : GEN_DNS, value);
        return 1;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    return 0;
}

static int add_alt_names(X509 *cert, const struct ql_cert_profile *p)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int ok = names != NULL;

    for (const char *const *at = p->dns; ok && at && *at; at++)
        ok = add_alt_name(names, *at, false);
    for (const char *const *at = p->ips; ok && at && *at; at++)
        ok = add_alt_name(names, *at, true);
    if (ok && sk_GENERAL_NAME_num(names) > 0)
        ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

/* Host names are letters, digits, '-', '_', '.', and '*' in front. */
static bool is_host_name(const char *text)
{
    return *text != '\0' && strlen(text) <= 253 &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*")] == '\0';
}

static bool is_address(const char *text)
{
    uint8_t address[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static int check_alt_names(const struct ql_cert_profile *p, struct ql_err *err)
{
    for (const char *const *at = p->dns; at && *at; at++)
        if (!is_host_name(*at))
            return ql_fail(err, QL_ERANGE, "certificate: %.80s is no host name", *at);
    for (const char *const *at = p->ips; at && *at; at++)
        if (!is_address(*at))
            return ql_fail(err, QL_ERANGE, "certificate: %.80s is no IP address", *at);
    return QL_OK;
}

static int add_usage(X509 *cert, X509 *issuer, const struct ql_cert_profile *p)
{
    const char *extended = p->for_server && p->for_client ? "serverAuth,clientAuth"
                           : p->for_server                ? "serverAuth"
                           : p->for_client                ? "clientAuth"
                                                          : NULL;

    if (p->is_ca)
        return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           (!extended || add_extension(cert, issuer, NID_ext_key_usage, extended));
}

static int add_extensions(X509 *cert, X509 *issuer, const struct ql_cert_profile *p)
{
    char crl[512];

    if (!add_usage(cert, issuer, p) || !add_extension(cert, issuer, NID_subject_key_identifier, "hash") ||
        !add_extension(cert, issuer, NID_authority_key_identifier, "keyid") || !add_alt_names(cert, p))
        return 0;
    if (p->netscape_comment && !add_extension(cert, issuer, NID_netscape_comment, "SSL Server"))
        return 0;
    if (!p->crl_url)
        return 1;
    return snprintf(crl, sizeof crl, "URI:%s", p->crl_url) < (int)sizeof crl &&
           !strpbrk(p->crl_url, ",\r\n") && add_extension(cert, issuer, NID_crl_distribution_points, crl);
}

static int set_serial(X509 *cert, uint64_t serial)
{
    if (serial == 0) {
        ql_random(&serial, sizeof serial);
        serial = (serial & INT64_MAX) | 1; /* positive and not zero */
    }
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) == 1;
}

static int fill(X509 *cert, X509 *issuer, const struct ql_cert_profile *p, const struct ql_key *subject_key,
                const struct ql_key *issuer_key)
{
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert, p->serial) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -(long)BACKDATE_S) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), (int)p->days, 0, NULL) &&
           set_subject(cert, &p->subject) && X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
           X509_set_pubkey(cert, ql_key_native(subject_key)) == 1 && add_extensions(cert, issuer, p) &&
           X509_sign(cert, ql_key_native(issuer_key), EVP_sha256()) > 0;
}

int ql_cert_make(const struct ql_cert_profile *profile, const struct ql_key *subject_key,
                 const struct ql_cert *issuer, const struct ql_key *issuer_key, struct ql_cert **ret,
                 struct ql_err *err)
{
    uint8_t *der = NULL;
    int len = -1, r = check_alt_names(profile, err);
    X509 *cert;

    if (r < 0)
        return r;
    if (issuer && X509_check_private_key(ql_cert_native(issuer), ql_key_native(issuer_key)) != 1) {
        ERR_clear_error(); /* what failed is said here */
        return ql_fail(err, QL_ECRYPTO, "the signing key is not that of the issuing certificate");
    }
    cert = X509_new();
    if (cert && fill(cert, issuer ? ql_cert_native(issuer) : cert, profile, subject_key, issuer_key))
        len = i2d_X509(cert, &der);
    X509_free(cert);
    ERR_clear_error(); /* what failed is said below */
    r = len > 0 ? ql_cert_from_der(der, (size_t)len, ret, err)
                : ql_fail(err, QL_ECRYPTO, "certificate for %s cannot be made",
                          profile->subject.common_name ? profile->subject.common_name : "(no name)");
    OPENSSL_free(der);
    return r;
}

/* ---- revocation lists ---- */

static int add_revoked(X509_CRL *crl, uint64_t serial)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
    int ok = revoked && number && now && ASN1_INTEGER_set_uint64(number, serial) == 1 &&
             X509_REVOKED_set_serialNumber(revoked, number) == 1 &&
             X509_REVOKED_set_revocationDate(revoked, now) == 1 && X509_CRL_add0_revoked(crl, revoked) == 1;

    if (!ok)
        X509_REVOKED_free(revoked);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(now);
    return ok;
}

static int set_times(X509_CRL *crl, unsigned days)
{
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *next = X509_time_adj_ex(NULL, (int)days, 0, NULL);
    int ok =
        now && next && X509_CRL_set1_lastUpdate(crl, now) == 1 && X509_CRL_set1_nextUpdate(crl, next) == 1;

    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    return ok;
}

static int set_number(X509_CRL *crl, uint64_t value)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    int ok = number && ASN1_INTEGER_set_uint64(number, value) == 1 &&
             X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1;

    ASN1_INTEGER_free(number);
    return ok;
}

/* Which of the issuer's keys signed. */
static int set_authority(X509_CRL *crl, X509 *issuer)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    int ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid");
    ok = extension && X509_CRL_add_ext(crl, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

int ql_crl_make(const struct ql_cert *issuer, const struct ql_key *issuer_key, const uint64_t *serials,
                size_t count, unsigned days, uint64_t crl_number, uint8_t **ret, size_t *ret_len,
                struct ql_err *err)
{
    X509_CRL *crl = X509_CRL_new();
    uint8_t *der = NULL, *copy;
    int ok, len = -1;

    ok = crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
         X509_CRL_set_issuer_name(crl, X509_get_subject_name(ql_cert_native(issuer))) == 1 &&
         set_times(crl, days) && set_authority(crl, ql_cert_native(issuer)) && set_number(crl, crl_number);
    for (size_t i = 0; ok && i < count; i++)
        ok = add_revoked(crl, serials[i]);
    if (ok && X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, ql_key_native(issuer_key), EVP_sha256()) > 0)
        len = i2d_X509_CRL(crl, &der);
    X509_CRL_free(crl);
    ERR_clear_error(); /* what failed is said below */
    copy = len > 0 ? malloc((size_t)len) : NULL;
    if (copy)
        memcpy(copy, der, (size_t)len);
    OPENSSL_free(der);
    if (!copy)
        return ql_fail(err, QL_ECRYPTO, "revocation list cannot be made");
    *ret = copy;
    *ret_len = (size_t)len;
    return QL_OK;
}
