/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "../tempdir.h"
#include "bundle.h"
#include "error.h"

static struct ql_secret *ended(struct ql_bundle *b)
{
    struct ql_secret *zip = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_bundle_end(b, &zip, &err) < 0)
        fail_msg("%s", err.text);
    ql_bundle_free(b);
    return zip;
}

static struct ql_bundle *begun(void)
{
    struct ql_bundle *b = NULL;

    assert_int_equal(ql_bundle_new(&b, NULL), QL_OK);
    return b;
}

static void same_files_give_the_same_bytes(void **state)
{
    struct ql_secret *zip[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct ql_bundle *b = begun();

        assert_int_equal(ql_bundle_add(b, "cacert.crt", "abc", 3, false, NULL), QL_OK);
        assert_int_equal(ql_bundle_add(b, "autorun.sh", "", 0, true, NULL), QL_OK);
        zip[i] = ended(b);
    }
    assert_int_equal(ql_secret_len(zip[0]), ql_secret_len(zip[1]));
    assert_memory_equal(ql_secret_data(zip[0]), ql_secret_data(zip[1]), ql_secret_len(zip[0]));
    assert_memory_equal(ql_secret_data(zip[0]), "PK\003\004", 4);
    ql_secret_free(zip[0]);
    ql_secret_free(zip[1]);
}

static void names_that_no_agent_would_unpack_are_refused(void **state)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/a", "a\\b", "a\nb", "\x7f", "\xff"};
    struct ql_bundle *b = begun();
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(ql_bundle_add(b, names[i], "x", 1, false, NULL), QL_ERANGE);
    assert_int_equal(ql_bundle_add(b, "a", "x", 1, false, NULL), QL_OK);
    assert_int_equal(ql_bundle_add(b, "a", "x", 1, false, &err), QL_EEXIST);
    assert_string_equal(err.text, "two files named a for one package");
    ql_bundle_free(b);
}

static void size_and_number_of_files_have_limits(void **state)
{
    char *big = calloc(1, QL_BUNDLE_MAX + (size_t)1), name[16];
    struct ql_bundle *b = begun();
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_bundle_add(b, "big", big, QL_BUNDLE_MAX + (size_t)1, false, &err), QL_ELIMIT);
    assert_string_equal(err.text, "files of more than 2097152 bytes for one package");
    for (size_t i = 0; i < QL_BUNDLE_ENTRIES_MAX; i++) {
        snprintf(name, sizeof name, "%zu", i);
        assert_int_equal(ql_bundle_add(b, name, "", 0, false, NULL), QL_OK);
    }
    assert_int_equal(ql_bundle_add(b, "more", "", 0, false, &err), QL_ELIMIT);
    assert_string_equal(err.text, "more than 1024 files for one package");
    ql_bundle_free(b);
    free(big);
}

static void a_folder_and_its_archive_are_included_alike(void **state)
{
    const char *dir = tempdir_path(*state, "in");
    char path[512];
    struct ql_secret *zip[2];
    size_t count;
    struct ql_bundle *b = begun();
    FILE *f;

    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(path, sizeof path, "%s", dir);
    tempdir_put(path, "b.txt", "text");
    tempdir_put(path, "a.sh", "#!/bin/sh\n");
    assert_int_equal(chmod(tempdir_path(path, "a.sh"), 0755), 0);
    assert_int_equal(mkdir(tempdir_path(path, "sub"), 0700), 0);
    tempdir_put(tempdir_path(path, "sub"), "hidden", "not included");
    assert_int_equal(ql_bundle_include(b, path, &count, NULL), QL_OK);
    assert_int_equal(count, 2);
    zip[0] = ended(b);

    snprintf(path, sizeof path, "%s", tempdir_path(*state, "in.zip"));
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(ql_secret_data(zip[0]), 1, ql_secret_len(zip[0]), f), ql_secret_len(zip[0]));
    assert_int_equal(fclose(f), 0);
    b = begun();
    assert_int_equal(ql_bundle_include(b, path, &count, NULL), QL_OK);
    assert_int_equal(count, 2);
    zip[1] = ended(b);
    assert_int_equal(ql_secret_len(zip[0]), ql_secret_len(zip[1]));
    assert_memory_equal(ql_secret_data(zip[0]), ql_secret_data(zip[1]), ql_secret_len(zip[0]));
    ql_secret_free(zip[0]);
    ql_secret_free(zip[1]);
}

static void what_is_no_archive_and_what_is_not_there_is_said(void **state)
{
    struct ql_bundle *b = begun();
    struct ql_err err = QL_ERR_INIT;
    size_t count;

    tempdir_put(*state, "text", "no archive");
    assert_int_equal(ql_bundle_include(b, tempdir_path(*state, "none"), &count, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "none does not exist"));
    assert_int_not_equal(ql_bundle_include(b, tempdir_path(*state, "text"), &count, &err), QL_OK);
    assert_non_null(strstr(err.text, "text: "));
    ql_bundle_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_files_give_the_same_bytes),
        cmocka_unit_test(names_that_no_agent_would_unpack_are_refused),
        cmocka_unit_test(size_and_number_of_files_have_limits),
        cmocka_unit_test_setup_teardown(a_folder_and_its_archive_are_included_alike, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(what_is_no_archive_and_what_is_not_there_is_said, tempdir_make,
                                        tempdir_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
