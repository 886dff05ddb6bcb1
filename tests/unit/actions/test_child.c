/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"
#include "log.h"

/** A run and its outcome. */
struct ran {
    struct event_base *base;
    struct ql_child_end end;
    bool is_over;
};

static void over(const struct ql_child_end *end, void *arg)
{
    struct ran *r = arg;

    r->end = *end;
    r->is_over = true;
    (void)event_base_loopbreak(r->base);
}

/** Run a shell line. @return how it ended; its log lines are in DIR/log */
static struct ql_child_end run(const char *dir, const char *line, unsigned timeout_ms)
{
    const char *const argv[] = {"/bin/sh", "-c", line, NULL}, *const env[] = {"MORE=added", "HOME=hidden",
                                                                              NULL};
    struct ran r = {.base = event_base_new()};
    const struct ql_child_config config = {.base = r.base,
                                           .argv = argv,
                                           .env = env,
                                           .cwd = dir,
                                           .area = "test",
                                           .label = "child",
                                           .timeout_ms = timeout_ms,
                                           .fd = -1};
    struct ql_child *c = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(ql_log_open(tempdir_path(dir, "log"), &err), QL_OK);
    if (ql_child_start(&config, over, &r, &c, &err) != QL_OK)
        fail_msg("%s", err.text);
    while (!r.is_over)
        assert_true(event_base_loop(r.base, EVLOOP_ONCE) >= 0);
    event_base_free(r.base);
    return r.end;
}

static void what_it_prints_is_logged_line_by_line(void **state)
{
    struct ql_child_end end =
        run(*state, "pwd; echo \"$MORE $HOME\"; printf 'no end' >&2; cat; ls /proc/self/fd | wc -l", 20000);
    char *log = tempdir_get(*state, "log");

    assert_true(ql_child_ok(&end));
    assert_non_null(strstr(log, *state));
    assert_non_null(strstr(log, "level=info program=quicklime area=test msg=\"child: added hidden\""));
    assert_non_null(strstr(log, "level=warn program=quicklime area=test msg=\"child: no end\""));
    assert_non_null(strstr(log, "child: 4\"")); /* 0, 1, 2 and the folder it reads */
    free(log);
}

static void how_it_ended_is_told(void **state)
{
    char text[64];
    struct ql_child_end end = run(*state, "exit 3", 20000);

    assert_false(ql_child_ok(&end));
    assert_string_equal(ql_child_end_text(&end, text), "exit status 3");
    end = run(*state, "kill -TERM $$", 20000);
    assert_string_equal(ql_child_end_text(&end, text), "killed by signal 15");
    end = run(*state, "sleep 1000 & sleep 1000", 200);
    assert_true(end.timed_out);
    assert_false(ql_child_ok(&end));
    assert_string_equal(ql_child_end_text(&end, text), "killed at its time limit");
}

static void megabytes_are_read_and_not_logged(void **state)
{
    struct ql_child_end end = run(*state, "head -c 5000000 /dev/zero | tr '\\0' x", 60000);
    struct stat st;

    assert_true(ql_child_ok(&end));
    assert_true(end.is_cut);
    assert_int_equal(stat(tempdir_path(*state, "log"), &st), 0);
    assert_true(st.st_size > QL_CHILD_OUTPUT_MAX && st.st_size < 2 * QL_CHILD_OUTPUT_MAX);
}

static void output_in_short_lines_is_cut_sooner(void **state)
{
    struct ql_child_end end = run(*state, "yes | head -n 100000", 60000);
    struct stat st;

    assert_true(ql_child_ok(&end));
    assert_true(end.is_cut);
    assert_int_equal(stat(tempdir_path(*state, "log"), &st), 0);
    assert_true(st.st_size > QL_CHILD_OUTPUT_MAX && st.st_size < 2 * QL_CHILD_OUTPUT_MAX);
}

static void what_it_left_behind_is_killed_with_it(void **state)
{
    struct ql_child_end end = run(*state, "sleep 1000 & echo $! >pid", 20000);
    char *pid = tempdir_get(*state, "pid");
    const int64_t until = ql_mono_ns() + 20 * QL_NS_PER_S;

    assert_true(ql_child_ok(&end));
    while (kill((pid_t)atol(pid), 0) == 0 && ql_mono_ns() < until)
        usleep(10000);
    assert_int_equal(kill((pid_t)atol(pid), 0), -1);
    assert_int_equal(errno, ESRCH);
    free(pid);
}

static void a_program_that_is_not_there_is_no_child(void **state)
{
    static const char *const argv[] = {"/nowhere/program", NULL};
    struct event_base *base = event_base_new();
    const struct ql_child_config config = {
        .base = base, .argv = argv, .area = "test", .label = "x", .fd = -1};
    struct ql_err err = QL_ERR_INIT;
    struct ql_child *c = NULL;

    (void)state;
    assert_int_equal(ql_child_start(&config, over, NULL, &c, &err), QL_ENOTFOUND);
    assert_string_equal(err.text, "/nowhere/program: No such file or directory");
    event_base_free(base);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_prints_is_logged_line_by_line), TEST(how_it_ended_is_told),
        TEST(megabytes_are_read_and_not_logged),     TEST(output_in_short_lines_is_cut_sooner),
        TEST(what_it_left_behind_is_killed_with_it), TEST(a_program_that_is_not_there_is_no_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
