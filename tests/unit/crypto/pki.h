/* SPDX-License-Identifier: Apache-2.0 */
/** @file pki.h  Certificates that product code would not make: expired, with foreign extensions, with odd names. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

#include "cert.h"

/** What a test certificate says. */
struct odd_cert {
    const char *name; /**< CN; NULL: empty subject */
    const char *second_name;
    bool is_ca;
    long from_s, to_s;       /**< validity, relative to now; both 0: valid for a day */
    const char *end;         /**< notAfter as ASN.1 text instead, such as "99991231235959Z" */
    bool critical_directory; /**< critical subjectAltName with a directory name, as EK certificates have */
    bool critical_unknown;   /**< critical extension of an OID that nobody knows */
    const char *usage;       /**< extended key usage in OpenSSL's words */
};

static inline void odd_names(X509 *x, const struct odd_cert *o)
{
    X509_NAME *subject = X509_get_subject_name(x);

    if (o->name)
        assert_int_equal(
            X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)o->name, -1, -1, 0), 1);
    if (o->second_name)
        assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                                    (const uint8_t *)o->second_name, -1, -1, 0),
                         1);
}

static inline void odd_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *e;
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static inline void odd_directory(X509 *x)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    X509_NAME *dir = X509_NAME_new();

    /* 2.23.133.2.1: tpmManufacturer */
    assert_int_equal(X509_NAME_add_entry_by_txt(dir, "2.23.133.2.1", MBSTRING_ASC,
                                                (const uint8_t *)"id:49465800", -1, -1, 0),
                     1);
    GENERAL_NAME_set0_value(name, GEN_DIRNAME, dir);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
    assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 1, 0), 1);
    GENERAL_NAMES_free(names);
}

static inline void odd_unknown(X509 *x)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.55555.1.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e;

    assert_int_equal(ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\x00", 2), 1);
    e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

/** Make a certificate. @p issuer NULL: self-signed. Fails the test on any trouble. */
static inline struct ql_cert *odd_cert_make(const struct odd_cert *o, const struct ql_key *key,
                                            const struct ql_cert *issuer, const struct ql_key *issuer_key)
{
    static long serial;
    X509 *x = X509_new(), *by = issuer ? ql_cert_native(issuer) : x;
    bool always = o->from_s == 0 && o->to_s == 0;
    struct ql_cert *ret = NULL;
    uint8_t *der = NULL;
    int len;

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), always ? -3600 : o->from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), always ? 86400 : o->to_s);
    if (o->end)
        assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(x), o->end), 1);
    odd_names(x, o);
    X509_set_issuer_name(x, X509_get_subject_name(by));
    X509_set_pubkey(x, ql_key_native(key));
    if (o->is_ca)
        odd_extension(x, by, NID_basic_constraints, "critical,CA:TRUE");
    if (o->critical_directory)
        odd_directory(x);
    if (o->critical_unknown)
        odd_unknown(x);
    if (o->usage)
        odd_extension(x, by, NID_ext_key_usage, o->usage);
    assert_true(X509_sign(x, ql_key_native(issuer_key), EVP_sha256()) > 0);
    len = i2d_X509(x, &der);
    assert_true(len > 0);
    assert_int_equal(ql_cert_from_der(der, (size_t)len, &ret, NULL), QL_OK);
    OPENSSL_free(der);
    X509_free(x);
    return ret;
}
