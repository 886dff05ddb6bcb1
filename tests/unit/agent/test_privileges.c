/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"

static void only_user_and_group_by_name_are_taken(void **state)
{
    static const char *const bad[] = {"", "nobody", ":nogroup", "nobody:", "a:b:c", ":"};
    struct ql_run_as r = {0};
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ql_run_as_parse(bad[i], &r, &err), QL_EPARSE);
    assert_int_equal(ql_run_as_parse("no-such-user-here:root", &r, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "no-such-user-here"));
    assert_int_equal(ql_run_as_parse("nobody:no-such-group-here", &r, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "no-such-group-here"));
    assert_int_equal(ql_run_as_parse("root:root", &r, &err), QL_ERANGE);
    assert_int_equal(ql_run_as_parse("0:0", &r, &err), QL_ENOTFOUND);
    assert_null(r.groups);
}

static int drop_in_child(void)
{
    struct ql_run_as r = {0};
    struct ql_err err = QL_ERR_INIT;
    gid_t many[100];

    for (size_t i = 0; i < 100; i++)
        many[i] = (gid_t)(1000 + i);
    if (setgroups(100, many) < 0 || ql_run_as_parse("nobody:tty", &r, &err) < 0)
        return 1;
    if (ql_run_as_drop(&r, &err) < 0)
        return 2;
    if (geteuid() != r.uid || getegid() != r.gid || getgroups(0, NULL) != r.group_count)
        return 3; /* the groups of before must be gone */
    if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0 || access("/etc/shadow", R_OK) == 0)
        return 4;
    /* What is no longer root cannot drop again. */
    if (ql_run_as_drop(&r, &err) == 0)
        return 5;
    ql_run_as_done(&r);
    return 0;
}

static void a_dropped_process_has_no_way_back(void **state)
{
    int status = 0;
    pid_t pid;

    (void)state;
    if (geteuid() != 0 || !getgrnam("tty")) {
        print_message("not root: skipped\n");
        skip();
    }
    pid = fork();
    if (pid == 0)
        _exit(drop_in_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_user_and_group_by_name_are_taken),
        cmocka_unit_test(a_dropped_process_has_no_way_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
