/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that load and then misbehave: each must really do what its name says, or the worker's tests with it
 * prove nothing.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "script.h"

/* In a child with limits: load, prepare, validate. @return status of waitpid */
static int run_apart(const struct folder *f, const char *name)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0}, one_second = {1, 1}, some_memory = {1u << 30, 1u << 30};
        struct ql_registry *r = new_registry(NULL);
        struct ql_err err = QL_ERR_INIT;
        struct ql_found found;
        const struct ql_validator *v;
        struct ql_state in = {.size = sizeof in}, out = {.size = sizeof out};
        void *compiled = NULL;
        size_t size = 0;

        if (load(r, f, name, NULL, &err) != QL_OK)
            _exit(100);
        /* What the fault prints is no news. */
        (void)close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        setrlimit(RLIMIT_CORE, &no_core);
        setrlimit(RLIMIT_CPU, &one_second);
#ifndef QL_SANITIZED
        setrlimit(RLIMIT_AS, &some_memory);
#else
        (void)some_memory; /* a sanitizer's shadow is larger than any limit */
#endif
        found = ql_registry_at(r, QL_KIND_VALIDATOR, 0);
        v = (const struct ql_validator *)(const void *)found.head;
        if (v->prepare(found.plugin, (const uint8_t *)"", 0, QL_ORIGIN_UPLOAD, &compiled, &size, &err) !=
            QL_OK)
            _exit(101);
        if (strstr(name, "in-validate") || strcmp(name, "endless") == 0 || strcmp(name, "memory-hog") == 0)
            (void)v->validate(found.plugin, NULL, compiled, &in, NULL, &out, &err); /* does not return */
        _exit(102);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void dies_by_signal(void **state, const char *name)
{
    const struct folder *f = *state;
    char file[64];
    int status;

    snprintf(file, sizeof file, "%s.so", name);
    folder_copy(f, file);
    status = run_apart(f, name);
    if (!WIFSIGNALED(status))
        fail_msg("%s ended with status %d", name, WEXITSTATUS(status));
}

static void crash_in_prepare_dies(void **state)
{
    dies_by_signal(state, "crash-in-prepare");
}

static void crash_in_validate_dies(void **state)
{
    dies_by_signal(state, "crash-in-validate");
}

static void endless_uses_up_its_time(void **state)
{
    dies_by_signal(state, "endless");
}

static void memory_hog_uses_up_its_memory(void **state)
{
#ifdef QL_SANITIZED
    print_message("memory cannot be limited under a sanitizer\n");
    (void)state;
    skip();
#else
    dies_by_signal(state, "memory-hog");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(crash_in_prepare_dies),
        TEST(crash_in_validate_dies),
        TEST(endless_uses_up_its_time),
        TEST(memory_hog_uses_up_its_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
