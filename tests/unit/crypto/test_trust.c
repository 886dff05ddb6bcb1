/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include "clock.h"
#include "crypto/pki.h"

/** Root, intermediate and keys; leaves are made by the tests. */
struct chain {
    struct ql_key *root_key, *mid_key, *leaf_key;
    struct ql_cert *root, *mid;
};

static void chain_make(struct chain *c, const struct odd_cert *mid)
{
    static const struct odd_cert root = {.name = "root", .is_ca = true};

    assert_int_equal(ql_key_generate_ec(QL_P256, &c->root_key, NULL), QL_OK);
    assert_int_equal(ql_key_generate_ec(QL_P256, &c->mid_key, NULL), QL_OK);
    assert_int_equal(ql_key_generate_ec(QL_P256, &c->leaf_key, NULL), QL_OK);
    c->root = odd_cert_make(&root, c->root_key, NULL, c->root_key);
    c->mid = odd_cert_make(mid, c->mid_key, c->root, c->root_key);
}

static void chain_done(struct chain *c)
{
    ql_cert_free(c->root);
    ql_cert_free(c->mid);
    ql_key_free(c->root_key);
    ql_key_free(c->mid_key);
    ql_key_free(c->leaf_key);
}

static struct ql_trust *trusting(const char *dir, const struct ql_cert *a, const struct ql_cert *b)
{
    struct ql_trust *t = NULL;
    const struct ql_cert *certs[] = {a, b};

    assert_int_equal(ql_trust_new(&t, NULL), QL_OK);
    for (size_t i = 0; i < 2; i++) {
        char *pem = certs[i] ? ql_cert_pem(certs[i]) : NULL;

        if (!pem)
            continue;
        tempdir_put(dir, "trusted.pem", pem);
        assert_int_equal(ql_trust_add_pem_file(t, tempdir_path(dir, "trusted.pem"), NULL), QL_OK);
        free(pem);
    }
    return t;
}

static const struct odd_cert plain_mid = {.name = "mid", .is_ca = true};

/* Verdict on a leaf under root and intermediate, both in the store. */
static int judge(const char *dir, const struct odd_cert *mid, const struct odd_cert *leaf, bool dates,
                 struct ql_err *err)
{
    struct chain c = {0};
    struct ql_cert *cert;
    struct ql_trust *t;
    int r;

    chain_make(&c, mid);
    cert = odd_cert_make(leaf, c.leaf_key, c.mid, c.mid_key);
    t = trusting(dir, c.root, c.mid);
    r = ql_trust_check(t, cert, dates, err);
    ql_trust_free(t);
    ql_cert_free(cert);
    chain_done(&c);
    return r;
}

static void trust_accepts_expired_certificates_only_where_dates_do_not_count(void **state)
{
    static const struct odd_cert old = {.name = "old", .from_s = -7200, .to_s = -3600};
    static const struct odd_cert early = {.name = "early", .from_s = 3600, .to_s = 7200};
    static const struct odd_cert old_mid = {.name = "mid", .is_ca = true, .from_s = -7200, .to_s = -3600};
    static const struct odd_cert leaf = {.name = "leaf"};
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(judge(*state, &plain_mid, &leaf, true, NULL), QL_OK);
    assert_int_equal(judge(*state, &plain_mid, &old, true, &err), QL_ECRYPTO);
    assert_string_equal(err.text, "certificate is not trusted: certificate has expired");
    assert_int_equal(judge(*state, &plain_mid, &old, false, NULL), QL_OK);
    assert_int_equal(judge(*state, &plain_mid, &early, true, NULL), QL_ECRYPTO);
    assert_int_equal(judge(*state, &plain_mid, &early, false, NULL), QL_OK);
    assert_int_equal(judge(*state, &old_mid, &leaf, false, NULL), QL_OK);
}

static void trust_accepts_ek_certificates_with_critical_directory_names(void **state)
{
    static const struct odd_cert ek = {.critical_directory = true, .usage = "2.23.133.8.1"};

    assert_int_equal(judge(*state, &plain_mid, &ek, true, NULL), QL_OK);
}

static void trust_tolerates_unknown_critical_extensions_in_the_leaf_alone(void **state)
{
    static const struct odd_cert leaf = {.name = "leaf"}, odd = {.name = "odd", .critical_unknown = true};
    static const struct odd_cert odd_mid = {.name = "mid", .is_ca = true, .critical_unknown = true};

    assert_int_equal(judge(*state, &plain_mid, &odd, true, NULL), QL_OK);
    assert_int_equal(judge(*state, &odd_mid, &leaf, true, NULL), QL_ECRYPTO);
    assert_int_equal(judge(*state, &odd_mid, &odd, false, NULL), QL_ECRYPTO);
}

static void trust_refuses_signers_that_are_no_ca(void **state)
{
    static const struct odd_cert no_ca = {.name = "mid"}, leaf = {.name = "leaf"};

    assert_int_equal(judge(*state, &no_ca, &leaf, true, NULL), QL_ECRYPTO);
    assert_int_equal(judge(*state, &no_ca, &leaf, false, NULL), QL_ECRYPTO);
}

static void trust_refuses_a_missing_intermediate_and_an_empty_store(void **state)
{
    static const struct odd_cert leaf = {.name = "leaf"};
    struct chain c = {0};
    struct ql_cert *cert;
    struct ql_trust *root, *mid, *none;

    chain_make(&c, &plain_mid);
    cert = odd_cert_make(&leaf, c.leaf_key, c.mid, c.mid_key);
    root = trusting(*state, c.root, NULL);
    mid = trusting(*state, c.mid, NULL);
    none = trusting(*state, NULL, NULL);
    assert_int_equal(ql_trust_check(root, cert, false, NULL), QL_ECRYPTO);
    assert_int_equal(ql_trust_check(mid, cert, false, NULL), QL_OK);
    assert_int_equal(ql_trust_check(none, cert, false, NULL), QL_ECRYPTO);
    assert_int_equal(ql_trust_count(none), 0);
    ql_trust_free(root);
    ql_trust_free(mid);
    ql_trust_free(none);
    ql_cert_free(cert);
    chain_done(&c);
}

static void trust_never_accepts_a_self_signed_stranger(void **state)
{
    static const struct odd_cert as_root = {.name = "root", .is_ca = true}, leaf = {.name = "leaf"};
    struct chain c = {0};
    struct ql_key *key = NULL;
    struct ql_cert *same_name, *self;
    struct ql_trust *t;

    chain_make(&c, &plain_mid);
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    same_name = odd_cert_make(&as_root, key, NULL, key);
    self = odd_cert_make(&leaf, key, NULL, key);
    t = trusting(*state, c.root, c.mid);
    for (int dates = 0; dates < 2; dates++) {
        assert_int_equal(ql_trust_check(t, same_name, dates, NULL), QL_ECRYPTO);
        assert_int_equal(ql_trust_check(t, self, dates, NULL), QL_ECRYPTO);
    }
    ql_trust_free(t);
    t = trusting(*state, self, NULL);
    assert_int_equal(ql_trust_check(t, self, true, NULL), QL_OK); /* pinned: it is in the store */
    ql_trust_free(t);
    ql_cert_free(same_name);
    ql_cert_free(self);
    ql_key_free(key);
    chain_done(&c);
}

static void trust_refuses_a_forged_signature(void **state)
{
    static const struct odd_cert leaf = {.name = "leaf"};
    struct chain c = {0};
    struct ql_cert *forged;
    struct ql_trust *t;

    chain_make(&c, &plain_mid);
    forged = odd_cert_make(&leaf, c.leaf_key, c.mid, c.leaf_key); /* names mid, signed by itself */
    t = trusting(*state, c.root, c.mid);
    assert_int_equal(ql_trust_check(t, forged, false, NULL), QL_ECRYPTO);
    ql_trust_free(t);
    ql_cert_free(forged);
    chain_done(&c);
}

static void trust_file_may_hold_keys_and_text_but_no_damaged_block(void **state)
{
    struct chain c = {0};
    struct ql_trust *t = NULL;
    struct ql_secret *key = NULL;
    struct ql_err err = QL_ERR_INIT;
    char *root, *mid, *text = NULL;

    chain_make(&c, &plain_mid);
    root = ql_cert_pem(c.root);
    mid = ql_cert_pem(c.mid);
    assert_int_equal(ql_key_private_pem(c.leaf_key, NULL, &key, NULL), QL_OK);
    assert_true(asprintf(&text, "some words\n%s\n%s%s", root, (const char *)ql_secret_data(key), mid) > 0);
    tempdir_put(*state, "all.pem", text);
    assert_int_equal(ql_trust_new(&t, NULL), QL_OK);
    assert_int_equal(ql_trust_add_pem_file(t, tempdir_path(*state, "all.pem"), NULL), QL_OK);
    assert_int_equal(ql_trust_count(t), 2);

    /* Cut in the middle of the second certificate: reading must not end in silence. */
    text[strlen(text) - strlen(mid) / 2] = '\0';
    tempdir_put(*state, "cut.pem", text);
    assert_int_equal(ql_trust_add_pem_file(t, tempdir_path(*state, "cut.pem"), &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "cut.pem: a PEM block is damaged"));
    tempdir_put(*state, "key.pem", (const char *)ql_secret_data(key));
    assert_int_equal(ql_trust_add_pem_file(t, tempdir_path(*state, "key.pem"), &err), QL_EPARSE);
    assert_int_equal(ql_trust_add_pem_file(t, tempdir_path(*state, "none.pem"), &err), QL_ENOTFOUND);
    ql_secret_free(key);
    free(text);
    free(root);
    free(mid);
    ql_trust_free(t);
    chain_done(&c);
}

static void trust_reads_der_and_pem_of_a_folder_and_counts_the_rest(void **state)
{
    struct chain c = {0};
    struct ql_trust *t = NULL;
    size_t added, skipped, len;
    const uint8_t *der;
    char *pem;
    FILE *f;

    chain_make(&c, &plain_mid);
    pem = ql_cert_pem(c.root);
    tempdir_put(*state, "root.crt", pem);
    der = ql_cert_der(c.mid, &len);
    f = fopen(tempdir_path(*state, "mid.der"), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(der, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    tempdir_put(*state, "junk.der", "junk");
    tempdir_put(*state, "readme.txt", pem); /* another name: not looked at */
    assert_int_equal(ql_trust_new(&t, NULL), QL_OK);
    assert_int_equal(ql_trust_add_dir(t, *state, &added, &skipped, NULL), QL_OK);
    assert_int_equal(added, 2);
    assert_int_equal(skipped, 1);
    assert_int_equal(ql_trust_add_dir(t, tempdir_path(*state, "none"), &added, &skipped, NULL), QL_ENOTFOUND);
    free(pem);
    ql_trust_free(t);
    chain_done(&c);
}

static void cert_that_ends_in_the_year_9999_never_expires(void **state)
{
    static const struct odd_cert forever = {.name = "iak", .end = "99991231235959Z"};
    static const struct odd_cert old = {.name = "old", .end = "19500101000000Z"};
    struct ql_key *key = NULL;
    struct ql_cert *a, *b;

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    a = odd_cert_make(&forever, key, NULL, key);
    b = odd_cert_make(&old, key, NULL, key);
    assert_true(ql_cert_not_after_ns(a) == INT64_MAX);
    assert_int_equal(ql_cert_not_after_ns(b), 0);
    ql_cert_free(a);
    ql_cert_free(b);
    ql_key_free(key);
}

static void cert_with_two_common_names_has_none(void **state)
{
    static const struct odd_cert two = {.name = "agent", .second_name = "admin"}, none = {0};
    struct ql_key *key = NULL;
    struct ql_cert *a, *b;
    char name[16];

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    a = odd_cert_make(&two, key, NULL, key);
    b = odd_cert_make(&none, key, NULL, key);
    assert_int_equal(ql_cert_common_name(a, name, sizeof name), QL_ENOTFOUND);
    assert_int_equal(ql_cert_common_name(b, name, sizeof name), QL_ENOTFOUND);
    ql_cert_free(a);
    ql_cert_free(b);
    ql_key_free(key);
}

static void cert_for_servers_is_no_client(void **state)
{
    static const struct {
        struct odd_cert cert;
        bool client;
    } cases[] = {{{.name = "a", .usage = "serverAuth"}, false},
                 {{.name = "b", .usage = "serverAuth,clientAuth"}, true},
                 {{.name = "c", .usage = "2.23.133.8.1"}, false},
                 {{.name = "d"}, true}};
    struct ql_key *key = NULL;

    (void)state;
    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct ql_cert *c = odd_cert_make(&cases[i].cert, key, NULL, key);

        assert_int_equal(ql_cert_is_client(c), cases[i].client);
        ql_cert_free(c);
    }
    ql_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trust_accepts_expired_certificates_only_where_dates_do_not_count,
                                        tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_accepts_ek_certificates_with_critical_directory_names,
                                        tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_tolerates_unknown_critical_extensions_in_the_leaf_alone,
                                        tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_refuses_signers_that_are_no_ca, tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_refuses_a_missing_intermediate_and_an_empty_store, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_never_accepts_a_self_signed_stranger, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_refuses_a_forged_signature, tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_file_may_hold_keys_and_text_but_no_damaged_block, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(trust_reads_der_and_pem_of_a_folder_and_counts_the_rest, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test(cert_that_ends_in_the_year_9999_never_expires),
        cmocka_unit_test(cert_with_two_common_names_has_none),
        cmocka_unit_test(cert_for_servers_is_no_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
