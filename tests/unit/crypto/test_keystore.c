/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <jansson.h>
#include <sys/stat.h>

#include "cert.h"
#include "keystore.h"

static struct ql_secret *secret_of(const char *text)
{
    struct ql_secret *s = NULL;

    assert_int_equal(ql_secret_new(text, strlen(text), &s, NULL), QL_OK);
    return s;
}

static void keystore_opens_with_its_own_password_alone(void **state)
{
    struct ql_secret *plain = secret_of("{\"ca\":\"x\"}"), *right = secret_of("right"),
                     *wrong = secret_of("wrong"), *opened = NULL;
    char *text = NULL, *preset = NULL;

    (void)state;
    assert_int_equal(ql_keystore_seal(plain, right, &text, NULL), QL_OK);
    assert_null(strstr(text, "ca\\"));
    assert_int_equal(ql_keystore_open(text, strlen(text), wrong, &opened, NULL), QL_ECRYPTO);
    assert_int_equal(ql_keystore_open(text, strlen(text), NULL, &opened, NULL), QL_ECRYPTO);
    assert_null(opened);
    assert_int_equal(ql_keystore_open(text, strlen(text), right, &opened, NULL), QL_OK);
    assert_string_equal((const char *)ql_secret_data(opened), "{\"ca\":\"x\"}");
    ql_secret_free(opened);
    opened = NULL;

    assert_int_equal(ql_keystore_seal(plain, NULL, &preset, NULL), QL_OK);
    assert_int_equal(ql_keystore_open(preset, strlen(preset), NULL, &opened, NULL), QL_OK);
    ql_secret_free(opened);
    free(text);
    free(preset);
    ql_secret_free(plain);
    ql_secret_free(right);
    ql_secret_free(wrong);
}

static void keystore_opens_what_the_documented_format_says(void **state)
{
    /* Made with Python's hashlib and cryptography: PBKDF2-HMAC-SHA256, 100000 rounds, AES-GCM with a 16-byte IV. */
    static const char known[] = "{\"priv\":\"AAECAwQFBgcICQoLDA0OD/"
                                "Wgu1vk4s0JY0yLAbDwHYUNdf3DcEYiubO741RTwMdA\",\"salt\":\"Qx7LmN02aZ8TkpVu\"}";
    struct ql_secret *password = secret_of("correct horse"), *opened = NULL;

    (void)state;
    assert_int_equal(ql_keystore_open(known, strlen(known), password, &opened, NULL), QL_OK);
    assert_string_equal((const char *)ql_secret_data(opened), "{\"lastserial\":3}");
    ql_secret_free(opened);
    ql_secret_free(password);
}

static void keystore_refuses_other_shapes(void **state)
{
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"priv\":\"AAAA\"}",
                                        "{\"salt\":\"AAAA\"}",
                                        "{\"priv\":1,\"salt\":\"a\"}",
                                        "{\"priv\":\"AAAA\",\"salt\":\"\"}",
                                        "{\"priv\":\"A\",\"salt\":\"a\"}",
                                        "{\"priv\":\"AAAA\",\"salt\":\"a\"}"};
    struct ql_secret *opened = NULL;

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(texts); i++)
        assert_int_equal(ql_keystore_open(texts[i], strlen(texts[i]), NULL, &opened, NULL), QL_EPARSE);
    assert_null(opened);
}

static struct ql_cert *cert_at(const char *dir, const char *name)
{
    struct ql_cert *cert = NULL;
    char *text = tempdir_get(dir, name);

    assert_int_equal(ql_cert_from_pem(text, strlen(text), &cert, NULL), QL_OK);
    free(text);
    return cert;
}

static struct ql_key *key_at(const char *dir, const char *name, const struct ql_secret *password)
{
    struct ql_key *key = NULL;
    char *text = tempdir_get(dir, name);

    assert_int_equal(ql_key_from_private_pem(text, strlen(text), password, &key, NULL), QL_OK);
    free(text);
    return key;
}

static void assert_pair(const struct ql_cert *cert, const struct ql_key *key)
{
    struct ql_key *in_cert = NULL;

    assert_int_equal(ql_cert_key(cert, &in_cert, NULL), QL_OK);
    assert_true(ql_key_equal(in_cert, key));
    ql_key_free(in_cert);
}

static void tls_dir_keeps_each_key_under_its_own_password(void **state)
{
    static const char *const ips[] = {"127.0.0.1", NULL};
    struct ql_secret *ca_word = secret_of("ca word"), *server_word = secret_of("server word"), *opened = NULL;
    char *dir = strdup(tempdir_path(*state, "cv_ca"));
    struct ql_tls_dir what = {.dir = dir,
                              .ca_subject = {"US", "CA", "MA", "Lexington", "Keylime", "53"},
                              .ips = ips,
                              .with_client = true,
                              .ca_password = ca_word,
                              .server_key_password = server_word};
    struct ql_cert *ca, *server, *client;
    struct ql_key *ca_key = NULL, *server_key, *client_key, *never = NULL;
    char *text;
    json_t *inner;
    bool made = false;

    assert_int_equal(ql_tls_dir_make(&what, &made, NULL), QL_OK);
    assert_true(made);
    ca = cert_at(dir, "cacert.crt");
    server = cert_at(dir, "server-cert.crt");
    client = cert_at(dir, "client-cert.crt");
    server_key = key_at(dir, "server-private.pem", server_word);
    client_key = key_at(dir, "client-private.pem", NULL);
    assert_pair(server, server_key);
    assert_pair(client, client_key);
    assert_false(ql_cert_is_client(server));
    assert_true(ql_cert_is_client(client));
    text = tempdir_get(dir, "server-private.pem");
    assert_int_not_equal(ql_key_from_private_pem(text, strlen(text), NULL, &never, NULL), QL_OK);
    free(text);

    text = tempdir_get(dir, "private.json");
    assert_int_equal(ql_keystore_open(text, strlen(text), NULL, &opened, NULL), QL_ECRYPTO);
    assert_int_equal(ql_keystore_open(text, strlen(text), ca_word, &opened, NULL), QL_OK);
    free(text);
    inner = json_loads((const char *)ql_secret_data(opened), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(inner);
    assert_int_equal(json_integer_value(json_object_get(inner, "lastserial")), 3);
    assert_true(json_is_array(json_object_get(inner, "revoked_keys")));
    text = strdup(json_string_value(json_object_get(inner, "ca")));
    assert_int_equal(ql_key_from_private_pem(text, strlen(text), NULL, &ca_key, NULL), QL_OK);
    assert_pair(ca, ca_key);
    free(text);
    json_decref(inner);

    ql_key_free(ca_key);
    ql_key_free(server_key);
    ql_key_free(client_key);
    ql_cert_free(ca);
    ql_cert_free(server);
    ql_cert_free(client);
    ql_secret_free(opened);
    ql_secret_free(ca_word);
    ql_secret_free(server_word);
    free(dir);
}

static void tls_dir_left_half_made_by_a_crash_is_not_taken_for_whole(void **state)
{
    char *dir = strdup(tempdir_path(*state, "reg_ca"));
    struct ql_tls_dir what = {.dir = dir, .ca_subject = {.common_name = "CA"}};
    struct ql_err err = QL_ERR_INIT;
    struct stat st;
    bool made = true;

    /* What a crash leaves: a folder of another name. */
    assert_int_equal(mkdir(tempdir_path(*state, "reg_ca.abcdef"), 0700), 0);
    tempdir_put(tempdir_path(*state, "reg_ca.abcdef"), "server-private.pem", "half");
    assert_int_equal(ql_tls_dir_make(&what, &made, NULL), QL_OK);
    assert_true(made);
    assert_int_not_equal(stat(tempdir_path(dir, "client-cert.crt"), &st), 0); /* was not asked for */

    /* Somebody's files without a CA are neither used nor overwritten. */
    assert_int_equal(unlink(tempdir_path(dir, "cacert.crt")), 0);
    assert_int_equal(ql_tls_dir_make(&what, &made, &err), QL_EEXIST);
    assert_false(made);
    assert_non_null(strstr(err.text, "holds something, but no cacert.crt"));

    /* An empty folder is filled. */
    what.dir = tempdir_path(*state, "empty");
    assert_int_equal(mkdir(what.dir, 0700), 0);
    assert_int_equal(ql_tls_dir_make(&what, &made, NULL), QL_OK);
    assert_true(made);
    assert_int_equal(stat(tempdir_path(what.dir, "cacert.crt"), &st), 0);
    what.dir = tempdir_path(*state, "no/such/parent");
    assert_int_equal(ql_tls_dir_make(&what, &made, NULL), QL_EIO);
    assert_false(made);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keystore_opens_with_its_own_password_alone),
        cmocka_unit_test(keystore_opens_what_the_documented_format_says),
        cmocka_unit_test(keystore_refuses_other_shapes),
        cmocka_unit_test_setup_teardown(tls_dir_keeps_each_key_under_its_own_password, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(tls_dir_left_half_made_by_a_crash_is_not_taken_for_whole,
                                        tempdir_make, tempdir_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
