/* SPDX-License-Identifier: Apache-2.0 */
/** @file bench.h  Runs of the program quicklime-verify in a folder of their own. */
#pragma once
#include <fcntl.h>
#include <sys/wait.h>

#include "../attest/judge.h"
#include "verify.h"

#define PROGRAM QL_BINARY_DIR "/bin/quicklime-verify"
#define PLUGINS QL_BINARY_DIR "/plugins"
#define HOSTILE QL_BINARY_DIR "/tests/sdk/bad-attest/hostile.so"
#define LEAKY   QL_BINARY_DIR "/tests/sdk/bad-attest/leaky.so"

struct bench {
    char dir[64];
    char out[128], err[128], state[128];
    json_t *file;
};

static inline int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    *state = b;
    if (access(PROGRAM, X_OK) != 0)
        fail_msg(PROGRAM " has not been built");
    strcpy(b->dir, "/tmp/quicklime-verify-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->out, sizeof b->out, "%s/out", b->dir);
    snprintf(b->err, sizeof b->err, "%s/err", b->dir);
    snprintf(b->state, sizeof b->state, "%s/state", b->dir);
    b->file = vectors("agent/quotes_valid.json");
    return 0;
}

static inline int teardown(void **state)
{
    struct bench *b = *state;
    const char *const argv[] = {"rm", "-rf", b->dir, NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execv("/bin/rm", (char *const *)(uintptr_t)argv);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    json_decref(b->file);
    free(b);
    return 0;
}

/* @return exit code; -1 when it did not exit */
static inline int run(struct bench *b, const char *const *args)
{
    const char *argv[16] = {"quicklime-verify", "--plugin-dir", PLUGINS};
    int status, n = 3;
    pid_t pid;

    for (; *args; args++)
        argv[n++] = *args;
    argv[n] = NULL;
    pid = fork();
    if (pid == 0) {
        int out = open(b->out, O_WRONLY | O_CREAT | O_TRUNC, 0600),
            err = open(b->err, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        dup2(out, 1);
        dup2(err, 2);
        execv(PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(b, ...) run(b, (const char *const[]){__VA_ARGS__, NULL})

static inline json_t *printed(struct bench *b)
{
    json_error_t why;
    json_t *j = json_load_file(b->out, 0, &why);

    if (!j)
        fail_msg("%s", why.text);
    return j;
}

static inline char *complaint(struct bench *b)
{
    uint8_t *text = NULL;
    size_t len;

    assert_int_equal(ql_file_read(b->err, 65536, &text, &len, NULL), QL_OK);
    return (char *)text;
}

static inline void write_text(struct bench *b, const char *name, const char *text, char *path)
{
    assert_in_range(snprintf(path, 128, "%s/%s", b->dir, name), 1, 127);
    assert_int_equal(ql_file_write(path, 0600, text, strlen(text), NULL), QL_OK);
}

static inline void write_json(struct bench *b, const char *name, const json_t *j, char *path)
{
    char *text = json_dumps(j, 0);

    write_text(b, name, text, path);
    free(text);
}

/* Body of a recorded case with a policy of another validator. */
static inline json_t *body_of(struct bench *b, const char *name, const char *validator, const char *policy)
{
    const json_t *c = case_named(b->file, name);

    return json_pack("{s:s, s:{s:O, s:O, s:O, s:s, s:O, s:O, s:O, s:{s:s}}}", "type", "tpm", "data", "quote",
                     json_object_get(c, "quote"), "nonce", json_object_get(c, "nonce"), "hash_alg",
                     json_object_get(c, "hash_alg"), "tpm_ek", "any", "tpm_ak", json_object_get(c, "ak_tpm"),
                     "pubkey", json_object_get(c, "nk_pub_pem"), "mask", json_object_get(c, "mask"),
                     "policies", validator, policy);
}
