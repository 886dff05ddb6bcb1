/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pool_rig.h A pool of real workers of this build, with the validators of the tests, and jobs to give
 * it.
 */
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "clock.h"
#include "digest.h"
#include "encode.h"
#include "jobs.h"
#include "judge.h"
#include "pool.h"

#define WORKER QL_BINARY_DIR "/bin/quicklime-worker"

enum {
    RIG_POLICIES = 64
};

struct rig {
    struct event_base *base;
    struct ql_pool *pool;
    char dir[64]; /* plugins, gathered */
    json_t *file; /* vectors/agent/quotes_valid.json */
    const json_t *recorded;
    uint8_t *ak;
    size_t ak_len;
    char *body; /* HTTP body of the recorded answer */
    struct {
        uint8_t digest[32];
        int fd;
        size_t len;
    } policies[RIG_POLICIES];
    size_t policy_count, asked;
};

/** What became of one job. */
struct rig_job {
    struct rig *rig;
    struct ql_attest_job job;
    int done;
    int64_t done_ns;
    enum ql_pool_status status;
    int read; /* of the result */
    struct ql_attest_result result;
    char validator[33], limit[32], text[512];
    bool suspect;
};

static inline int rig_policy(void *arg, const uint8_t digest[32], int *ret_fd, size_t *ret_len)
{
    struct rig *r = arg;

    r->asked++;
    for (size_t i = 0; i < r->policy_count; i++)
        if (memcmp(r->policies[i].digest, digest, 32) == 0 && r->policies[i].fd >= 0) {
            *ret_fd = r->policies[i].fd;
            *ret_len = r->policies[i].len;
            return QL_OK;
        }
    return QL_ENOTFOUND;
}

/** Keep a policy. @return its number */
static inline size_t rig_add_policy(struct rig *r, const char *text)
{
    size_t n = r->policy_count++, len = strlen(text);
    int fd = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(n < RIG_POLICIES);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(ql_digest_once(QL_SHA256, text, len, r->policies[n].digest), QL_OK);
    r->policies[n].fd = fd;
    r->policies[n].len = len;
    return n;
}

static inline void rig_gather(struct rig *r, const char *from)
{
    char to[256];
    uint8_t *bytes = NULL;
    size_t len;

    if (access(from, R_OK) != 0)
        fail_msg("%s has not been built", from);
    assert_int_equal(ql_file_read(from, 64u << 20, &bytes, &len, NULL), QL_OK);
    snprintf(to, sizeof to, "%s/%s", r->dir, strrchr(from, '/') + 1);
    assert_int_equal(ql_file_write(to, 0755, bytes, len, NULL), QL_OK);
    free(bytes);
}

static const char *const rig_plugins[] = {"tpm-policy", "hostile", "endless", "memory-hog",
                                          "crash-in-validate"};

static inline struct ql_pool_config rig_config(struct rig *r)
{
    return (struct ql_pool_config){.base = r->base,
                                   .worker_path = WORKER,
                                   .plugin_dir = r->dir,
                                   .plugins = rig_plugins,
                                   .plugin_count = QL_ARRAY_LEN(rig_plugins),
                                   .workers = 2,
                                   .memory_max = 256u << 20,
                                   .cpu_ms = 10000,
                                   .wall_ms = 30000,
                                   .policy = rig_policy,
                                   .arg = r};
}

static inline void rig_start(struct rig *r, const struct ql_pool_config *c)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_pool_new(c, &r->pool, &err) < 0)
        fail_msg("%s", err.text);
}

/** Everything but the pool. */
static inline int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    char *results;

    *state = r;
    r->file = vectors("agent/quotes_valid.json");
    r->recorded = case_named(r->file, "rsa2048_rsassa_sha256_mask4080ff");
    strcpy(r->dir, "/tmp/quicklime-test-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    rig_gather(r, QL_BINARY_DIR "/plugins/tpm-policy.so");
    rig_gather(r, QL_BINARY_DIR "/tests/sdk/bad-attest/hostile.so");
    rig_gather(r, QL_BINARY_DIR "/tests/sdk/bad/endless.so");
    rig_gather(r, QL_BINARY_DIR "/tests/sdk/bad/memory-hog.so");
    rig_gather(r, QL_BINARY_DIR "/tests/sdk/bad/crash-in-validate.so");
    r->base = event_base_new();
    assert_int_equal(ql_base64_decode_dup(text_of(r->recorded, "ak_tpm"),
                                          strlen(text_of(r->recorded, "ak_tpm")), 4096, &r->ak, &r->ak_len,
                                          NULL),
                     QL_OK);
    results = case_answer(r->recorded);
    assert_true(asprintf(&r->body, "{\"code\": 200, \"status\": \"Success\", \"results\": %s}", results) > 0);
    free(results);
    return 0;
}

static inline int rig_teardown(void **state)
{
    struct rig *r = *state;
    char command[128];

    ql_pool_free(r->pool);
    event_base_free(r->base);
    for (size_t i = 0; i < r->policy_count; i++)
        close(r->policies[i].fd);
    for (size_t i = 0; i < QL_ARRAY_LEN(rig_plugins); i++) {
        snprintf(command, sizeof command, "%s/%s.so", r->dir, rig_plugins[i]);
        unlink(command);
    }
    rmdir(r->dir);
    json_decref(r->file);
    free(r->ak);
    free(r->body);
    free(r);
    return 0;
}

static inline void rig_done(const struct ql_pool_result *result, void *arg)
{
    struct rig_job *j = arg;
    struct ql_err err = QL_ERR_INIT;

    j->done++;
    j->done_ns = ql_mono_ns();
    j->status = result->status;
    if (result->status == QL_POOL_DONE && j->job.ak)
        j->read = ql_attest_result_read(result->result, &j->job, &j->result, &err);
    if (result->status == QL_POOL_KILLER) {
        snprintf(j->validator, sizeof j->validator, "%s", result->validator);
        snprintf(j->limit, sizeof j->limit, "%s", result->limit);
    }
    snprintf(j->text, sizeof j->text, "%s", result->text ? result->text : err.text);
    if (j->suspect)
        ql_pool_suspect(j->rig->pool);
}

/** The recorded attestation under one policy. @param validator NULL: none */
static inline void rig_job_init(struct rig *r, struct rig_job *j, const char *validator, size_t policy)
{
    *j = (struct rig_job){.rig = r};
    j->job = (struct ql_attest_job){.agent_id = "agent",
                                    .generation = 3,
                                    .state_number = 1,
                                    .ak = r->ak,
                                    .ak_len = r->ak_len,
                                    .nonce = text_of(r->recorded, "nonce"),
                                    .mask = 0x4080ff,
                                    .answer = (const uint8_t *)r->body,
                                    .answer_len = strlen(r->body),
                                    .answer_fd = -1};
    if (validator) {
        snprintf(j->job.policies[0].validator, sizeof j->job.policies[0].validator, "%s", validator);
        memcpy(j->job.policies[0].digest, r->policies[policy].digest, 32);
        j->job.policy_count = 1;
    }
}

static inline void rig_submit(struct rig_job *j, const char *affinity, bool large)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_frame *f = ql_attest_job_frame(&j->job, &err);

    if (!f || ql_pool_submit(j->rig->pool, f, affinity, large, rig_done, j, &err) < 0)
        fail_msg("%s", err.text);
}

/** Run the loop until the job is done. */
static inline void rig_await(struct rig_job *j)
{
    int64_t until = ql_mono_ns() + 60 * QL_NS_PER_S;

    while (!j->done) {
        if (ql_mono_ns() > until)
            fail_msg("job was not done within a minute");
        event_base_loop(j->rig->base, EVLOOP_ONCE);
    }
}

/** One job under a policy of its own, from submission to result. */
static inline void rig_judge(struct rig *r, struct rig_job *j, const char *validator, const char *policy)
{
    rig_job_init(r, j, validator, rig_add_policy(r, policy));
    rig_submit(j, NULL, false);
    rig_await(j);
}
