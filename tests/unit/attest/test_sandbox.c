/* SPDX-License-Identifier: Apache-2.0 */
/* What a validator must not do in a worker, done by a real plugin in a real worker. */
#include <sys/wait.h>

#include "pool_rig.h"

/* The sanitizers' runtime needs what these tests forbid: they run in the other builds, and there always. */
static void only_without_sanitizers(void)
{
#ifdef QL_SANITIZED
    print_message("the sandbox of a sanitizer build is another one\n");
    skip();
#endif
}

static void worker_ends_at_every_forbidden_call(void **state)
{
    static const char *const deeds[] = {
        "open", "create", "socket", "unix",  "fork",       "vfork",           "thread",
        "exec", "kill",   "ptrace", "chdir", "executable", "make-executable", "seccomp"};
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);

    only_without_sanitizers();
    rig_start(r, &c);
    for (size_t i = 0; i < QL_ARRAY_LEN(deeds); i++) {
        struct rig_job j;

        rig_judge(r, &j, "hostile", deeds[i]);
        if (j.status != QL_POOL_KILLER || strcmp(j.validator, "hostile") != 0 ||
            strcmp(j.limit, "system call") != 0)
            fail_msg("%s: status %d, validator \"%s\", limit \"%s\"", deeds[i], (int)j.status, j.validator,
                     j.limit);
    }
    assert_int_not_equal(access("/tmp/quicklime-hostile", F_OK), 0);
}

static void idle_validator_passes_in_the_same_worker(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    rig_start(r, &c);
    rig_judge(r, &j, "hostile", "nothing");
    assert_int_equal(j.status, QL_POOL_DONE);
    assert_int_equal(j.result.kind, QL_VERDICT_PASS);
    ql_attest_result_done(&j.result);
}

static void worker_has_no_environment(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    setenv("PATH", "/bin", 1);
    rig_start(r, &c);
    rig_judge(r, &j, "hostile", "environment");
    assert_int_equal(j.status, QL_POOL_DONE);
    assert_int_equal(j.result.kind, QL_VERDICT_PASS);
    ql_attest_result_done(&j.result);
}

static void proven_facts_are_read_only_while_validators_run(void **state)
{
    static const char *const deeds[] = {"overwrite", "overwrite-pcr"};
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);

    rig_start(r, &c);
    for (size_t i = 0; i < QL_ARRAY_LEN(deeds); i++) {
        struct rig_job j;

        rig_judge(r, &j, "hostile", deeds[i]);
        assert_int_equal(j.status, QL_POOL_KILLER);
        assert_string_equal(j.validator, "hostile");
        assert_string_equal(j.limit, "crash");
    }
}

static void abort_is_a_crash(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    only_without_sanitizers();
    rig_start(r, &c);
    rig_judge(r, &j, "hostile", "abort");
    assert_int_equal(j.status, QL_POOL_KILLER);
    assert_string_equal(j.limit, "crash");
}

static void memory_hog_ends_at_the_limit_and_others_go_on(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job hog, other;
    size_t any = rig_add_policy(r, "{}");

    only_without_sanitizers();
    c.memory_max = 128u << 20;
    rig_start(r, &c);
    rig_job_init(r, &hog, "memory-hog", any);
    rig_job_init(r, &other, "tpm-policy", any);
    rig_submit(&hog, "a", false);
    rig_submit(&other, "b", false);
    rig_await(&other);
    assert_int_equal(other.result.kind, QL_VERDICT_PASS);
    ql_attest_result_done(&other.result);
    rig_await(&hog);
    assert_int_equal(hog.status, QL_POOL_KILLER);
    assert_string_equal(hog.validator, "memory-hog");
    assert_string_equal(hog.limit, "memory");
}

static void policy_that_kills_its_compiler_is_named(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    rig_start(r, &c);
    rig_judge(r, &j, "hostile", "prepare-crash");
    assert_int_equal(j.status, QL_POOL_KILLER);
}

static int descriptors_of(int pid, char *out, size_t room)
{
    int count = 0;

    out[0] = '\0';
    for (int fd = 0; fd < 1024; fd++) {
        char path[64], target[128];
        ssize_t n;

        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        n = readlink(path, target, sizeof target - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        count++;
        snprintf(out + strlen(out), room - strlen(out), "%d=%s ", fd, target);
    }
    return count;
}

static void worker_inherits_the_socket_plugins_and_standard_error_only(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    int secret = open("/dev/zero", O_RDONLY); /* left open over exec, by mistake */
    int pids[8];
    char text[4096];

    assert_true(dup2(secret, 99) == 99);
    rig_start(r, &c);
    assert_true(ql_pool_pids(r->pool, pids, 8) > 0);
    if (descriptors_of(pids[0], text, sizeof text) == 0) {
        print_message("descriptors of a worker cannot be seen here\n");
        close(secret);
        close(99);
        skip();
    }
    assert_null(strstr(text, "/dev/zero"));
    assert_non_null(strstr(text, "0=/dev/null 1=/dev/null 2="));
    assert_non_null(strstr(text, "3=socket:"));
    assert_null(strstr(text, " 9="));
    close(secret);
    close(99);
}

static void worker_leaves_no_core_and_cannot_gain_rights(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    int pids[8];
    char path[64];
    uint8_t *text = NULL;
    size_t len;

    rig_start(r, &c);
    assert_true(ql_pool_pids(r->pool, pids, 8) > 0);
    snprintf(path, sizeof path, "/proc/%d/status", pids[0]);
    assert_int_equal(ql_file_read(path, 65536, &text, &len, NULL), QL_OK);
    assert_non_null(strstr((char *)text, "NoNewPrivs:\t1"));
    assert_non_null(strstr((char *)text, "Seccomp:\t2"));
    free(text);
    snprintf(path, sizeof path, "/proc/%d/limits", pids[0]);
    assert_int_equal(ql_file_read(path, 65536, &text, &len, NULL), QL_OK);
    assert_non_null(strstr((char *)text, "Max core file size        0                    0"));
    free(text);
}

static void worker_ends_with_its_daemon(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    int pids[8], report[2], got = 0;
    pid_t daemon;
    int64_t until;

    assert_int_equal(pipe(report), 0);
    daemon = fork();
    if (daemon == 0) {
        struct ql_pool *pool = NULL;

        c.base = event_base_new();
        if (ql_pool_new(&c, &pool, NULL) < 0 || ql_pool_pids(pool, pids, 8) < 1 ||
            write(report[1], pids, sizeof pids[0]) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(read(report[0], &got, sizeof got), sizeof got);
    waitpid(daemon, NULL, 0);
    until = ql_mono_ns() + 10 * QL_NS_PER_S;
    while (kill(got, 0) == 0 && ql_mono_ns() < until) {
        char path[64];
        uint8_t *text = NULL;
        size_t len;

        /* Nobody may be there to collect it. */
        snprintf(path, sizeof path, "/proc/%d/stat", got);
        if (ql_file_read(path, 4096, &text, &len, NULL) < 0 || strstr((char *)text, ") Z"))
            until = 0;
        free(text);
    }
    assert_true(until == 0 || kill(got, 0) != 0);
    close(report[0]);
    close(report[1]);
}

int main(void)
{
#define SANDBOX_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        SANDBOX_TEST(worker_ends_at_every_forbidden_call),
        SANDBOX_TEST(idle_validator_passes_in_the_same_worker),
        SANDBOX_TEST(worker_has_no_environment),
        SANDBOX_TEST(proven_facts_are_read_only_while_validators_run),
        SANDBOX_TEST(abort_is_a_crash),
        SANDBOX_TEST(memory_hog_ends_at_the_limit_and_others_go_on),
        SANDBOX_TEST(policy_that_kills_its_compiler_is_named),
        SANDBOX_TEST(worker_inherits_the_socket_plugins_and_standard_error_only),
        SANDBOX_TEST(worker_leaves_no_core_and_cannot_gain_rights),
        SANDBOX_TEST(worker_ends_with_its_daemon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
