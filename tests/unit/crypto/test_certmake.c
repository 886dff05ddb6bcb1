/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <openssl/x509v3.h>

#include "cert.h"
#include "clock.h"

/** A CA made anew for each test. */
struct ca {
    struct ql_key *key, *leaf_key;
    struct ql_cert *cert;
};

static int ca_make(void **state)
{
    static struct ca ca;
    struct ql_cert_profile p = {
        .subject = {"US", "Keylime Certificate Authority", "MA", "Lexington", "Keylime", "53"},
        .days = 3650,
        .serial = 1,
        .is_ca = true,
        .crl_url = "http://localhost:38080/crl",
    };

    ca = (struct ca){0};
    *state = &ca;
    return ql_key_generate_ec(QL_P256, &ca.key, NULL) < 0 ||
                   ql_key_generate_rsa(2048, &ca.leaf_key, NULL) < 0 ||
                   ql_cert_make(&p, ca.key, NULL, ca.key, &ca.cert, NULL) < 0
               ? -1
               : 0;
}

static int ca_done(void **state)
{
    struct ca *ca = *state;

    ql_cert_free(ca->cert);
    ql_key_free(ca->key);
    ql_key_free(ca->leaf_key);
    return 0;
}

static struct ql_cert *leaf_of(const struct ca *ca, const struct ql_cert_profile *p)
{
    struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_cert_make(p, ca->leaf_key, ca->cert, ca->key, &cert, &err) < 0)
        fail_msg("%s", err.text);
    return cert;
}

static void assert_name(const X509_NAME *name, const char *expected)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len;

    assert_true(X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ) > 0);
    len = BIO_get_mem_data(bio, &text);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(text, expected, (size_t)len);
    BIO_free(bio);
}

/* Is there such an extension, and is it critical? -1: none */
static int criticality(const struct ql_cert *c, int nid)
{
    int at = X509_get_ext_by_NID(ql_cert_native(c), nid, -1);

    return at < 0 ? -1 : X509_EXTENSION_get_critical(X509_get_ext(ql_cert_native(c), at));
}

static void ca_certificate_has_keylimes_profile(void **state)
{
    struct ca *ca = *state;
    X509 *x = ql_cert_native(ca->cert);

    assert_int_equal(X509_get_version(x), X509_VERSION_3);
    assert_int_equal(ASN1_INTEGER_get(X509_get_serialNumber(x)), 1);
    assert_name(X509_get_subject_name(x),
                "C=US, CN=Keylime Certificate Authority, ST=MA, L=Lexington, O=Keylime, OU=53");
    assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)), 0);
    assert_int_equal(criticality(ca->cert, NID_basic_constraints), 1);
    assert_int_equal(criticality(ca->cert, NID_key_usage), 1);
    assert_int_equal(X509_check_ca(x), 1);
    assert_int_equal(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(criticality(ca->cert, NID_subject_key_identifier), 0);
    assert_int_equal(criticality(ca->cert, NID_authority_key_identifier), 0);
    assert_int_equal(criticality(ca->cert, NID_crl_distribution_points), 0);
    assert_int_equal(X509_get_signature_nid(x), NID_ecdsa_with_SHA256);
    assert_true(ql_cert_not_after_ns(ca->cert) > ql_now_ns() + 3649 * 86400 * QL_NS_PER_S);
    assert_true(ql_cert_not_after_ns(ca->cert) < ql_now_ns() + 3651 * 86400 * QL_NS_PER_S);
}

static void leaf_certificate_names_its_hosts_and_its_use(void **state)
{
    static const char *const dns[] = {"localhost", "*.example.com", NULL}, *const ips[] = {"127.0.0.1",
                                                                                           "fe80::1", NULL};
    struct ca *ca = *state;
    struct ql_cert_profile p = {.subject = {.country = "US", .common_name = "server"},
                                .days = 365,
                                .for_server = true,
                                .netscape_comment = true,
                                .dns = dns,
                                .ips = ips};
    struct ql_cert *c = leaf_of(ca, &p);
    X509 *x = ql_cert_native(c);

    assert_name(X509_get_subject_name(x), "C=US, CN=server");
    assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "a.example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "fe80::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.2", 0), 0);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(criticality(c, NID_key_usage), -1);
    assert_int_equal(criticality(c, NID_netscape_comment), 0);
    assert_int_equal(criticality(c, NID_authority_key_identifier), 0);
    assert_int_equal(criticality(c, NID_crl_distribution_points), -1);
    assert_int_equal(X509_verify(x, ql_key_native(ca->key)), 1);
    ql_cert_free(c);
}

static void leaf_certificates_have_serials_of_their_own(void **state)
{
    struct ql_cert_profile p = {.subject = {.common_name = "a"}, .days = 1};
    struct ql_cert *a = leaf_of(*state, &p), *b = leaf_of(*state, &p);
    const ASN1_INTEGER *sa = X509_get0_serialNumber(ql_cert_native(a)),
                       *sb = X509_get0_serialNumber(ql_cert_native(b));

    assert_int_not_equal(ASN1_INTEGER_cmp(sa, sb), 0);
    assert_int_equal(ASN1_STRING_type(sa), V_ASN1_INTEGER); /* not negative */
    ql_cert_free(a);
    ql_cert_free(b);
}

static void names_that_would_begin_another_entry_are_refused(void **state)
{
    static const char *const bad_dns[] = {"a,IP:10.0.0.1", "a\nb", "a\rb", "", "a b", "dns:a", "a/b"},
                             *const bad_ips[] = {"10.0.0.1,DNS:a", "10.0.0",      "host", "",
                                                 "10.0.0.1/8",     "fe80::1%eth0"};
    struct ca *ca = *state;
    struct ql_cert *c = NULL;

    for (size_t i = 0; i < QL_ARRAY_LEN(bad_dns); i++) {
        const char *const dns[] = {"localhost", bad_dns[i], NULL};
        struct ql_cert_profile p = {.subject = {.common_name = "a"}, .days = 1, .dns = dns};

        assert_int_equal(ql_cert_make(&p, ca->leaf_key, ca->cert, ca->key, &c, NULL), QL_ERANGE);
    }
    for (size_t i = 0; i < QL_ARRAY_LEN(bad_ips); i++) {
        const char *const ips[] = {bad_ips[i], NULL};
        struct ql_cert_profile p = {.subject = {.common_name = "a"}, .days = 1, .ips = ips};

        assert_int_equal(ql_cert_make(&p, ca->leaf_key, ca->cert, ca->key, &c, NULL), QL_ERANGE);
    }
    assert_null(c);
}

static void agent_ids_of_eighty_characters_fit(void **state)
{
    char id[81], name[81];
    struct ql_cert_profile p = {.subject = {.common_name = id}, .days = 1, .for_server = true};
    struct ca *ca = *state;
    struct ql_cert *c = NULL;

    memset(id, 'x', 80);
    id[80] = '\0';
    assert_int_equal(ql_cert_make(&p, ca->leaf_key, NULL, ca->leaf_key, &c, NULL), QL_OK);
    assert_int_equal(ql_cert_common_name(c, name, sizeof name), QL_OK);
    assert_string_equal(name, id);
    assert_int_equal(X509_verify(ql_cert_native(c), ql_key_native(ca->leaf_key)), 1);
    ql_cert_free(c);
}

static void issuing_with_a_key_that_is_not_the_issuers_is_refused(void **state)
{
    struct ql_cert_profile p = {.subject = {.common_name = "a"}, .days = 1};
    struct ca *ca = *state;
    struct ql_cert *c = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(ql_cert_make(&p, ca->leaf_key, ca->cert, ca->leaf_key, &c, &err), QL_ECRYPTO);
    assert_string_equal(err.text, "the signing key is not that of the issuing certificate");
    assert_null(c);
}

static void revocation_list_names_what_is_revoked(void **state)
{
    static const uint64_t serials[] = {7, 3, UINT64_C(0x7fffffffffffffff)};
    struct ca *ca = *state;
    uint8_t *der = NULL;
    const uint8_t *at;
    size_t len;
    X509_CRL *crl;
    X509_REVOKED *found = NULL;
    ASN1_INTEGER *number = ASN1_INTEGER_new();

    assert_int_equal(ql_crl_make(ca->cert, ca->key, serials, 3, 30, 5, &der, &len, NULL), QL_OK);
    at = der;
    crl = d2i_X509_CRL(NULL, &at, (long)len);
    assert_non_null(crl);
    assert_ptr_equal(at, der + len);
    assert_int_equal(X509_CRL_verify(crl, ql_key_native(ca->key)), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ASN1_INTEGER_set_uint64(number, serials[i]), 1);
        assert_int_equal(X509_CRL_get0_by_serial(crl, &found, number), 1);
    }
    assert_int_equal(ASN1_INTEGER_set_uint64(number, 4), 1);
    assert_int_equal(X509_CRL_get0_by_serial(crl, &found, number), 0);
    assert_true(X509_cmp_current_time(X509_CRL_get0_nextUpdate(crl)) > 0);
    assert_true(X509_CRL_get_ext_by_NID(crl, NID_crl_number, -1) >= 0);
    assert_true(X509_CRL_get_ext_by_NID(crl, NID_authority_key_identifier, -1) >= 0);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
    free(der);
}

static void der_element_is_found_before_padding(void **state)
{
    struct ca *ca = *state;
    const uint8_t *der;
    uint8_t *padded;
    size_t len, found = 0;

    der = ql_cert_der(ca->cert, &len);
    padded = malloc(len + 300);
    assert_non_null(padded);
    memcpy(padded, der, len);
    memset(padded + len, 0xff, 300);
    assert_int_equal(ql_der_element_len(padded, len + 300, &found), QL_OK);
    assert_int_equal(found, len);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(ql_der_element_len(padded, cut, &found), QL_EPARSE);
    assert_int_equal(ql_der_element_len((const uint8_t *)"\x30\x80\x00\x00", 4, &found), QL_EPARSE);
    assert_int_equal(ql_der_element_len((const uint8_t *)"\x31\x00", 2, &found), QL_EPARSE);
    assert_int_equal(ql_der_element_len((const uint8_t *)"\x30\x84\xff\xff\xff\xff", 6, &found), QL_EPARSE);
    assert_int_equal(ql_der_element_len((const uint8_t *)"\x30\x85\x00\x00\x00\x00\x00", 7, &found),
                     QL_EPARSE);
    assert_int_equal(ql_der_element_len((const uint8_t *)"\x30\x00", 2, &found), QL_OK);
    assert_int_equal(found, 2);
    free(padded);
}

static void pem_and_base64_are_told_apart(void **state)
{
    struct ca *ca = *state;
    struct ql_cert *c = NULL;
    char *pem = ql_cert_pem(ca->cert), *wrong = NULL;

    assert_int_equal(ql_cert_from_any(pem, strlen(pem), &c, NULL), QL_OK);
    ql_cert_free(c);
    c = NULL;
    assert_int_equal(ql_cert_from_any("emulator", 8, &c, NULL), QL_EPARSE);
    assert_int_equal(ql_cert_from_any("", 0, &c, NULL), QL_EPARSE);
    assert_int_equal(ql_cert_from_pem(pem, strlen(pem) / 2, &c, NULL), QL_EPARSE);
    /* "Encrypted": refused at once, nobody is asked for a password. */
    assert_true(asprintf(&wrong,
                         "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                         "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n%s",
                         strchr(pem, '\n') + 1) > 0);
    assert_int_equal(ql_cert_from_pem(wrong, strlen(wrong), &c, NULL), QL_EPARSE);
    assert_null(c);
    free(wrong);
    free(pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ca_certificate_has_keylimes_profile),
        cmocka_unit_test(leaf_certificate_names_its_hosts_and_its_use),
        cmocka_unit_test(leaf_certificates_have_serials_of_their_own),
        cmocka_unit_test(names_that_would_begin_another_entry_are_refused),
        cmocka_unit_test(agent_ids_of_eighty_characters_fit),
        cmocka_unit_test(issuing_with_a_key_that_is_not_the_issuers_is_refused),
        cmocka_unit_test(revocation_list_names_what_is_revoked),
        cmocka_unit_test(der_element_is_found_before_padding),
        cmocka_unit_test(pem_and_base64_are_told_apart),
    };

    return cmocka_run_group_tests(tests, ca_make, ca_done);
}
