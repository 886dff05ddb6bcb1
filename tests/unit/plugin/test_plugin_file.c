/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include "error.h"

static int open_named(const struct folder *f, const char *name, struct ql_err *err)
{
    struct ql_plugin_file file = {.fd = -1};
    int r = ql_plugin_file_open(f->path, name, &file, err);

    if (r == QL_OK)
        assert_true(file.fd >= 0);
    else
        assert_int_equal(file.fd, -1);
    ql_plugin_file_close(&file);
    return r;
}

static void file_is_found_by_name_and_ending(void **state)
{
    const struct folder *f = *state;
    struct ql_plugin_file file = {.fd = -1};
    struct ql_err err = QL_ERR_INIT;

    folder_write(f, "one.so", "x", 1);
    folder_write(f, "two.lua", "x", 1);
    assert_int_equal(ql_plugin_file_open(f->path, "one", &file, &err), QL_OK);
    assert_string_equal(file.name, "one");
    assert_false(file.is_lua);
    ql_plugin_file_close(&file);
    assert_int_equal(ql_plugin_file_open(f->path, "two", &file, &err), QL_OK);
    assert_true(file.is_lua);
    ql_plugin_file_close(&file);
}

static void file_that_is_absent_is_named_with_its_folder(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(open_named(f, "nothing", &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "nothing.so"));
    assert_non_null(strstr(err.text, f->path));
}

static void file_names_that_could_leave_the_folder_are_refused(void **state)
{
    static const char *const names[] = {
        "", "..", "../one", "a/b", "One", "one.so", "-\n", "a_b", "a23456789012345678901234567890123"};
    struct ql_err err = QL_ERR_INIT;

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        assert_int_equal(open_named(*state, names[i], &err), QL_ERANGE);
}

static void file_of_two_endings_is_refused(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;

    folder_write(f, "one.so", "x", 1);
    folder_write(f, "one.lua", "x", 1);
    assert_int_equal(open_named(f, "one", &err), QL_EEXIST);
}

static void file_that_group_or_others_may_write_is_refused_with_its_mode(void **state)
{
    const struct folder *f = *state;
    static const mode_t modes[] = {0664, 0646, 0666, 0777};
    struct ql_err err = QL_ERR_INIT;
    char path[512], word[16];

    folder_write(f, "one.so", "x", 1);
    for (size_t i = 0; i < QL_ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(folder_at(f, "one.so", path), modes[i]), 0);
        assert_int_equal(open_named(f, "one", &err), QL_EACCES);
        snprintf(word, sizeof word, "found %04o", (unsigned)modes[i]);
        assert_non_null(strstr(err.text, "one.so: mode: wanted"));
        assert_non_null(strstr(err.text, word));
    }
    assert_int_equal(chmod(path, 0555), 0);
    assert_int_equal(open_named(f, "one", &err), QL_OK);
}

static void file_in_a_folder_that_others_may_write_is_refused(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;

    folder_write(f, "one.so", "x", 1);
    assert_int_equal(chmod(f->path, 0770), 0);
    assert_int_equal(open_named(f, "one", &err), QL_EACCES);
    assert_non_null(strstr(err.text, "mode of folder"));
    assert_non_null(strstr(err.text, "found 0770"));
    assert_int_equal(chmod(f->path, 0755), 0);
    assert_int_equal(open_named(f, "one", &err), QL_OK);
}

static void file_below_a_parent_that_others_may_write_is_refused(void **state)
{
    const struct folder *f = *state;
    struct folder below;
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    assert_int_equal(mkdir(folder_at(f, "a", path), 0755), 0);
    assert_int_equal(mkdir(folder_at(f, "a/b", path), 0755), 0);
    folder_write(f, "a/b/one.so", "x", 1);
    assert_true(snprintf(below.path, sizeof below.path, "%.200s/a/b", f->path) > 0);
    assert_int_equal(open_named(&below, "one", &err), QL_OK);
    assert_int_equal(chmod(folder_at(f, "a", path), 0757), 0);
    assert_int_equal(open_named(&below, "one", &err), QL_EACCES);
    assert_non_null(strstr(err.text, "folder a"));
}

static void file_of_another_user_is_refused(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    if (geteuid() != 0) {
        print_message("not root: cannot give a file away\n");
        skip();
    }
    folder_write(f, "one.so", "x", 1);
    assert_int_equal(chown(folder_at(f, "one.so", path), 12345, 0), 0);
    assert_int_equal(open_named(f, "one", &err), QL_EACCES);
    assert_non_null(strstr(err.text, "owner: wanted root or user 0, found user 12345"));
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(chown(f->path, 12345, 0), 0);
    assert_int_equal(open_named(f, "one", &err), QL_EACCES);
    assert_non_null(strstr(err.text, "owner: wanted root"));
    assert_int_equal(chown(f->path, 0, 0), 0);
}

static void file_that_is_none_is_refused_and_blocks_nobody(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    assert_int_equal(mkfifo(folder_at(f, "pipe.so", path), 0600), 0);
    assert_int_equal(open_named(f, "pipe", &err), QL_EACCES);
    assert_non_null(strstr(err.text, "type: wanted a regular file"));
    assert_int_equal(mkdir(folder_at(f, "dir.so", path), 0755), 0);
    assert_int_equal(open_named(f, "dir", &err), QL_EACCES);
}

static void file_behind_links_is_checked_where_it_lies(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;
    char path[512], target[512];

    assert_int_equal(mkdir(folder_at(f, "store", path), 0755), 0);
    folder_write(f, "store/real.so", "x", 1);
    assert_int_equal(symlink("store/real.so", folder_at(f, "relative.so", path)), 0);
    assert_int_equal(symlink(folder_at(f, "store/real.so", target), folder_at(f, "absolute.so", path)), 0);
    assert_int_equal(symlink("./store/../store/real.so", folder_at(f, "winding.so", path)), 0);
    assert_int_equal(open_named(f, "relative", &err), QL_OK);
    assert_int_equal(open_named(f, "absolute", &err), QL_OK);
    assert_int_equal(open_named(f, "winding", &err), QL_OK);
    assert_int_equal(chmod(folder_at(f, "store", path), 0777), 0);
    assert_int_equal(open_named(f, "relative", &err), QL_EACCES);
    assert_int_equal(open_named(f, "absolute", &err), QL_EACCES);
    assert_int_equal(open_named(f, "winding", &err), QL_EACCES);
}

static void file_behind_links_in_a_circle_is_refused(void **state)
{
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    assert_int_equal(symlink("ring.so", folder_at(f, "ring.so", path)), 0);
    assert_int_equal(open_named(f, "ring", &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "links"));
}

static void file_given_by_path_must_be_named_like_a_plugin(void **state)
{
    const struct folder *f = *state;
    struct ql_plugin_file file = {.fd = -1};
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    folder_write(f, "one.so", "x", 1);
    assert_int_equal(ql_plugin_path_open(folder_at(f, "one.so", path), &file, &err), QL_OK);
    ql_plugin_file_close(&file);
    assert_int_equal(ql_plugin_path_open(folder_at(f, "one.txt", path), &file, &err), QL_ERANGE);
    assert_int_equal(ql_plugin_path_open(folder_at(f, ".so", path), &file, &err), QL_ERANGE);
    assert_int_equal(ql_plugin_path_open("one", &file, &err), QL_ERANGE);
}

static void file_is_checked_again_when_it_is_loaded(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_plugin_file file = {.fd = -1};
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    folder_copy(f, "idle.so");
    assert_int_equal(ql_plugin_file_open(f->path, "idle", &file, &err), QL_OK);
    assert_int_equal(chmod(folder_at(f, "idle.so", path), 0666), 0);
    assert_int_equal(ql_registry_load(r, &file, NULL, &err), QL_EACCES);
    ql_plugin_file_close(&file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_is_found_by_name_and_ending),
        TEST(file_that_is_absent_is_named_with_its_folder),
        TEST(file_names_that_could_leave_the_folder_are_refused),
        TEST(file_of_two_endings_is_refused),
        TEST(file_that_group_or_others_may_write_is_refused_with_its_mode),
        TEST(file_in_a_folder_that_others_may_write_is_refused),
        TEST(file_below_a_parent_that_others_may_write_is_refused),
        TEST(file_of_another_user_is_refused),
        TEST(file_that_is_none_is_refused_and_blocks_nobody),
        TEST(file_behind_links_is_checked_where_it_lies),
        TEST(file_behind_links_in_a_circle_is_refused),
        TEST(file_given_by_path_must_be_named_like_a_plugin),
        TEST(file_is_checked_again_when_it_is_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
