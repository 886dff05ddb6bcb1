/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "log.h"
#include "program.h"

static const struct ql_option rows[] = {
    QL_COMMON_ROWS,
    {.name = "port", .type = QL_OPT_INT, .min = 1, .max = 65535, .preset = "8881", .help = "TCP port"},
    {.name = "password", .type = QL_OPT_STRING, .flags = QL_OPT_SECRET, .help = "of the key"},
    {.name = NULL},
};
static const struct ql_option_group groups[] = {{"verifier", rows}, {NULL, NULL}};
static const struct ql_program program = {"quicklime-verifier", "verifier", "Verifies.", groups};

/** What a started program does after its start; runs in the child. @return its exit code */
typedef int (*body)(struct ql_start *s);

struct outcome {
    int exit_code;
    char *out, *err;
};

static void outcome_done(struct outcome *o)
{
    free(o->out);
    free(o->err);
}

/* ql_program_start() changes its process, so each run is a child with its output in files. */
static struct outcome run(const char *dir, body then, const char *const *args)
{
    char *argv[16] = {(char[]){"quicklime-verifier"}};
    int argc = 1, status = 0;
    pid_t child;

    for (; args && args[argc - 1]; argc++)
        argv[argc] = strdup(args[argc - 1]);
    child = fork();
    if (child == 0) {
        struct ql_start s;
        int code = 99;

        if (!freopen(tempdir_path(dir, "out"), "w", stdout) ||
            !freopen(tempdir_path(dir, "err"), "w", stderr))
            _exit(98);
        if (ql_program_start(&program, argc, argv, &s, &code) == 0) {
            code = then ? then(&s) : 42;
            ql_start_done(&s);
        }
        fflush(NULL);
        _exit(code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    assert_true(WIFEXITED(status));
    return (struct outcome){WEXITSTATUS(status), tempdir_get(dir, "out"), tempdir_get(dir, "err")};
}

#define RUN(dir, then, ...) run(dir, then, (const char *const[]){__VA_ARGS__, NULL})

static void version_and_help_print_and_end_well(void **state)
{
    ql_auto(outcome_done) struct outcome version = RUN(*state, NULL, "--version");
    ql_auto(outcome_done) struct outcome help = RUN(*state, NULL, "--help");

    assert_int_equal(version.exit_code, 0);
    assert_int_equal(strncmp(version.out, "quicklime-verifier ", 19), 0);
    assert_string_equal(version.err, "");
    assert_non_null(strstr(version.out, ql_version()));
    assert_true(ql_version()[0] >= '0' && ql_version()[0] <= '9' && strchr(ql_version(), '.'));
    assert_int_equal(help.exit_code, 0);
    assert_non_null(strstr(help.out, "--config-dir"));
    assert_non_null(strstr(help.out, "Verifies."));
}

static void usage_errors_end_with_2(void **state)
{
    static const char *const wrong[] = {"--nonsense",   "word",    "--config-dir",  "--set",
                                        "--set=port=1", "--set=x", "--set=.port=1", "--show-config=yes",
                                        "--versions"};

    for (size_t i = 0; i < QL_ARRAY_LEN(wrong); i++) {
        ql_auto(outcome_done) struct outcome o = RUN(*state, NULL, wrong[i]);

        assert_int_equal(o.exit_code, 2);
        assert_string_equal(o.out, "");
        assert_int_equal(strncmp(o.err, "quicklime-verifier: ", 20), 0);
        assert_ptr_equal(strchr(o.err, '\n'), o.err + strlen(o.err) - 1);
    }
}

static void configuration_errors_end_with_1_and_name_the_place(void **state)
{
    ql_auto(outcome_done) struct outcome o = {0};

    tempdir_put(*state, "verifier.conf", "verifier = {\n port = 0;\n};");
    o = RUN(*state, NULL, "--config-dir", *state);
    assert_int_equal(o.exit_code, 1);
    assert_non_null(strstr(o.err, "verifier.conf:2"));
    outcome_done(&o);
    o = RUN(*state, NULL, "--config-dir", "/nonexistent");
    assert_int_equal(o.exit_code, 1);
    assert_non_null(strstr(o.err, "/nonexistent"));
}

static int check_folders_and_flags(struct ql_start *s)
{
    return s->show_config && s->check_config && s->config_dir[0] == '/' &&
                   strcmp(s->state_dir + strlen(s->state_dir) - 9, "/relative") == 0 &&
                   s->state_dir[0] == '/' && ql_config_int(s->config, "verifier", "port") == 7
               ? 0
               : 1;
}

static void flags_and_folders_arrive_absolute(void **state)
{
    ql_auto(outcome_done) struct outcome o = {0};

    tempdir_put(*state, "verifier.conf", "verifier = { port = 5; };");
    o = RUN(*state, check_folders_and_flags, "--config-dir", *state, "--state-dir=relative", "--show-config",
            "--check-config", "--set", "verifier.port=6", "--set=verifier.port=7");
    assert_string_equal(o.err, "");
    assert_int_equal(o.exit_code, 0);
}

static int check_process(struct ql_start *s)
{
    struct sigaction pipe_action;
    mode_t mask = umask(0);

    (void)s;
    if (sigaction(SIGPIPE, NULL, &pipe_action) != 0)
        return 3;
    return mask == 077 && pipe_action.sa_handler == SIG_IGN ? 0 : 1;
}

static void process_is_set_up(void **state)
{
    ql_auto(outcome_done) struct outcome o = RUN(*state, check_process, "--config-dir", *state);

    assert_int_equal(o.exit_code, 0);
}

static int log_a_line(struct ql_start *s)
{
    (void)s;
    ql_log(QL_DEBUG, "x", "below");
    ql_log(QL_INFO, "x", "line");
    return 0;
}

static void log_options_take_effect(void **state)
{
    ql_auto(outcome_done) struct outcome o = {0};
    ql_auto_free char *set = NULL, *text = NULL;

    o = RUN(*state, log_a_line, "--config-dir", *state, "--set", "verifier.log_format=json");
    assert_int_equal(o.exit_code, 0);
    assert_int_equal(o.err[0], '{');
    assert_null(strstr(o.err, "below"));
    assert_non_null(strstr(o.err, "\"program\":\"quicklime-verifier\""));
    outcome_done(&o);
    assert_true(asprintf(&set, "verifier.log_file=%s/log", (const char *)*state) > 0);
    o = RUN(*state, log_a_line, "--config-dir", *state, "--set", set, "--set", "verifier.log_level=debug");
    assert_string_equal(o.err, "");
    text = tempdir_get(*state, "log");
    assert_non_null(strstr(text, "below"));
}

static void checking_leaves_the_log_file_alone(void **state)
{
    ql_auto(outcome_done) struct outcome o = {0};
    ql_auto_free char *set = NULL;

    assert_true(asprintf(&set, "verifier.log_file=%s/log", (const char *)*state) > 0);
    o = RUN(*state, NULL, "--config-dir", *state, "--set", set, "--check-config");
    assert_int_equal(o.exit_code, 42);
    assert_int_equal(access(tempdir_path(*state, "log"), F_OK), -1);
}

static int show_config(struct ql_start *s)
{
    ql_config_show(s->config, stdout);
    return 0;
}

static void secret_of_the_environment_is_shown_as_stars(void **state)
{
    ql_auto(outcome_done) struct outcome o = {0};

    assert_int_equal(setenv("QUICKLIME_VERIFIER_PASSWORD", "hunter2", 1), 0);
    o = RUN(*state, show_config, "--config-dir", *state, "--show-config");
    unsetenv("QUICKLIME_VERIFIER_PASSWORD");
    assert_int_equal(o.exit_code, 0);
    assert_non_null(
        strstr(o.out, "verifier.password = \"***\"  # environment QUICKLIME_VERIFIER_PASSWORD\n"));
    assert_null(strstr(o.out, "hunter2"));
    assert_null(strstr(o.err, "hunter2"));
}

static int next_descriptor(struct ql_start *s)
{
    int fd = open("/dev/null", O_RDONLY);

    (void)s;
    return fd > STDERR_FILENO ? 0 : 1;
}

static void closed_standard_streams_are_held(void **state)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        char name[] = "quicklime-verifier", flag[] = "--config-dir";
        char *argv[] = {name, flag, *state, NULL};
        struct ql_start s;
        int code = 0;

        close(0);
        close(1);
        close(2);
        _exit(ql_program_start(&program, 3, argv, &s, &code) == 0 ? next_descriptor(&s) : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void readiness_reaches_the_service_manager(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char got[64] = "";

    ql_notify("READY=1"); /* nobody asked: nothing happens */
    strcpy(at.sun_path, tempdir_path(*state, "notify"));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", at.sun_path, 1), 0);
    ql_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
    ql_notify("STOPPING=1");
    assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), -1);
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_and_help_print_and_end_well),
        TEST(usage_errors_end_with_2),
        TEST(configuration_errors_end_with_1_and_name_the_place),
        TEST(flags_and_folders_arrive_absolute),
        TEST(process_is_set_up),
        TEST(log_options_take_effect),
        TEST(checking_leaves_the_log_file_alone),
        TEST(secret_of_the_environment_is_shown_as_stars),
        TEST(closed_standard_streams_are_held),
        TEST(readiness_reaches_the_service_manager),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
