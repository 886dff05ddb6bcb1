/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <sys/stat.h>

#include "cleanup.h"
#include "lookup.h"

static void names_are_letters_digits_and_a_little_more(void **state)
{
    static const char *const good[] = {"a", "A_b-c.lua", "0", "_x", "local_action_1"};
    static const char *const bad[] = {"",   ".",   "..",  ".a",       "-a",  "a/b",
                                      "/a", "a b", "a\n", "\xc3\xa4", "a\"", "a;b"};
    char longest[QL_ACTION_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(good); i++)
        assert_true(ql_action_name_ok(good[i], strlen(good[i])));
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        assert_false(ql_action_name_ok(bad[i], strlen(bad[i])));
    memset(longest, 'a', sizeof longest);
    assert_true(ql_action_name_ok(longest, QL_ACTION_NAME_MAX));
    assert_false(ql_action_name_ok(longest, QL_ACTION_NAME_MAX + 1));
    assert_false(ql_action_name_ok("a\0b", 3));
}

static void lists_are_split_at_commas_blanks_and_lines(void **state)
{
    static const char *const lists[] = {"a,b,c", "a b\tc\n", "[a, b,\n c]", " a ,, b\r\nc a,b ", "[a b c]\n"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(lists); i++) {
        struct ql_action_names n = {.count = 0};

        assert_int_equal(ql_action_names_add(&n, lists[i], strlen(lists[i]), NULL), 0);
        assert_int_equal(n.count, 3);
        assert_string_equal(n.names[0], "a");
        assert_string_equal(n.names[2], "c");
        ql_action_names_done(&n);
    }
}

static void lists_are_limited(void **state)
{
    struct ql_action_names n = {.count = 0};
    struct ql_err err = QL_ERR_INIT;
    char text[2048] = "";
    size_t at = 0;

    (void)state;
    for (int i = 0; i <= QL_ACTION_NAMES_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "n%d,", i);
    assert_int_equal(ql_action_names_add(&n, text, at, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "at most 64 names"));
    ql_action_names_done(&n);
    assert_int_equal(ql_action_names_add(&n, text, QL_ACTION_LIST_MAX + 1, &err), QL_ELIMIT);
    assert_int_equal(n.count, 0);
}

static void put(const char *dir, const char *name, mode_t mode)
{
    tempdir_put(dir, name, "x");
    assert_int_equal(chmod(tempdir_path(dir, name), mode), 0);
}

static void the_first_place_and_form_that_is_there_counts(void **state)
{
    ql_auto_free char *configured = strdup(tempdir_path(*state, "c")),
                      *payload = strdup(tempdir_path(*state, "p"));
    struct ql_action_dirs dirs = {.configured = configured, .payload = payload};
    struct ql_action_file f;
    static const struct {
        const char *name, *file;
        enum ql_action_kind kind;
    } rows[] = {
        {"program", "c/program", QL_ACTION_PROGRAM},   {"script", "c/script.lua", QL_ACTION_LUA},
        {"object", "c/object.so", QL_ACTION_SO},       {"own", "p/own.lua", QL_ACTION_LUA},
        {"script.lua", "c/script.lua", QL_ACTION_LUA},
    };

    assert_int_equal(mkdir(dirs.configured, 0755), 0);
    assert_int_equal(mkdir(dirs.payload, 0755), 0);
    put(dirs.configured, "program", 0755);
    put(dirs.payload, "program", 0755);
    put(dirs.configured, "program.lua", 0644);
    put(dirs.configured, "script.lua", 0644);
    put(dirs.configured, "object.so", 0644);
    put(dirs.payload, "own.lua", 0600);
    put(dirs.payload, "library.so", 0600);
    put(dirs.configured, "snake.py", 0644);
    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        assert_int_equal(ql_action_find(&dirs, rows[i].name, &f, NULL), QL_OK);
        assert_int_equal(f.kind, rows[i].kind);
        assert_string_equal(f.path, tempdir_path(*state, rows[i].file));
    }
    assert_int_equal(ql_action_find(&dirs, "library", &f, NULL), QL_ENOTFOUND); /* not from a payload */
    assert_int_equal(ql_action_find(&dirs, "snake", &f, NULL), QL_ENOTFOUND);
    assert_int_equal(ql_action_find(&dirs, "snake.py", &f, NULL), QL_ENOTFOUND);
    dirs.python = true;
    assert_int_equal(ql_action_find(&dirs, "snake", &f, NULL), QL_OK);
    assert_int_equal(f.kind, QL_ACTION_PYTHON);
    dirs.payload = NULL;
    assert_int_equal(ql_action_find(&dirs, "own", &f, NULL), QL_ENOTFOUND);
}

static void what_others_could_have_put_there_is_refused(void **state)
{
    ql_auto_free char *configured = strdup(tempdir_path(*state, "c"));
    const struct ql_action_dirs dirs = {.configured = configured};
    struct ql_action_file f;

    assert_int_equal(mkdir(dirs.configured, 0755), 0);
    put(dirs.configured, "open", 0775);
    put(dirs.configured, "plain", 0644);
    put(dirs.configured, "good", 0755);
    put(*state, "outside", 0755);
    assert_int_equal(symlink("../outside", tempdir_path(dirs.configured, "out")), 0);
    assert_int_equal(symlink("good", tempdir_path(dirs.configured, "in")), 0);
    assert_int_equal(mkdir(tempdir_path(dirs.configured, "folder"), 0755), 0);
    assert_int_equal(mkfifo(tempdir_path(dirs.configured, "pipe"), 0600), 0);
    assert_int_equal(ql_action_find(&dirs, "open", &f, NULL), QL_EACCES);
    assert_int_equal(ql_action_find(&dirs, "plain", &f, NULL), QL_EACCES);
    assert_int_equal(ql_action_find(&dirs, "out", &f, NULL), QL_EACCES);
    assert_int_equal(ql_action_find(&dirs, "folder", &f, NULL), QL_EACCES);
    assert_int_equal(ql_action_find(&dirs, "pipe", &f, NULL), QL_EACCES);
    assert_int_equal(ql_action_find(&dirs, "in", &f, NULL), QL_OK);
    assert_int_equal(ql_action_find(&dirs, "../outside", &f, NULL), QL_ERANGE);
    assert_int_equal(chmod(dirs.configured, 0777), 0);
    assert_int_equal(ql_action_find(&dirs, "good", &f, NULL), QL_EACCES);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_letters_digits_and_a_little_more),
        cmocka_unit_test(lists_are_split_at_commas_blanks_and_lines),
        cmocka_unit_test(lists_are_limited),
        TEST(the_first_place_and_form_that_is_there_counts),
        TEST(what_others_could_have_put_there_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
