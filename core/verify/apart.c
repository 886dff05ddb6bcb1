/* SPDX-License-Identifier: Apache-2.0 */
/* Runs in processes of their own: only there do plugins begin without a past, and can limits end one. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "buf.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "sandbox.h"
#include "verify.h"

enum {
    PAIRS_MAX = 256,                      /* files of a folder */
    LIMIT_BYTES = 1024 * 1024 * 1024 / 4, /* a quarter of a worker's memory */
    LIMIT_CPU_MS = 10000 / 4              /* and of its CPU time */
};

static int set_quarter(struct ql_err *err)
{
    const struct rlimit memory = {.rlim_cur = LIMIT_BYTES, .rlim_max = LIMIT_BYTES};
    const struct itimerval cpu = {
        .it_value = {.tv_sec = LIMIT_CPU_MS / 1000, .tv_usec = LIMIT_CPU_MS % 1000 * 1000}};

    if ((ql_sandbox_limits_memory() && setrlimit(RLIMIT_DATA, &memory) != 0) ||
        setitimer(ITIMER_PROF, &cpu, NULL) != 0)
        return ql_fail(err, QL_EINTERNAL, "limits: %s", strerror(errno));
    return QL_OK;
}

/* Results as lines; or one line "!reason". */
static void child(const struct ql_verify_options *o, const char *const *paths, size_t count, FILE *out)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_registry *registry = NULL;
    int r = ql_verify_load(o, &registry, &err);

    if (r == QL_OK && o->limits)
        r = set_quarter(&err);
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        json_t *result = NULL;

        if (ql_verify_file(o, registry, paths[i], &result, &err) == QL_VERIFY_UNUSABLE)
            r = QL_EPARSE;
        else if (json_dumpf(result, out, JSON_SORT_KEYS | JSON_COMPACT) != 0 || fputc('\n', out) == EOF)
            r = ql_fail(&err, QL_EIO, "result cannot be written");
        json_decref(result);
    }
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

static int split_lines(const struct ql_buf *b, size_t count, char **texts, struct ql_err *err)
{
    const char *at = (const char *)b->data, *end = at + b->len;

    for (size_t i = 0; i < count; i++) {
        const char *newline = at ? memchr(at, '\n', (size_t)(end - at)) : NULL;

        if (!newline)
            return ql_fail(err, QL_EIO, "fewer results than files");
        if (*at == '!')
            return ql_fail(err, QL_EPARSE, "%.*s", (int)(newline - at - 1), at + 1);
        texts[i] = strndup(at, (size_t)(newline - at));
        if (!texts[i])
            return ql_fail_nomem(err);
        at = newline + 1;
    }
    return QL_OK;
}

int ql_verify_apart(const struct ql_verify_options *o, const char *const *paths, size_t count, char **texts,
                    struct ql_err *err)
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
        r = split_lines(&b, count, texts, err);
    else
        (void)ql_fail(err, r, "result cannot be read"); /* r says it */
    return r == QL_OK ? 0 : QL_VERIFY_UNUSABLE;
}

int ql_verify_limits(const struct ql_verify_options *o, struct ql_err *err)
{
    ql_auto_free char *text = NULL;
    ql_auto_json json_t *result = NULL;
    int r = ql_verify_apart(o, &o->file, 1, &text, err);

    if (r > 0)
        return QL_VERIFY_UNUSABLE;
    if (r < 0)
        result = json_pack("{s:b, s:{}, s:[{s:s, s:{s:s, s:s}}]}", "valid", 0, "claims", "failures", "type",
                           "qoute_validation.worker_limit", "context", "message",
                           "a quarter of a worker's time and memory is not enough", "limit",
                           r == -SIGPROF ? "cpu" : "crash");
    else if (ql_json_parse_object(text, strlen(text), strlen(text), &result, err) < 0)
        return QL_VERIFY_UNUSABLE;
    if (!result || json_dumpf(result, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
        return QL_VERIFY_UNUSABLE;
    return json_is_true(json_object_get(result, "valid")) ? QL_VERIFY_VALID : QL_VERIFY_INVALID;
}

/** Files of a folder and what each is judged to be alone. */
struct pairs {
    char *paths[PAIRS_MAX];
    char *alone[PAIRS_MAX];
    size_t count;
};

static void pairs_done(struct pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->paths[i]);
        free(p->alone[i]);
    }
}

static int is_recording(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return len > 5 && strcmp(e->d_name + len - 5, ".json") == 0;
}

static int list_files(const char *dir, struct pairs *p, struct ql_err *err)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, is_recording, alphasort), r = QL_OK;

    if (found < 0)
        return ql_fail(err, QL_EIO, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < found; i++) {
        if (p->count == PAIRS_MAX)
            r = ql_fail(err, QL_ELIMIT, "%s: more than %d files", dir, PAIRS_MAX);
        else if (r == QL_OK && !(p->paths[p->count++] = ql_path_join(dir, names[i]->d_name)))
            r = ql_fail_nomem(err);
        free(names[i]);
    }
    free(names);
    if (r == QL_OK && p->count < 2)
        r = ql_fail(err, QL_ENOTFOUND, "%s: fewer than two .json files", dir);
    return r;
}

/* @return 0, or QL_VERIFY_UNUSABLE; a difference is added to the list */
static int one_pair(const struct ql_verify_options *o, const struct pairs *p, size_t first, size_t second,
                    json_t *differences, struct ql_err *err)
{
    const char *paths[] = {p->paths[first], p->paths[second]};
    char *texts[2] = {NULL, NULL};
    int r = ql_verify_apart(o, paths, 2, texts, err);

    if (r < 0)
        r = json_array_append_new(differences,
                                  json_pack("{s:s, s:s, s:s, s:i}", "first", paths[0], "second", paths[1],
                                            "message", "ended by a signal", "signal", -r));
    else if (r == 0 && (strcmp(texts[0], p->alone[first]) != 0 || strcmp(texts[1], p->alone[second]) != 0))
        r = json_array_append_new(differences,
                                  json_pack("{s:s, s:s, s:s, s:s}", "first", paths[0], "second", paths[1],
                                            "alone", p->alone[second], "after", texts[1]));
    free(texts[0]);
    free(texts[1]);
    return r == 0 ? 0 : QL_VERIFY_UNUSABLE;
}

static int all_pairs(const struct ql_verify_options *o, struct pairs *p, json_t *differences,
                     struct ql_err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < p->count; i++) {
        const char *path = p->paths[i];

        r = ql_verify_apart(o, &path, 1, &p->alone[i], err);
        if (r < 0) {
            (void)ql_fail(err, QL_EINTERNAL, "%s: ended by signal %d", path, -r); /* the code says it */
            r = QL_VERIFY_UNUSABLE;
        }
    }
    for (size_t i = 0; r == 0 && i < p->count; i++)
        for (size_t k = 0; r == 0 && k < p->count; k++)
            if (i != k)
                r = one_pair(o, p, i, k, differences, err);
    return r;
}

int ql_verify_pairs(const struct ql_verify_options *o, struct ql_err *err)
{
    ql_auto_json json_t *differences = json_array(), *summary = NULL;
    struct pairs p = {.count = 0};
    int r = list_files(o->pairs, &p, err) == QL_OK ? 0 : QL_VERIFY_UNUSABLE;

    if (r == 0)
        r = all_pairs(o, &p, differences, err);
    if (r == 0) {
        summary = json_pack("{s:b, s:I, s:O}", "valid", json_array_size(differences) == 0, "pairs",
                            (json_int_t)(p.count * (p.count - 1)), "differences", differences);
        if (!summary || json_dumpf(summary, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
            r = QL_VERIFY_UNUSABLE;
        else if (json_array_size(differences) > 0)
            r = QL_VERIFY_INVALID;
    }
    pairs_done(&p);
    return r;
}
