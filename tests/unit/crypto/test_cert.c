/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert.h"
#include "clock.h"
#include "encode.h"
#include "file.h"

/** A small PKI: root, intermediate, leaf. */
struct pki {
    struct ql_key *root_key, *mid_key, *leaf_key;
    struct ql_cert *root, *mid, *leaf;
};

static struct ql_cert *make(const char *name, bool is_ca, const struct ql_key *key,
                            const struct ql_cert *issuer, const struct ql_key *issuer_key)
{
    struct ql_cert_profile p = {
        .subject = {.common_name = name}, .days = 30, .is_ca = is_ca, .for_client = !is_ca};
    struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_cert_make(&p, key, issuer, issuer_key, &cert, &err) < 0)
        fail_msg("%s: %s", name, err.text);
    return cert;
}

static void pki_make(struct pki *p)
{
    assert_int_equal(ql_key_generate_ec(QL_P256, &p->root_key, NULL), QL_OK);
    assert_int_equal(ql_key_generate_ec(QL_P256, &p->mid_key, NULL), QL_OK);
    assert_int_equal(ql_key_generate_ec(QL_P256, &p->leaf_key, NULL), QL_OK);
    p->root = make("root", true, p->root_key, NULL, p->root_key);
    p->mid = make("mid", true, p->mid_key, p->root, p->root_key);
    p->leaf = make("leaf", false, p->leaf_key, p->mid, p->mid_key);
}

static void pki_done(struct pki *p)
{
    ql_cert_free(p->root);
    ql_cert_free(p->mid);
    ql_cert_free(p->leaf);
    ql_key_free(p->root_key);
    ql_key_free(p->mid_key);
    ql_key_free(p->leaf_key);
}

static void put_pem(const char *dir, const char *name, const struct ql_cert *cert)
{
    char *pem = ql_cert_pem(cert), *path = ql_path_join(dir, name);

    assert_int_equal(ql_file_write(path, 0600, pem, strlen(pem), NULL), QL_OK);
    free(pem);
    free(path);
}

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d)) != NULL) {
        char *path = ql_path_join(dir, entry->d_name);

        if (entry->d_name[0] != '.')
            unlink(path);
        free(path);
    }
    closedir(d);
    rmdir(dir);
}

static void chains_of_any_depth_are_trusted_and_strangers_are_not(void **state)
{
    char dir[] = "/tmp/ql-cert-XXXXXX";
    struct ql_trust *with_root = NULL, *with_mid = NULL;
    struct pki a = {0}, b = {0};
    size_t added, skipped;
    char *mid_path;

    (void)state;
    assert_non_null(mkdtemp(dir));
    pki_make(&a);
    pki_make(&b);
    put_pem(dir, "mid.pem", a.mid);
    mid_path = ql_path_join(dir, "mid.pem");
    assert_int_equal(ql_trust_new(&with_mid, NULL), QL_OK);
    assert_int_equal(ql_trust_add_pem_file(with_mid, mid_path, NULL), QL_OK);
    put_pem(dir, "root.crt", a.root);
    {
        char *junk = ql_path_join(dir, "junk.pem");

        assert_int_equal(ql_file_write(junk, 0600, "junk", 4, NULL), QL_OK);
        free(junk);
    }
    assert_int_equal(ql_trust_new(&with_root, NULL), QL_OK);
    assert_int_equal(ql_trust_add_dir(with_root, dir, &added, &skipped, NULL), QL_OK);
    assert_int_equal(added, 2);
    assert_int_equal(skipped, 1);

    assert_int_equal(ql_trust_check(with_root, a.leaf, true, NULL), QL_OK);
    assert_int_equal(ql_trust_check(with_mid, a.leaf, true, NULL), QL_OK); /* an intermediate is enough */
    assert_int_equal(ql_trust_check(with_root, b.leaf, true, NULL), QL_ECRYPTO);
    assert_int_equal(ql_trust_check(with_root, b.root, true, NULL),
                     QL_ECRYPTO); /* self-signed, not in the store */

    free(mid_path);
    ql_trust_free(with_root);
    ql_trust_free(with_mid);
    pki_done(&a);
    pki_done(&b);
    remove_all(dir);
}

static void a_leaf_issues_nothing(void **state)
{
    char dir[] = "/tmp/ql-cert-XXXXXX";
    struct ql_trust *trust = NULL;
    struct ql_key *key = NULL;
    struct ql_cert *forged;
    struct pki a = {0};
    size_t added, skipped;

    (void)state;
    assert_non_null(mkdtemp(dir));
    pki_make(&a);
    put_pem(dir, "root.pem", a.root);
    put_pem(dir, "mid.pem", a.mid);
    put_pem(dir, "leaf.pem", a.leaf);
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    forged = make("forged", false, key, a.leaf, a.leaf_key);
    assert_int_equal(ql_trust_new(&trust, NULL), QL_OK);
    assert_int_equal(ql_trust_add_dir(trust, dir, &added, &skipped, NULL), QL_OK);
    assert_int_equal(ql_trust_check(trust, forged, false, NULL), QL_ECRYPTO);
    ql_cert_free(forged);
    ql_key_free(key);
    ql_trust_free(trust);
    pki_done(&a);
    remove_all(dir);
}

static void certificates_say_who_may_be_a_client(void **state)
{
    struct ql_cert_profile server = {.subject = {.common_name = "s"}, .days = 1, .for_server = true};
    struct ql_cert_profile plain = {.subject = {.common_name = "p"}, .days = 1};
    struct ql_cert *s = NULL, *p = NULL;
    struct pki a = {0};
    char name[8];

    (void)state;
    pki_make(&a);
    assert_int_equal(ql_cert_make(&server, a.leaf_key, a.root, a.root_key, &s, NULL), QL_OK);
    assert_int_equal(ql_cert_make(&plain, a.leaf_key, a.root, a.root_key, &p, NULL), QL_OK);
    assert_true(ql_cert_is_client(a.leaf));
    assert_true(ql_cert_is_client(p));
    assert_false(ql_cert_is_client(s));
    assert_int_equal(ql_cert_common_name(a.leaf, name, sizeof name), QL_OK);
    assert_string_equal(name, "leaf");
    assert_int_equal(ql_cert_common_name(a.leaf, name, 4), QL_ELIMIT);
    assert_true(ql_cert_not_after_ns(a.leaf) > ql_now_ns());
    ql_cert_free(s);
    ql_cert_free(p);
    pki_done(&a);
}

static void der_refuses_every_truncation_and_one_byte_more(void **state)
{
    struct pki a = {0};
    struct ql_cert *again = NULL;
    const uint8_t *der;
    uint8_t *longer;
    size_t len;

    (void)state;
    pki_make(&a);
    der = ql_cert_der(a.leaf, &len);
    assert_int_equal(ql_cert_from_der(der, len, &again, NULL), QL_OK);
    ql_cert_free(again);
    again = NULL;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(ql_cert_from_der(der, cut, &again, NULL), QL_OK);
    longer = calloc(1, len + 1);
    memcpy(longer, der, len);
    assert_int_not_equal(ql_cert_from_der(longer, len + 1, &again, NULL), QL_OK);
    assert_null(again);
    free(longer);
    pki_done(&a);
}

static void tls_dir_is_made_once_and_whole(void **state)
{
    static const char *const files[] = {"cacert.crt",        "ca-public.pem",      "cacrl.der",
                                        "cacrl.pem",         "private.json",       "server-cert.crt",
                                        "server-public.pem", "server-private.pem", "client-cert.crt",
                                        "client-public.pem", "client-private.pem"};
    static const char *const dns[] = {"localhost", NULL}, *const ips[] = {"127.0.0.1", "::1", NULL};
    char parent[] = "/tmp/ql-cert-XXXXXX", dir[64];
    struct ql_tls_dir what = {.dir = dir,
                              .ca_subject = {"US", "Test CA", "MA", "Lexington", "Keylime", "53"},
                              .dns = dns,
                              .ips = ips,
                              .with_client = true};
    struct ql_trust *trust = NULL;
    struct ql_cert *server = NULL;
    struct ql_err err = QL_ERR_INIT;
    uint8_t *pem = NULL;
    struct stat st;
    size_t len;
    bool made;
    char path[128];

    (void)state;
    assert_non_null(mkdtemp(parent));
    snprintf(dir, sizeof dir, "%s/cv_ca", parent);
    if (ql_tls_dir_make(&what, &made, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(made);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        if (stat(path, &st) != 0)
            fail_msg("%s is missing", path);
        if (strstr(files[i], "private"))
            assert_int_equal(st.st_mode & 0777, 0600);
    }
    snprintf(path, sizeof path, "%s/server-cert.crt", dir);
    assert_int_equal(ql_file_read(path, 65536, &pem, &len, NULL), QL_OK);
    assert_int_equal(ql_cert_from_pem((const char *)pem, len, &server, NULL), QL_OK);
    free(pem);
    snprintf(path, sizeof path, "%s/cacert.crt", dir);
    assert_int_equal(ql_trust_new(&trust, NULL), QL_OK);
    assert_int_equal(ql_trust_add_pem_file(trust, path, NULL), QL_OK);
    assert_int_equal(ql_trust_check(trust, server, true, NULL), QL_OK);
    assert_int_equal(ql_tls_dir_make(&what, &made, NULL), QL_OK);
    assert_false(made);

    /* The CA's key is nowhere in clear. */
    snprintf(path, sizeof path, "%s/private.json", dir);
    assert_int_equal(ql_file_read(path, 65536, &pem, &len, NULL), QL_OK);
    assert_null(strstr((const char *)pem, "PRIVATE"));
    free(pem);

    /* A folder with other contents is not taken over. */
    snprintf(path, sizeof path, "%s/cacert.crt", dir);
    unlink(path);
    assert_int_not_equal(ql_tls_dir_make(&what, &made, NULL), QL_OK);
    ql_cert_free(server);
    ql_trust_free(trust);
    remove_all(dir);
    rmdir(parent);
}

static void registered_certificates_are_read_with_their_own_bytes(void **state)
{
    json_t *v = load_vectors("agent/registration.json"), *cases = json_object_get(v, "cases");
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const char *text = vector_text_or_null(json_array_get(cases, i), "ekcert");
        struct ql_cert *cert = NULL;
        struct ql_key *key = NULL;
        char *pem;

        if (!text)
            continue;
        assert_int_equal(ql_cert_from_any(text, strlen(text), &cert, NULL), QL_OK);
        assert_int_equal(ql_cert_key(cert, &key, NULL), QL_OK);
        pem = ql_cert_pem(cert);
        assert_string_equal(pem, text);
        free(pem);
        ql_key_free(key);
        ql_cert_free(cert);
        tried++;
    }
    assert_true(tried >= 1);
    json_decref(v);
}

static void registered_certificates_are_cut_out_of_their_nv_index(void **state)
{
    json_t *v = load_vectors("agent/registration.json"), *cases = json_object_get(v, "cases");
    size_t tried = 0;

    (void)state;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const char *hex = vector_text_or_null(json_array_get(cases, i), "ekcert_nv_hex");
        uint8_t nv[4096];
        struct ql_cert *cert = NULL;
        size_t len, element;
        char *pem;

        if (!hex)
            continue;
        assert_int_equal(ql_hex_decode_upto(hex, strlen(hex), nv, sizeof nv, &len, NULL), QL_OK);
        assert_int_equal(ql_der_element_len(nv, len, &element), QL_OK);
        assert_int_equal(ql_cert_from_der(nv, element, &cert, NULL), QL_OK);
        pem = ql_cert_pem(cert);
        assert_string_equal(pem, vector_text(json_array_get(cases, i), "ekcert"));
        free(pem);
        ql_cert_free(cert);
        tried++;
    }
    assert_true(tried >= 1);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_of_any_depth_are_trusted_and_strangers_are_not),
        cmocka_unit_test(a_leaf_issues_nothing),
        cmocka_unit_test(certificates_say_who_may_be_a_client),
        cmocka_unit_test(der_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(tls_dir_is_made_once_and_whole),
        cmocka_unit_test(registered_certificates_are_read_with_their_own_bytes),
        cmocka_unit_test(registered_certificates_are_cut_out_of_their_nv_index),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
