/* SPDX-License-Identifier: Apache-2.0 */
/* The secure folder. What needs a mount is tested as root alone, in a mount namespace of the test's own. */
#include "tempdir.h"

#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "error.h"
#include "secure.h"

static bool can_mount;

static struct ql_secure_config config_of(const char *path)
{
    return (struct ql_secure_config){.path = path, .size = "1m", .uid = geteuid(), .gid = getegid()};
}

static bool is_tmpfs(const char *path)
{
    struct statfs fs;

    assert_int_equal(statfs(path, &fs), 0);
    return fs.f_type == TMPFS_MAGIC;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void sizes_have_digits_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"65536", 65536}, {"64k", 65536}, {"1m", 1048576}, {"3M", 3145728}, {"100K", 102400}};
    uint64_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ql_secure_size(rows[i].text, &bytes, NULL), QL_OK);
        assert_int_equal(bytes, rows[i].bytes);
    }
    assert_int_equal(ql_secure_size("1%", &bytes, NULL), QL_OK);
    assert_true(bytes > 65536);
}

static void other_sizes_are_refused(void **state)
{
    static const char *const bad[] = {"",   "m",       "1mb", "1 m", "-1m",  "1m,mode=0777",
                                      "1t", "0x10000", "0",   "0m",  "1.5m", "1234567890123"};
    static const char *const outside[] = {"1", "63k", "101%", "999999999999g"};
    struct ql_err err = QL_ERR_INIT;
    uint64_t bytes = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ql_secure_size(bad[i], &bytes, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "secure_size"));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_int_equal(ql_secure_size(outside[i], &bytes, &err), QL_ERANGE);
    assert_int_equal(bytes, 7);
}

static void a_plain_folder_has_to_be_asked_for(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    config.is_insecure = true;
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_OK);
    assert_false(s.is_tmpfs);
    assert_false(s.is_mine);
    assert_int_equal(s.bytes_max, 1048576);
    assert_int_equal(mode_of(path), 0700);
    assert_true(ql_secure_close(&s));
}

static void a_link_or_a_file_in_its_place_is_refused(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    struct ql_secure_config config = config_of(path);
    struct ql_err err = QL_ERR_INIT;
    struct ql_secure s;

    config.is_insecure = true;
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(ql_secure_open(&config, &s, &err), QL_EACCES);
    assert_non_null(strstr(err.text, "is a link or a file"));
    assert_int_equal(unlink(path), 0);
    tempdir_put(*state, "secure", "");
    assert_int_equal(ql_secure_open(&config, &s, &err), QL_EACCES);
}

static void a_bad_size_is_refused_before_anything_is_made(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    config.size = "1m,mode=0777";
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_EPARSE);
    assert_int_equal(access(path, F_OK), -1);
}

static void who_may_not_mount_is_told_what_to_do(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    const struct ql_secure_config config = config_of(path);
    struct ql_err err = QL_ERR_INIT;
    struct ql_secure s;

    if (can_mount)
        skip();
    assert_int_equal(ql_secure_open(&config, &s, &err), QL_EACCES);
    assert_non_null(strstr(err.text, "a tmpfs cannot be mounted"));
    assert_non_null(strstr(err.text, "enable_insecure_storage"));
}

static void a_tmpfs_is_mounted_and_unmounted(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    const struct ql_secure_config config = config_of(path);
    struct ql_secure s;
    struct statfs fs;

    if (!can_mount)
        skip();
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_OK);
    assert_true(s.is_tmpfs && s.is_mine);
    assert_true(is_tmpfs(path));
    assert_int_equal(mode_of(path), 0700);
    assert_int_equal(statfs(path, &fs), 0);
    assert_int_equal((uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize, 1048576);
    assert_true((fs.f_flags & (MS_NOSUID | MS_NODEV)) == (MS_NOSUID | MS_NODEV));
    assert_true(ql_secure_close(&s));
    assert_false(is_tmpfs(path));
}

static void a_mounted_tmpfs_is_used_and_left(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    if (!can_mount)
        skip();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "mode=0755,size=2m"), 0);
    config.uid = config.gid = 12345;
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_OK);
    assert_true(s.is_tmpfs);
    assert_false(s.is_mine);
    assert_int_equal(mode_of(path), 0700);
    assert_true(ql_secure_close(&s));
    assert_true(is_tmpfs(path));
    assert_int_equal(umount(path), 0);
}

static void another_file_system_there_is_refused(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    const struct ql_secure_config config = config_of(path);
    struct ql_err err = QL_ERR_INIT;
    struct ql_secure s;

    if (!can_mount)
        skip();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("proc", path, "proc", 0, NULL), 0);
    assert_int_equal(ql_secure_open(&config, &s, &err), QL_EACCES);
    assert_non_null(strstr(err.text, "another file system than tmpfs"));
    assert_int_equal(umount(path), 0);
}

/* The table of mounts lists the lower one too: the one on top counts. */
static void a_tmpfs_that_is_hidden_by_another_mount_does_not_count(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    const struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    if (!can_mount)
        skip();
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=1m"), 0);
    assert_int_equal(mount("proc", path, "proc", 0, NULL), 0);
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_EACCES);
    assert_int_equal(umount(path), 0);
    assert_int_equal(umount(path), 0);
}

/* A folder of a tmpfs is not a tmpfs of its own: it has another size, and others see it. */
static void a_folder_inside_a_tmpfs_is_no_mount(void **state)
{
    const char *top = tempdir_path(*state, "top"), *path = tempdir_path(top, "secure");
    const struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    if (!can_mount)
        skip();
    assert_int_equal(mkdir(top, 0700), 0);
    assert_int_equal(mount("tmpfs", top, "tmpfs", 0, "size=2m"), 0);
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_OK);
    assert_true(s.is_mine);
    assert_true(ql_secure_close(&s));
    assert_int_equal(umount(top), 0);
}

static void a_group_is_let_in_by_mode_and_bit(void **state)
{
    const char *path = tempdir_path(*state, "secure");
    struct ql_secure_config config = config_of(path);
    struct ql_secure s;

    if (!can_mount)
        skip();
    config.uid = 12345;
    config.gid = 54321;
    config.for_group = true;
    assert_int_equal(ql_secure_open(&config, &s, NULL), QL_OK);
    assert_int_equal(mode_of(path), 02750);
    assert_true(ql_secure_close(&s));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tempdir_make, tempdir_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_digits_and_a_unit),
        cmocka_unit_test(other_sizes_are_refused),
        IN_FOLDER(a_plain_folder_has_to_be_asked_for),
        IN_FOLDER(a_link_or_a_file_in_its_place_is_refused),
        IN_FOLDER(a_bad_size_is_refused_before_anything_is_made),
        IN_FOLDER(who_may_not_mount_is_told_what_to_do),
        IN_FOLDER(a_tmpfs_is_mounted_and_unmounted),
        IN_FOLDER(a_mounted_tmpfs_is_used_and_left),
        IN_FOLDER(another_file_system_there_is_refused),
        IN_FOLDER(a_tmpfs_that_is_hidden_by_another_mount_does_not_count),
        IN_FOLDER(a_folder_inside_a_tmpfs_is_no_mount),
        IN_FOLDER(a_group_is_let_in_by_mode_and_bit),
    };

    /* What is mounted is seen by this process alone and goes with it. */
    can_mount = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
