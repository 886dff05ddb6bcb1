/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "file.h"

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void what_was_written_reads_back(void **state)
{
    const char *path = tempdir_path(*state, "f");
    ql_auto_free uint8_t *data = NULL;
    char big[100000];
    size_t len = 0;

    memset(big, 'x', sizeof big);
    assert_int_equal(ql_file_write(path, 0640, big, sizeof big, NULL), QL_OK);
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(ql_file_read(path, sizeof big, &data, &len, NULL), QL_OK);
    assert_int_equal(len, sizeof big);
    assert_memory_equal(data, big, sizeof big);
    assert_int_equal(data[len], 0);
}

static void writing_replaces_and_leaves_nothing_else_behind(void **state)
{
    const char *path = tempdir_path(*state, "f");
    ql_auto_free uint8_t *data = NULL;
    size_t len;

    assert_int_equal(ql_file_write(path, 0644, "first and longer", 16, NULL), QL_OK);
    assert_int_equal(ql_file_write(path, 0600, "second", 6, NULL), QL_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(ql_file_read(path, 100, &data, &len, NULL), QL_OK);
    assert_string_equal((char *)data, "second");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(*state), 0); /* empty: no temporary file stayed */
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void writing_replaces_a_link_and_not_its_target(void **state)
{
    const char *path = tempdir_path(*state, "link"), *target = tempdir_path(*state, "target");
    char *text;

    tempdir_put(*state, "target", "kept");
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(ql_file_write(path, 0600, "new", 3, NULL), QL_OK);
    text = tempdir_get(*state, "target");
    assert_string_equal(text, "kept");
    free(text);
}

static void failed_write_keeps_the_old_file(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(mkdir(tempdir_path(*state, "d"), 0700), 0);
    tempdir_put(tempdir_path(*state, "d"), "f", "x");
    assert_true(ql_file_write(tempdir_path(*state, "d"), 0600, "x", 1, &err) < 0); /* rename onto a folder */
    assert_int_equal(ql_file_write(tempdir_path(*state, "none/f"), 0600, "x", 1, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "none/f"));
    free(tempdir_get(tempdir_path(*state, "d"), "f"));
}

static void reading_has_a_limit(void **state)
{
    const char *path = tempdir_path(*state, "f");
    struct ql_err err = QL_ERR_INIT;
    uint8_t *data = NULL;
    size_t len = 0;

    tempdir_put(*state, "f", "12345");
    assert_int_equal(ql_file_read(path, 4, &data, &len, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "4 bytes"));
    assert_null(data);
    assert_int_equal(ql_file_read(path, 5, &data, &len, &err), QL_OK);
    assert_int_equal(len, 5);
    free(data);
    data = NULL;
    assert_int_equal(ql_file_read("/dev/zero", 100000, &data, &len, &err), QL_ELIMIT);
    assert_null(data);
    assert_int_equal(ql_file_read("/dev/null", 0, &data, &len, &err), QL_OK);
    assert_int_equal(len, 0);
    free(data);
}

static void files_without_a_size_are_read_to_their_end(void **state)
{
    ql_auto_free uint8_t *data = NULL;
    int pipes[2];
    char path[64];
    size_t len = 0;

    (void)state;
    assert_int_equal(ql_file_read("/proc/self/smaps", 64 << 20, &data, &len, NULL), QL_OK);
    assert_true(len > 4096);
    free(data);
    data = NULL;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "piped", 5), 5);
    close(pipes[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", pipes[0]);
    assert_int_equal(ql_file_read(path, 100, &data, &len, NULL), QL_OK);
    assert_string_equal((char *)data, "piped");
    close(pipes[0]);
}

static void missing_file_and_folder_have_codes(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t *data = NULL;
    size_t len;

    assert_int_equal(ql_file_read(tempdir_path(*state, "none"), 10, &data, &len, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(ql_file_read(*state, 10, &data, &len, &err), QL_EIO);
    assert_null(data);
}

static void folders_are_made_with_their_parents(void **state)
{
    mode_t old = umask(077);

    assert_int_equal(ql_dir_make(tempdir_path(*state, "a/b//c/"), 0750, NULL), QL_OK);
    assert_int_equal(ql_dir_make(tempdir_path(*state, "a/b/c"), 0700, NULL), QL_OK);
    umask(old);
    assert_int_equal(mode_of(tempdir_path(*state, "a")), 0750);
    assert_int_equal(mode_of(tempdir_path(*state, "a/b/c")), 0750);
    assert_int_equal(ql_dir_make("/", 0700, NULL), QL_OK);
    assert_true(ql_dir_make("", 0700, NULL) < 0);
}

static void folder_that_is_a_link_or_a_file_is_refused(void **state)
{
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(mkdir(tempdir_path(*state, "d"), 0700), 0);
    assert_int_equal(symlink("d", tempdir_path(*state, "link")), 0);
    tempdir_put(*state, "file", "");
    assert_int_equal(ql_dir_make(tempdir_path(*state, "link"), 0700, &err), QL_EEXIST);
    assert_non_null(strstr(err.text, "link"));
    assert_int_equal(ql_dir_make(tempdir_path(*state, "link/"), 0700, &err), QL_EEXIST);
    assert_int_equal(ql_dir_make(tempdir_path(*state, "file"), 0700, &err), QL_EEXIST);
    assert_true(ql_dir_make(tempdir_path(*state, "file/x"), 0700, &err) < 0);
    assert_int_equal(ql_dir_make(tempdir_path(*state, "link/sub"), 0700, &err), QL_OK);
}

static void paths_join(void **state)
{
    static const struct {
        const char *dir, *name, *path;
    } rows[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        ql_auto_free char *path = ql_path_join(rows[i].dir, rows[i].name);

        assert_string_equal(path, rows[i].path);
    }
}

static void second_process_does_not_get_the_state_folder(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    int fd = -1, status = 0;
    pid_t child;

    assert_int_equal(ql_state_dir_lock(*state, &fd, &err), QL_OK);
    child = fork();
    if (child == 0) {
        int second = -1;
        int r = ql_state_dir_lock(*state, &second, &err);

        _exit(r == QL_EEXIST && strstr(err.text, *state) && second == -1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(fd);
    assert_int_equal(ql_state_dir_lock(*state, &fd, &err), QL_OK);
    close(fd);
    assert_int_equal(ql_state_dir_lock(tempdir_path(*state, "none"), &fd, &err), QL_ENOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_reads_back),
        TEST(writing_replaces_and_leaves_nothing_else_behind),
        TEST(writing_replaces_a_link_and_not_its_target),
        TEST(failed_write_keeps_the_old_file),
        TEST(reading_has_a_limit),
        TEST(files_without_a_size_are_read_to_their_end),
        TEST(missing_file_and_folder_have_codes),
        TEST(folders_are_made_with_their_parents),
        TEST(folder_that_is_a_link_or_a_file_is_refused),
        TEST(paths_join),
        TEST(second_process_does_not_get_the_state_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
