/* SPDX-License-Identifier: Apache-2.0 */
/* Confinement is for good, so each test tries it in a child. */
#include "tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "confine.h"

enum {
    BYTES_MAX = 1000
};

/** Run a trial in a child that gave up its rights; @return its exit status */
static int confined(const char *dir, int (*trial)(int dir, const char *path))
{
    const pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void)signal(SIGXFSZ, SIG_IGN);
        if (fd < 0 || ql_confine(fd, BYTES_MAX, NULL) < 0)
            _exit(99);
        _exit(trial(fd, dir));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* With sanitizers it is left out: leaks are looked for by way of /proc. */
#ifdef QL_SANITIZED
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

static bool has_landlock(void)
{
    return !IS_SANITIZED &&
           syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static int make_inside(int dir, const char *path)
{
    (void)path;
    return mkdirat(dir, "made", 0700) == 0 && openat(dir, "made/file", O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0
               ? 0
               : 1;
}

static int read_outside(int dir, const char *path)
{
    (void)dir;
    (void)path;
    return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 1;
}

static int make_outside(int dir, const char *path)
{
    (void)dir;
    (void)path;
    return openat(dir, "../out", O_WRONLY | O_CREAT, 0600) < 0 && errno == EACCES ? 0 : 1;
}

static int make_others(int dir, const char *path)
{
    (void)path;
    return symlinkat("/", dir, "link") != 0 && mkfifoat(dir, "fifo", 0600) != 0 &&
                   unlinkat(dir, "kept", 0) != 0 && openat(dir, "kept", O_RDONLY) < 0
               ? 0
               : 1;
}

static int write_too_much(int dir, const char *path)
{
    const int fd = openat(dir, "large", O_WRONLY | O_CREAT, 0600);
    const char bytes[BYTES_MAX + 1] = {0};

    (void)path;
    return fd >= 0 && write(fd, bytes, sizeof bytes) == BYTES_MAX && write(fd, bytes, 1) < 0 && errno == EFBIG
               ? 0
               : 1;
}

static int open_many(int dir, const char *path)
{
    int opened = 0;

    (void)path;
    while (opened < 100 && fcntl(dir, F_DUPFD_CLOEXEC, 0) >= 0)
        opened++;
    return opened < 20 ? 0 : 1;
}

static void files_and_folders_are_made_inside(void **state)
{
    assert_int_equal(confined(*state, make_inside), 0);
    assert_int_equal(access(tempdir_path(*state, "made/file"), F_OK), 0);
}

static void nothing_is_read_or_made_outside(void **state)
{
    if (!has_landlock())
        skip();
    assert_int_equal(confined(*state, read_outside), 0);
    assert_int_equal(confined(*state, make_outside), 0);
}

static void other_kinds_are_not_made_and_nothing_is_read_or_removed(void **state)
{
    if (!has_landlock())
        skip();
    tempdir_put(*state, "kept", "x");
    assert_int_equal(confined(*state, make_others), 0);
    assert_int_equal(access(tempdir_path(*state, "kept"), F_OK), 0);
}

static void a_file_grows_to_its_limit_alone(void **state)
{
    assert_int_equal(confined(*state, write_too_much), 0);
}

static void descriptors_are_few(void **state)
{
    assert_int_equal(confined(*state, open_many), 0);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tempdir_make, tempdir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_and_folders_are_made_inside),
        IN_FOLDER(nothing_is_read_or_made_outside),
        IN_FOLDER(other_kinds_are_not_made_and_nothing_is_read_or_removed),
        IN_FOLDER(a_file_grows_to_its_limit_alone),
        IN_FOLDER(descriptors_are_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
