/* SPDX-License-Identifier: Apache-2.0 */
/* Judges in a process of its own: only there do plugins begin without a past, in a sandbox, and can limits end one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "sandbox.h"
#include "verify.h"
#include "warmup.h"

enum {
    MEMORY = 1024 * 1024 * 1024, /* bytes of a worker, */
    CPU_MS = 10000,              /* its CPU time */
    WALL_MS = 30000,             /* and its time for a job */
    SANITIZED_FACTOR = 4,        /* sanitizers take time */
    SCRIPTS_MAX = 32             /* of boot policies */
};

void ql_verified_done(struct ql_verified *v)
{
    free(v->result);
    free(v->state);
    *v = (struct ql_verified){NULL, NULL};
}

static int set_timer(int which, int ms, struct ql_err *err)
{
    const struct itimerval t = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

    if (setitimer((__itimer_which_t)which, &t, NULL) != 0)
        return ql_fail(err, QL_EINTERNAL, "limits: %s", strerror(errno));
    return QL_OK;
}

static int set_limits(const struct ql_verify_options *o, size_t files, size_t bytes, struct ql_err *err)
{
    const int divide = o->limits ? 4 : 1,
              times = (ql_sandbox_limits_memory() ? 1 : SANITIZED_FACTOR) * (int)files;
    int r = set_timer(ITIMER_PROF, CPU_MS / divide * times, err);

    if (r == QL_OK)
        r = set_timer(ITIMER_REAL, WALL_MS / divide * times, err);
    /* A worker has its evidence and policies mapped; here they are memory like any other. */
    return r == QL_OK ? ql_sandbox_limits((size_t)MEMORY / (size_t)divide + 2 * bytes, err) : r;
}

/* Scripts of boot policies, which the plugin reads when it is loaded. @return descriptors */
static size_t open_scripts(const struct ql_verify_options *o, int *fds)
{
    size_t count = 0;

    for (size_t i = 0; i < o->setting_count; i++) {
        const struct ql_setting *set = &o->settings[i];
        ql_auto_free char *paths = NULL;
        char *rest = NULL;

        if (strcmp(set->group, "mboot") != 0 || strcmp(set->name, "measured_boot_imports") != 0)
            continue;
        paths = strdup(set->text);
        for (char *path = paths ? strtok_r(paths, ", ", &rest) : NULL; path && count < SCRIPTS_MAX;
             path = strtok_r(NULL, ", ", &rest)) {
            const int fd = open(path, O_PATH | O_CLOEXEC);

            if (fd >= 0)
                fds[count++] = fd; /* one that is not there is for the plugin to tell */
        }
    }
    return count;
}

/* As a worker starts: what needs files first, then the first filter, plugins, the second filter. */
static int enter_sandbox(const struct ql_verify_options *o, struct ql_registry **ret, struct ql_err *err)
{
    struct ql_verify_plugins plugins = {.count = 0};
    int fds[QL_ARRAY_LEN(plugins.files) + SCRIPTS_MAX], r = ql_verify_open(o, &plugins, err);
    const size_t scripts = open_scripts(o, fds + plugins.count);
    bool landlock;

    for (size_t i = 0; i < plugins.count; i++)
        fds[i] = plugins.files[i].fd;
    if (r == QL_OK)
        r = ql_warmup(err);
    if (r == QL_OK)
        r = ql_sandbox_before_plugins(fds, plugins.count + scripts, &landlock, err);
    for (size_t i = 0; i < scripts; i++)
        (void)close(fds[plugins.count + i]); /* the rules hold them */
    if (r == QL_OK)
        r = ql_verify_load(o, &plugins, ret, err);
    if (r == QL_OK)
        r = ql_sandbox_before_jobs(err);
    ql_verify_close(&plugins);
    return r;
}

static int write_line(json_t *j, FILE *out, struct ql_err *err)
{
    if (!j ? fputs("null\n", out) == EOF : json_dumpf(j, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF)
        return ql_fail(err, QL_EIO, "result cannot be written");
    return QL_OK;
}

static int judge_all(const struct ql_verify_options *o, const struct ql_verify_input *in, size_t count,
                     FILE *out, struct ql_err *err)
{
    struct ql_registry *registry = NULL;
    int r = enter_sandbox(o, &registry, err);

    for (size_t i = 0; r == QL_OK && i < count; i++) {
        ql_auto_json json_t *result = NULL, *state = NULL;

        r = ql_verify_body(registry, &in[i], &result, &state, err);
        if (r == QL_OK)
            r = write_line(result, out, err);
        if (r == QL_OK)
            r = write_line(state, out, err);
    }
    return r;
}

/* Two lines a file: result and state. Or, wherever it stops, one line "!reason". */
static void child(const struct ql_verify_options *o, const char *const *paths, size_t count, FILE *out)
{
    struct ql_err err = QL_ERR_INIT;
    static char buffer[65536];
    struct ql_verify_input *in = calloc(count, sizeof *in);
    size_t bytes = 0;
    int r = in ? QL_OK : ql_fail_nomem(&err);

    /* A stream without a buffer asks what it writes to, which the sandbox does not let it. */
    (void)setvbuf(out, buffer, _IOFBF, sizeof buffer); /* cannot fail with a buffer given */
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        r = ql_verify_read(o, paths[i], &in[i], &err);
        bytes += in[i].len;
    }
    if (r == QL_OK)
        r = set_limits(o, count, bytes, &err);
    if (r == QL_OK)
        r = judge_all(o, in, count, out, &err);
    if (r < 0)
        fprintf(out, "!%s\n", err.text);
    fflush(out);
    _exit(r < 0 ? QL_VERIFY_UNUSABLE : QL_VERIFY_VALID);
}

static int read_all(int fd, struct ql_buf *b)
{
    uint8_t piece[65536];
    ssize_t n;

    while ((n = read(fd, piece, sizeof piece)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || ql_buf_add(b, piece, (size_t)n) < 0)
            return QL_EIO;
    }
    return QL_OK;
}

static int next_line(const char **at, const char *end, char **ret, struct ql_err *err)
{
    const char *newline = *at ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

    if (!newline)
        return ql_fail(err, QL_ECLOSED, "fewer results than files");
    if (**at == '!')
        return ql_fail(err, QL_EPARSE, "%.*s", (int)(newline - *at - 1), *at + 1);
    *ret = strndup(*at, (size_t)(newline - *at));
    *at = newline + 1;
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int split_lines(const struct ql_buf *b, size_t count, struct ql_verified *ret, struct ql_err *err)
{
    const char *at = (const char *)b->data, *end = at + b->len;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < count; i++) {
        r = next_line(&at, end, &ret[i].result, err);
        if (r == QL_OK)
            r = next_line(&at, end, &ret[i].state, err);
    }
    for (size_t i = 0; r < 0 && i < count; i++)
        ql_verified_done(&ret[i]);
    return r;
}

int ql_verify_apart(const struct ql_verify_options *o, const char *const *paths, size_t count,
                    struct ql_verified *ret, struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init((size_t)2 * QL_VERIFY_FILE_MAX);
    int ends[2], status = 0, r;
    pid_t pid;

    fflush(NULL); /* what is buffered is written once, not twice */
    if (pipe(ends) != 0 || (pid = fork()) < 0) {
        (void)ql_fail(err, QL_EIO, "another process: %s", strerror(errno)); /* the code says it */
        return QL_VERIFY_UNUSABLE;
    }
    if (pid == 0) {
        FILE *out = fdopen(ends[1], "w");

        (void)close(ends[0]); /* the parent's */
        if (!out)
            _exit(QL_VERIFY_UNUSABLE);
        child(o, paths, count, out);
    }
    (void)close(ends[1]); /* the child's: its end is the end of file */
    r = read_all(ends[0], &b);
    (void)close(ends[0]); /* read to the end */
    if (waitpid(pid, &status, 0) != pid)
        r = QL_EIO;
    if (WIFSIGNALED(status))
        return -WTERMSIG(status);
    if (r == QL_OK)
        r = split_lines(&b, count, ret, err);
    else
        (void)ql_fail(err, r, "result cannot be read"); /* r says it */
    if (r == QL_ECLOSED)
        return -SIGABRT; /* it ended itself without a word: no verdict either */
    return r == QL_OK ? 0 : QL_VERIFY_UNUSABLE;
}

static const char *limit_name(int number)
{
    switch (number) {
    case SIGPROF:
        return "cpu";
    case SIGALRM:
        return "wall time";
    case SIGSYS:
        return "system call";
    default:
        return "crash";
    }
}

static int write_state(const char *path, const char *text, struct ql_err *err)
{
    if (!path || strcmp(text, "null") == 0)
        return QL_OK;
    return ql_file_write(path, 0600, text, strlen(text), err);
}

int ql_verify_one(const struct ql_verify_options *o, struct ql_err *err)
{
    struct ql_verified v = {NULL, NULL};
    ql_auto_json json_t *result = NULL;
    int r = ql_verify_apart(o, &o->file, 1, &v, err);

    if (r < 0) {
        result = ql_verify_failed(QL_VERIFY_LIMIT_EVENT,
                                  o->limits ? "a quarter of a worker's time and memory is not enough"
                                            : "evidence overran the limits of its check",
                                  limit_name(-r));
        r = 0;
    } else if (r == 0 && v.result) {
        r = ql_json_parse_object(v.result, strlen(v.result), strlen(v.result), &result, err);
        if (r == QL_OK)
            r = write_state(o->state, v.state, err);
    }
    ql_verified_done(&v);
    if (r != 0 || !result)
        return QL_VERIFY_UNUSABLE;
    if (json_dumpf(result, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF || fflush(stdout) != 0) {
        (void)ql_fail(err, QL_EIO, "result cannot be written: %s", strerror(errno)); /* the code says it */
        return QL_VERIFY_UNUSABLE;
    }
    return json_is_true(json_object_get(result, "valid")) ? QL_VERIFY_VALID : QL_VERIFY_INVALID;
}
