/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "../tempdir.h"
#include "error.h"
#include "folder.h"

static const struct ql_ca_profile profile = QL_CA_PROFILE_PRESET;

static struct ql_secret *secret_of(const char *text)
{
    struct ql_secret *s = NULL;

    assert_int_equal(ql_secret_new(text, strlen(text), &s, NULL), QL_OK);
    return s;
}

static struct ql_ca_folder opened(const char *dir, const struct ql_secret *password,
                                  const struct ql_ca_profile *p)
{
    struct ql_ca_folder f = {.lock = -1};
    struct ql_err err = QL_ERR_INIT;

    if (ql_ca_folder_open(dir, password, p, &f, &err) < 0)
        fail_msg("%s", err.text);
    return f;
}

static void serial_numbers_and_revocations_outlive_a_run(void **state)
{
    struct ql_secret *password = secret_of("word");
    struct ql_ca_folder f = opened(*state, password, &profile);
    struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;
    struct stat st;
    uint64_t serial = 0;

    assert_int_equal(ql_ca_folder_create(&f, "leaf", false, false, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "holds no CA"));
    assert_int_equal(ql_ca_folder_init(&f, false, NULL), QL_OK);
    assert_int_equal(ql_ca_folder_create(&f, "leaf", false, false, NULL), QL_OK);
    assert_int_equal(ql_ca_folder_create(&f, "leaf", false, false, &err), QL_EEXIST);
    assert_non_null(strstr(err.text, "leaf has a certificate in"));
    assert_int_equal(ql_ca_folder_revoke(&f, "leaf", 0, NULL), QL_OK);
    ql_ca_folder_close(&f);

    f = opened(*state, password, &profile);
    assert_int_equal(f.ca->last_serial, 2);
    assert_int_equal(f.ca->crl_number, 2);
    assert_true(ql_ca_is_revoked(f.ca, 2));
    assert_int_equal(ql_ca_folder_create(&f, "leaf", false, false, NULL),
                     QL_OK); /* revoked: may be made anew */
    assert_int_equal(ql_ca_folder_cert(&f, "leaf", &cert, NULL), QL_OK);
    assert_int_equal(ql_cert_serial(cert, &serial, NULL), QL_OK);
    assert_int_equal(serial, 3);
    assert_int_equal(stat(tempdir_path(*state, "leaf-private.pem"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(tempdir_path(*state, "private.json"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ql_cert_free(cert);
    ql_ca_folder_close(&f);
    ql_secret_free(password);
}

static void another_password_and_a_damaged_store_change_nothing(void **state)
{
    struct ql_secret *password = secret_of("word"), *wrong = secret_of("ward");
    struct ql_ca_folder f = opened(*state, password, &profile);
    struct ql_err err = QL_ERR_INIT;
    const char *path = tempdir_path(*state, "private.json");
    char store[512];
    FILE *file;

    snprintf(store, sizeof store, "%s", path);
    assert_int_equal(ql_ca_folder_init(&f, false, NULL), QL_OK);
    ql_ca_folder_close(&f);
    assert_int_equal(ql_ca_folder_open(*state, wrong, &profile, &f, &err), QL_ECRYPTO);
    assert_non_null(strstr(err.text, "Invalid password for keystore"));

    file = fopen(store, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 400, SEEK_SET), 0);
    assert_int_equal(fputs("AAAA", file) < 0, 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(ql_ca_folder_open(*state, password, &profile, &f, &err), QL_ECRYPTO);
    assert_int_equal(truncate(store, 100), 0);
    assert_int_not_equal(ql_ca_folder_open(*state, password, &profile, &f, &err), QL_OK);
    assert_int_equal(ql_ca_folder_lock(*state, password, &profile, &f, NULL), QL_OK);
    assert_int_equal(ql_ca_folder_init(&f, false, &err), QL_EEXIST);
    assert_non_null(strstr(err.text, "--force"));
    assert_int_equal(ql_ca_folder_init(&f, true, NULL), QL_OK);
    ql_ca_folder_close(&f);
    ql_secret_free(password);
    ql_secret_free(wrong);
}

static void names_that_would_leave_the_folder_or_hit_its_files_are_refused(void **state)
{
    static const char *const names[] = {"", "ca", "../x", "a/b", ".x", "-x", "a b", "a\n"};
    struct ql_secret *password = secret_of("word");
    struct ql_ca_folder f = opened(*state, password, &profile);

    assert_int_equal(ql_ca_folder_init(&f, false, NULL), QL_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct ql_cert *cert = NULL;

        assert_int_equal(ql_ca_folder_create(&f, names[i], false, false, NULL), QL_ERANGE);
        assert_int_equal(ql_ca_folder_cert(&f, names[i], &cert, NULL), QL_ERANGE);
    }
    assert_int_equal(f.ca->last_serial, 1);
    assert_int_equal(ql_ca_folder_revoke(&f, NULL, 1, NULL), QL_ERANGE);
    assert_int_equal(ql_ca_folder_revoke(&f, NULL, 2, NULL), QL_ERANGE);
    ql_ca_folder_close(&f);
    ql_secret_free(password);
}

static void a_certificate_of_another_ca_is_not_packed(void **state)
{
    struct ql_secret *password = secret_of("word");
    struct ql_ca_folder f = opened(*state, password, &profile);
    struct ql_bundle *bundle = NULL;
    struct ql_err err = QL_ERR_INIT;
    char *text;
    FILE *in = fopen(QL_SOURCE_DIR "/tests/unit/ca/keylime/cacert.crt", "r");

    text = calloc(1, 4096);
    assert_non_null(in);
    assert_true(fread(text, 1, 4095, in) > 0);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(ql_ca_folder_init(&f, false, NULL), QL_OK);
    tempdir_put(*state, "leaf-cert.crt", text);
    assert_int_equal(ql_ca_folder_bundle(&f, "leaf", true, &bundle, &err), QL_ECRYPTO);
    assert_non_null(strstr(err.text, "is not of the CA"));
    assert_null(bundle);
    free(text);
    ql_ca_folder_close(&f);
    ql_secret_free(password);
}

static void ecdsa_keys_are_made_on_demand_but_revocations_are_signed_by_rsa(void **state)
{
    struct ql_ca_profile p = profile;
    struct ql_secret *password = secret_of("word"), *pem = NULL;
    struct ql_ca_folder f;
    struct ql_key *key = NULL;

    p.curve = QL_P256;
    f = opened(*state, password, &p);
    assert_int_equal(ql_ca_folder_init(&f, false, NULL), QL_OK);
    assert_false(ql_key_is_rsa(f.ca->key));
    assert_int_equal(ql_ca_folder_create(&f, "leaf", false, false, NULL), QL_OK);
    assert_int_equal(ql_ca_folder_create(&f, QL_CA_NOTIFIER, false, false, NULL), QL_OK);
    assert_int_equal(ql_ca_folder_key(&f, QL_CA_NOTIFIER, true, &pem, NULL), QL_OK);
    assert_int_equal(
        ql_key_from_private_pem((const char *)ql_secret_data(pem), ql_secret_len(pem), NULL, &key, NULL),
        QL_OK);
    assert_true(ql_key_is_rsa(key));
    ql_key_free(key);
    ql_secret_free(pem);
    pem = NULL;
    assert_int_equal(ql_ca_folder_key(&f, "leaf", false, &pem, NULL), QL_OK);
    assert_non_null(strstr((const char *)ql_secret_data(pem), "ENCRYPTED"));
    ql_secret_free(pem);
    ql_ca_folder_close(&f);
    ql_secret_free(password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serial_numbers_and_revocations_outlive_a_run, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(another_password_and_a_damaged_store_change_nothing, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(names_that_would_leave_the_folder_or_hit_its_files_are_refused,
                                        tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(a_certificate_of_another_ca_is_not_packed, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(ecdsa_keys_are_made_on_demand_but_revocations_are_signed_by_rsa,
                                        tempdir_make, tempdir_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
