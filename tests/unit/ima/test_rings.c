/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "rings.h"
#include <openssl/x509v3.h>

/* A certificate of a new key with the key identifier asked for, as a kernel measures it. */
static struct ima_key *certified(uint32_t id)
{
    uint8_t ski[8] = {1, 2, 3, 4, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id},
            *der = NULL;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    struct ima_key *key = NULL;
    int len;

    assert_true(pkey && cert && octets);
    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
                X509_gmtime_adj(X509_getm_notBefore(cert), 0) &&
                X509_gmtime_adj(X509_getm_notAfter(cert), 3600) && X509_set_pubkey(cert, pkey) &&
                X509_set_version(cert, X509_VERSION_3));
    assert_true(ASN1_OCTET_STRING_set(octets, ski, sizeof ski) &&
                X509_add1_ext_i2d(cert, NID_subject_key_identifier, octets, 0, X509V3_ADD_DEFAULT));
    assert_true(X509_sign(cert, pkey, EVP_sha256()));
    len = i2d_X509(cert, &der);
    assert_true(len > 0);
    assert_int_equal(ima_key_read(der, (size_t)len, true, &key), IMA_KEY_OK);
    assert_int_equal(ima_key_id(key), id);
    OPENSSL_free(der);
    ASN1_OCTET_STRING_free(octets);
    X509_free(cert);
    EVP_PKEY_free(pkey);
    return key;
}

static struct ima_bytes bytes(const char *text)
{
    return (struct ima_bytes){(const uint8_t *)text, strlen(text)};
}

static struct ima_rings *rings_of(const struct ima_keyring *operators, const char *agents,
                                  const char *learned)
{
    struct ima_rings *r = NULL;

    assert_int_equal(ima_rings_new(&ql_tool_host, operators, agents, bytes(learned), &r, NULL), QL_OK);
    return r;
}

static struct ima_key *find(struct ima_rings *r, uint32_t id)
{
    struct ima_key *key = NULL;

    assert_int_equal(ima_rings_find(r, id, &key, NULL), QL_OK);
    return key;
}

static struct ima_keyring *ring_with(struct ima_key *key)
{
    struct ima_keyring *ring = NULL;

    assert_int_equal(ima_keyring_new(&ql_tool_host, &ring, NULL), QL_OK);
    assert_int_equal(ima_keyring_add(ring, key, 0, NULL), QL_OK);
    return ring;
}

static void a_learned_key_takes_no_other_ones_place(void **state)
{
    struct ima_key *first = certified(0xabcdef01), *second = certified(0xabcdef01);
    struct ima_rings *r = rings_of(NULL, NULL, "");

    (void)state;
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), first, NULL), QL_OK);
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), first, NULL), QL_OK);
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), second, NULL), QL_ECONFLICT);
    assert_true(ima_key_equal(find(r, 0xabcdef01), first));
    /* another ring may have it, but the older one is asked first */
    assert_int_equal(ima_rings_learn(r, bytes(".other"), second, NULL), QL_OK);
    assert_true(ima_key_equal(find(r, 0xabcdef01), first));
    ima_rings_free(r);
    ima_key_unref(first);
    ima_key_unref(second);
}

static void a_learned_key_never_shadows_the_operators(void **state)
{
    struct ima_key *own = certified(0x01020304), *learned = certified(0x01020304);
    struct ima_keyring *operators = ring_with(own);
    struct ima_rings *r = rings_of(operators, NULL, "");

    (void)state;
    assert_int_equal(ima_rings_learn(r, bytes("tenant_keyring"), learned, NULL), QL_ECONFLICT);
    assert_int_equal(ima_rings_learn(r, bytes(""), learned, NULL), QL_ECONFLICT);
    assert_int_equal(ima_rings_learn(r, bytes("\xff"), learned, NULL), QL_ECONFLICT);
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), learned, NULL), QL_OK);
    assert_true(ima_key_equal(find(r, 0x01020304), own));
    ima_rings_free(r);
    ima_keyring_free(operators);
    ima_key_unref(own);
    ima_key_unref(learned);
}

static void an_agents_own_keys_replace_the_policys(void **state)
{
    struct ima_key *policys = certified(1), *agents = certified(2);
    struct ima_keyring *operators = ring_with(policys), *ring = ring_with(agents);
    json_t *object = ima_keyring_write(ring);
    char *text = json_dumps(object, 0);
    static const char *const none[] = {"", "[]", "null"};
    struct ima_rings *r = rings_of(operators, text, "");

    (void)state;
    assert_null(find(r, 1));
    assert_non_null(find(r, 2));
    ima_rings_free(r);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        r = rings_of(operators, none[i], "");
        assert_non_null(find(r, 1));
        ima_rings_free(r);
    }
    free(text);
    json_decref(object);
    ima_keyring_free(operators);
    ima_keyring_free(ring);
    ima_key_unref(policys);
    ima_key_unref(agents);
}

static void what_is_learned_after_the_seal_is_not_kept(void **state)
{
    struct ima_key *first = certified(11), *second = certified(12);
    struct ima_rings *r = rings_of(NULL, NULL, ""), *again;
    struct ima_bytes kept;

    (void)state;
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), first, NULL), QL_OK);
    assert_int_equal(ima_rings_seal(r, NULL), QL_OK);
    assert_int_equal(ima_rings_learn(r, bytes(".ima"), second, NULL), QL_OK);
    assert_non_null(find(r, 12)); /* it counts for this list */
    assert_int_equal(ima_rings_write(r, &kept, NULL), QL_OK);
    assert_int_equal(ima_rings_new(&ql_tool_host, NULL, NULL, kept, &again, NULL), QL_OK);
    assert_true(ima_key_equal(find(again, 11), first));
    assert_null(find(again, 12));
    /* and unchanged it is written as it came */
    assert_int_equal(ima_rings_seal(again, NULL), QL_OK);
    {
        struct ima_bytes same;

        assert_int_equal(ima_rings_write(again, &same, NULL), QL_OK);
        assert_ptr_equal(same.at, kept.at);
    }
    ima_rings_free(again);
    ima_rings_free(r);
    ima_key_unref(first);
    ima_key_unref(second);
}

static void more_rings_than_a_kernel_has_are_refused(void **state)
{
    struct ima_key *key = certified(5);
    struct ima_rings *r = rings_of(NULL, NULL, "");
    struct ql_err err = QL_ERR_INIT;
    char name[32];

    (void)state;
    for (int i = 0; i < IMA_RINGS_MAX; i++) {
        snprintf(name, sizeof name, ".ring%d", i);
        assert_int_equal(ima_rings_learn(r, bytes(name), key, NULL), QL_OK);
    }
    assert_int_equal(ima_rings_learn(r, bytes(".more"), key, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "64"));
    ima_rings_free(r);
    ima_key_unref(key);
}

static void kept_rings_that_are_damaged_are_an_error(void **state)
{
    struct ima_rings *r = rings_of(NULL, NULL, "[1]");
    struct ima_key *key = NULL;

    (void)state;
    assert_int_equal(ima_rings_find(r, 1, &key, NULL), QL_EPARSE);
    ima_rings_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learned_key_takes_no_other_ones_place),
        cmocka_unit_test(a_learned_key_never_shadows_the_operators),
        cmocka_unit_test(an_agents_own_keys_replace_the_policys),
        cmocka_unit_test(what_is_learned_after_the_seal_is_not_kept),
        cmocka_unit_test(more_rings_than_a_kernel_has_are_refused),
        cmocka_unit_test(kept_rings_that_are_damaged_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
