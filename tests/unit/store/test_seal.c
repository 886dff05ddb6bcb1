/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <unistd.h>

static struct ql_seal *open_seal(const struct fixture *f, const char *name)
{
    struct ql_seal *s = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_seal_open(fixture_path(f, name), &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void the_key_is_made_once_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    uint8_t first[32], second[32];
    struct dirent *d = NULL;
    struct stat st;
    DIR *dir = NULL;
    FILE *file = NULL;
    int files = 0;

    ql_seal_free(open_seal(f, "key"));
    assert_int_equal(stat(fixture_path(f, "key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    for (int i = 0; i < 2; i++) {
        file = fopen(fixture_path(f, "key"), "rb");
        assert_non_null(file);
        assert_int_equal(fread(i ? second : first, 32, 1, file), 1);
        (void)fclose(file);
        ql_seal_free(open_seal(f, "key"));
    }
    assert_memory_equal(first, second, 32);
    dir = opendir(f->dir);
    assert_non_null(dir);
    while ((d = readdir(dir)))
        files += d->d_name[0] != '.';
    (void)closedir(dir);
    assert_int_equal(files, 1); /* no draft stays behind */
}

static void write_key(const struct fixture *f, size_t len, mode_t mode)
{
    uint8_t key[64] = {1, 2, 3};
    FILE *file = fopen(fixture_path(f, "key"), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(key, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(fixture_path(f, "key"), mode), 0);
}

static void expect_refusal(const struct fixture *f, int code, const char *words)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_seal *s = NULL;

    assert_int_equal(ql_seal_open(fixture_path(f, "key"), &s, &err), code);
    assert_null(s);
    assert_non_null(strstr(err.text, words));
    assert_non_null(strstr(err.text, "store_key_file"));
}

static void a_key_that_others_can_reach_is_refused(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_key(*state, 32, modes[i]);
        expect_refusal(*state, QL_EACCES, "wanted 0600");
    }
    write_key(*state, 32, 0400);
    ql_seal_free(open_seal(*state, "key"));
}

static void a_key_of_another_size_is_refused(void **state)
{
    for (size_t len = 0; len <= 64; len++) {
        write_key(*state, len, 0600);
        if (len == 32)
            ql_seal_free(open_seal(*state, "key"));
        else
            expect_refusal(*state, QL_ERANGE, "wanted 32");
    }
}

static void a_key_that_is_no_file_is_refused(void **state)
{
    const struct fixture *f = *state;
    char target[256];

    assert_int_equal(mkdir(fixture_path(f, "key"), 0700), 0);
    expect_refusal(f, QL_EACCES, "not a regular file");
    assert_int_equal(rmdir(fixture_path(f, "key")), 0);
    (void)snprintf(target, sizeof target, "%s/target", f->dir);
    assert_int_equal(symlink(target, fixture_path(f, "key")), 0);
    expect_refusal(f, QL_EACCES, "cannot be read");
    assert_int_equal(access(target, F_OK), -1);
}

static void what_was_sealed_opens_again(void **state)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 32, 4096};
    struct ql_seal *s = open_seal(*state, "key");
    struct ql_err err = QL_ERR_INIT;
    uint8_t data[4096];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct ql_secret *back = NULL;
        uint8_t *sealed = NULL, *again = NULL;
        size_t len = 0, again_len = 0;

        assert_int_equal(ql_seal_wrap(s, data, lens[i], &sealed, &len, &err), QL_OK);
        assert_int_equal(ql_seal_wrap(s, data, lens[i], &again, &again_len, &err), QL_OK);
        assert_int_equal(len, 1 + 12 + lens[i] + 16);
        assert_int_equal(sealed[0], 1);
        assert_memory_not_equal(sealed + 1, again + 1, 12);
        assert_int_equal(ql_seal_unwrap(s, sealed, len, &back, &err), QL_OK);
        assert_int_equal(ql_secret_len(back), lens[i]);
        assert_memory_equal(ql_secret_data(back), data, lens[i]);
        ql_secret_free(back);
        free(sealed);
        free(again);
    }
    ql_seal_free(s);
}

/** The format, read without our own code. */
static void the_sealed_form_is_aes_256_gcm(void **state)
{
    struct ql_seal *s = open_seal(*state, "key");
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    struct ql_err err = QL_ERR_INIT;
    uint8_t key[32], plain[32], *sealed = NULL;
    FILE *file = fopen(fixture_path(*state, "key"), "rb");
    size_t len = 0;
    int n = 0;

    assert_non_null(file);
    assert_int_equal(fread(key, 32, 1, file), 1);
    (void)fclose(file);
    assert_int_equal(ql_seal_wrap(s, "secret", 6, &sealed, &len, &err), QL_OK);
    assert_int_equal(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, sealed + 1), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, NULL, &n, sealed, 1), 1);
    assert_int_equal(EVP_DecryptUpdate(ctx, plain, &n, sealed + 13, 6), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, 16, sealed + 19), 1);
    assert_int_equal(EVP_DecryptFinal_ex(ctx, plain + 6, &n), 1);
    assert_memory_equal(plain, "secret", 6);
    EVP_CIPHER_CTX_free(ctx);
    free(sealed);
    ql_seal_free(s);
}

static void expect_closed(const struct ql_seal *s, const uint8_t *data, size_t len)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_secret *back = NULL;

    assert_int_equal(ql_seal_unwrap(s, data, len, &back, &err), QL_ECRYPTO);
    assert_null(back);
    assert_string_equal(err.text, "a sealed value does not open with this store_key_file");
}

static void a_changed_cut_or_longer_value_does_not_open(void **state)
{
    struct ql_seal *s = open_seal(*state, "key");
    struct ql_err err = QL_ERR_INIT;
    uint8_t *sealed = NULL, *copy = NULL;
    size_t len = 0;

    assert_int_equal(ql_seal_wrap(s, "payload key", 11, &sealed, &len, &err), QL_OK);
    for (size_t i = 0; i < len; i++) {
        copy = malloc(i ? i : 1); /* of its own size, so that a read past the end is seen */
        assert_non_null(copy);
        memcpy(copy, sealed, i);
        expect_closed(s, copy, i);
        free(copy);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect_closed(s, sealed, len);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, sealed, len);
    copy[len] = 0;
    expect_closed(s, copy, len + 1);
    free(copy);
    free(sealed);
    expect_closed(s, NULL, 0);
    ql_seal_free(s);
}

static void another_key_does_not_open_it(void **state)
{
    struct ql_seal *first = open_seal(*state, "key"), *second = open_seal(*state, "other");
    struct ql_err err = QL_ERR_INIT;
    uint8_t *sealed = NULL;
    size_t len = 0;

    assert_int_equal(ql_seal_wrap(first, "x", 1, &sealed, &len, &err), QL_OK);
    expect_closed(second, sealed, len);
    free(sealed);
    ql_seal_free(first);
    ql_seal_free(second);
}

static void what_is_too_long_is_not_sealed(void **state)
{
    struct ql_seal *s = open_seal(*state, "key");
    struct ql_err err = QL_ERR_INIT;
    uint8_t *sealed = NULL;
    size_t len = 0;

    assert_int_equal(ql_seal_wrap(s, "", (size_t)QL_SECRET_MAX + 1, &sealed, &len, &err), QL_ELIMIT);
    assert_null(sealed);
    ql_seal_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(the_key_is_made_once_for_its_owner_alone),
        TEST(a_key_that_others_can_reach_is_refused),
        TEST(a_key_of_another_size_is_refused),
        TEST(a_key_that_is_no_file_is_refused),
        TEST(what_was_sealed_opens_again),
        TEST(the_sealed_form_is_aes_256_gcm),
        TEST(a_changed_cut_or_longer_value_does_not_open),
        TEST(another_key_does_not_open_it),
        TEST(what_is_too_long_is_not_sealed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
