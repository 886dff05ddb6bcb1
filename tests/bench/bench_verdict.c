/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attestation costs: CPU time of daemon and worker for one job, socket included, against the bare
 * signature check that cannot be saved, measured in the same run.
 *
 *     bench_verdict [--ecc] [--jobs N] [--agents N] [--max-ratio R]
 *
 * With --max-ratio the program fails when a job costs more than R times the check.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "attest/softquote.h"
#include "clock.h"
#include "jobs.h"
#include "pool.h"

enum {
    AGENTS_MAX = 1024,
    OUTSTANDING = 8
};

#define NONCE "0123456789abcdefghij"
#define MASK  0x4080ffu

struct agent {
    struct soft soft;
    char *body;
    char id[40];
    struct ql_attest_job job;
};

struct bench {
    struct event_base *base;
    struct ql_pool *pool;
    struct agent *agents;
    size_t agent_count, submitted, done, wanted;
    uint8_t digest[32];
    int policy_fd;
    size_t policy_len;
};

static int give_policy(void *arg, const uint8_t digest[32], int *fd, size_t *len)
{
    struct bench *b = arg;

    (void)digest;
    *fd = b->policy_fd;
    *len = b->policy_len;
    return QL_OK;
}

static void submit(struct bench *b);

/** One job under way. */
struct flight {
    struct bench *bench;
    struct agent *agent;
};

static void finished(const struct ql_pool_result *result, void *arg)
{
    struct flight *f = arg;
    struct bench *b = f->bench;
    struct ql_attest_result r = {0};
    struct ql_err err = QL_ERR_INIT;

    if (result->status != QL_POOL_DONE ||
        ql_attest_result_read(result->result, &f->agent->job, &r, &err) != QL_OK ||
        r.kind != QL_VERDICT_PASS) {
        fprintf(stderr, "a job did not pass: %s %s\n", result->text ? result->text : err.text,
                r.failure_count ? r.failures[0].event_id : "");
        exit(1);
    }
    ql_attest_result_done(&r);
    free(f);
    b->done++;
    if (b->submitted < b->wanted)
        submit(b);
    else if (b->done == b->wanted)
        event_base_loopbreak(b->base);
}

static void submit(struct bench *b)
{
    struct flight *f = malloc(sizeof *f);
    struct ql_err err = QL_ERR_INIT;

    *f = (struct flight){b, &b->agents[b->submitted++ % b->agent_count]};
    if (ql_pool_submit(b->pool, ql_attest_job_frame(&f->agent->job, &err), f->agent->id, false, finished, f,
                       &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void run(struct bench *b, size_t jobs)
{
    b->submitted = b->done = 0;
    b->wanted = jobs;
    for (int i = 0; i < OUTSTANDING && b->submitted < jobs; i++)
        submit(b);
    event_base_dispatch(b->base);
}

static void make_agent(struct bench *b, struct agent *a, size_t number, bool rsa)
{
    json_t *answer;

    soft_new(&a->soft, rsa);
    for (unsigned i = 0; i < 8; i++)
        memset(a->soft.pcr[i], (int)i + 1, 32);
    answer = json_pack("{s:i, s:s, s:o}", "code", 200, "status", "Success", "results",
                       soft_answer(&a->soft, NONCE, strlen(NONCE), MASK | 1u << 16));
    /* As in nearly all polls: the key is known, the answer does not bring it again. */
    json_object_del(json_object_get(answer, "results"), "pubkey");
    a->body = json_dumps(answer, 0);
    json_decref(answer);
    snprintf(a->id, sizeof a->id, "agent-%zu", number);
    a->job = (struct ql_attest_job){
        .agent_id = a->id,
        .generation = 1,
        .ak = a->soft.ak,
        .ak_len = a->soft.ak_len,
        .accept = "{\"hash\": [\"sha256\"], \"enc\": [\"rsa\", \"ecc\"], \"sign\": [\"rsassa\", "
                  "\"ecdsa\"]}",
        .nonce = NONCE,
        .mask = MASK,
        .answer = (const uint8_t *)a->body,
        .answer_len = strlen(a->body),
        .answer_fd = -1,
        .partial = true,
        .stored_pubkey = a->soft.nk_pem,
        .clock = "{\"clock\": 10, \"resetCount\": 1, \"restartCount\": 0, \"safe\": 1}",
        .options = "{}",
        .policy_count = 1};
    strcpy(a->job.policies[0].validator, "tpm-policy");
    memcpy(a->job.policies[0].digest, b->digest, 32);
}

static int64_t own_cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * QL_NS_PER_S +
           (int64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* CPU of one signature check with the key at hand. */
static double bare_check_us(const struct agent *a, size_t count)
{
    struct ql_buf attest = ql_buf_init(4096), signature = ql_buf_init(4096);
    uint8_t message[133];
    const uint8_t *sig, *sig2 = NULL;
    size_t sig_len, sig2_len = 0;
    int64_t from;

    memset(message, 7, sizeof message);
    ql_buf_add(&attest, message, sizeof message);
    soft_sign(&a->soft, &attest, &signature);
    sig = signature.data + 6;
    sig_len = (size_t)signature.data[4] << 8 | signature.data[5];
    if (!a->soft.rsa) {
        sig2 = sig + sig_len + 2;
        sig2_len = 32;
    }
    from = own_cpu_ns();
    for (size_t i = 0; i < count; i++)
        if (ql_key_verify(a->soft.key, a->soft.rsa ? QL_RSASSA : QL_ECDSA, QL_SHA256, message, sizeof message,
                          sig, sig_len, sig2, sig2_len, -1, NULL) != QL_OK)
            exit(1);
    from = own_cpu_ns() - from;
    ql_buf_done(&attest);
    ql_buf_done(&signature);
    return (double)from / (double)count / 1000;
}

static void start(struct bench *b)
{
    static const char *const plugins[] = {"tpm-policy"};
    struct ql_pool_config config = {.base = b->base,
                                    .worker_path = QL_BINARY_DIR "/bin/quicklime-worker",
                                    .plugin_dir = QL_BINARY_DIR "/plugins",
                                    .plugins = plugins,
                                    .plugin_count = 1,
                                    .workers = 1,
                                    .jobs_max = 1000000000,
                                    .policy = give_policy,
                                    .arg = b};
    struct ql_err err = QL_ERR_INIT;

    if (ql_pool_new(&config, &b->pool, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void make_policy(struct bench *b)
{
    char policy[2048] = "{";

    for (int i = 0; i < 8; i++) {
        snprintf(policy + strlen(policy), sizeof policy - strlen(policy), "\"%d\": [\"", i);
        for (int k = 0; k < 32; k++)
            snprintf(policy + strlen(policy), sizeof policy - strlen(policy), "%02x", i + 1);
        strcat(policy, "\"], ");
    }
    strcat(policy, "\"mask\": \"0x4080ff\"}");
    b->policy_len = strlen(policy);
    b->policy_fd = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (write(b->policy_fd, policy, b->policy_len) != (ssize_t)b->policy_len ||
        fcntl(b->policy_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0 ||
        ql_digest_once(QL_SHA256, policy, b->policy_len, b->digest) < 0)
        exit(1);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"ecc", no_argument, NULL, 'e'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"agents", required_argument, NULL, 'a'},
                                            {"max-ratio", required_argument, NULL, 'r'},
                                            {NULL, 0, NULL, 0}};
    struct bench b = {.agent_count = 100};
    struct ql_pool_stats before, after;
    uint64_t jobs = 20000, agents = 100;
    double max_ratio = 0, bare, main_us, worker_us;
    int64_t own, wall;
    bool rsa = true;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (c == 'e')
            rsa = false;
        else if ((c == 'j' && ql_parse_u64(optarg, strlen(optarg), 1, 100000000, &jobs, NULL) < 0) ||
                 (c == 'a' && ql_parse_u64(optarg, strlen(optarg), 1, AGENTS_MAX, &agents, NULL) < 0) ||
                 (c == 'r' && ql_parse_float(optarg, strlen(optarg), 1, 1000, &max_ratio, NULL) < 0) ||
                 c == '?')
            return 2;
    b.agent_count = agents;
    b.base = event_base_new();
    b.agents = calloc(b.agent_count, sizeof *b.agents);
    make_policy(&b);
    for (size_t i = 0; i < b.agent_count; i++)
        make_agent(&b, &b.agents[i], i, rsa);
    start(&b);
    run(&b, 2 * b.agent_count); /* keys and the policy come into the worker */
    bare = bare_check_us(&b.agents[0], 5000);
    ql_pool_stats(b.pool, &before);
    own = own_cpu_ns();
    wall = ql_mono_ns();
    run(&b, jobs);
    wall = ql_mono_ns() - wall;
    own = own_cpu_ns() - own;
    ql_pool_stats(b.pool, &after);
    main_us = (double)own / (double)jobs / 1000;
    worker_us = (double)(after.cpu_ns - before.cpu_ns) / (double)jobs / 1000;
    bare = (bare + bare_check_us(&b.agents[0], 5000)) / 2;
    printf("%s, %zu agents, %llu jobs: %.1f us worker + %.1f us daemon = %.1f us a job, bare check %.1f us, "
           "ratio %.2f "
           "(worker alone %.2f), %.0f jobs/s\n",
           rsa ? "RSA-2048" : "P-256", b.agent_count, (unsigned long long)jobs, worker_us, main_us,
           worker_us + main_us, bare, (worker_us + main_us) / bare, worker_us / bare,
           (double)jobs / ((double)wall / 1e9));
    ql_pool_free(b.pool);
    for (size_t i = 0; i < b.agent_count; i++) {
        soft_done(&b.agents[i].soft);
        free(b.agents[i].body);
    }
    free(b.agents);
    close(b.policy_fd);
    event_base_free(b.base);
    return max_ratio > 0 && (worker_us + main_us) / bare > max_ratio ? 1 : 0;
}
