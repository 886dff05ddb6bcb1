/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_rig.h"

static void good_attestation_passes_in_a_worker(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    char *policy = json_dumps(json_object_get(r->recorded, "tpm_policy"), 0);
    struct rig_job j;

    rig_start(r, &c);
    rig_judge(r, &j, "tpm-policy", policy);
    assert_int_equal(j.status, QL_POOL_DONE);
    if (j.read != QL_OK || j.result.kind != QL_VERDICT_PASS)
        fail_msg("%s", j.text);
    assert_string_equal(j.result.hash_alg, "sha256");
    assert_string_equal(j.result.enc_alg, "rsa2048");
    assert_string_equal(j.result.pubkey, text_of(r->recorded, "nk_pub_pem"));
    assert_int_equal(j.result.nk_n_len, 256);
    assert_int_equal(j.result.nk_e, 65537);
    assert_non_null(strstr(j.result.clock, "\"resetCount\": 2"));
    assert_false(j.result.state_changed);
    assert_false(j.result.full_reread);
    ql_attest_result_done(&j.result);
    free(policy);
}

static void failed_attestation_says_why(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;
    const char *zeros = "{\"0\": \"0000000000000000000000000000000000000000000000000000000000000000\"}";

    rig_start(r, &c);
    rig_judge(r, &j, "tpm-policy", zeros);
    assert_int_equal(j.status, QL_POOL_DONE);
    assert_int_equal(j.read, QL_OK);
    assert_int_equal(j.result.kind, QL_VERDICT_FAIL);
    assert_int_equal(j.result.failure_count, 1);
    assert_string_equal(j.result.failures[0].event_id, "pcr_validation.invalid_pcr_0");
    assert_true(j.result.failures[0].recoverable);
    assert_string_equal(text_of(j.result.failures[0].context, "context"), "PCR value is not in allowlist");
    assert_null(j.result.clock);
    assert_true(j.result.full_reread);
    ql_attest_result_done(&j.result);
}

static void policy_is_asked_for_once(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t policy = rig_add_policy(r, "{}");

    c.workers = 1;
    rig_start(r, &c);
    for (int i = 0; i < 5; i++) {
        struct rig_job j;

        rig_job_init(r, &j, "tpm-policy", policy);
        rig_submit(&j, "agent", false);
        rig_await(&j);
        assert_int_equal(j.result.kind, QL_VERDICT_PASS);
        ql_attest_result_done(&j.result);
    }
    assert_int_equal(r->asked, 1);
}

/* A list of 160 MB in a worker that may take 64: it is read where it lies. */
static void answer_larger_than_a_workers_memory_is_not_copied(void **state)
{
    static const char line[] =
        "10 64e785ac1046200c6479863e171641e3eafc8131 ima-ng sha256:1c40bdc758ca5939 /usr/bin/a\\n";
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;
    char *results = case_answer(r->recorded), *piece = malloc(1000 * strlen(line) + 1);
    int fd = memfd_create("answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    off_t len;
    int64_t from;

    c.workers = 1;
    c.memory_max = 64u << 20;
    rig_start(r, &c);
    piece[0] = '\0';
    for (size_t i = 0; i < 1000; i++)
        memcpy(piece + i * strlen(line), line, sizeof line);
    results[strlen(results) - 1] = '\0'; /* the bracket */
    dprintf(fd, "{\"results\": %s, \"ima_measurement_list\": \"", results);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(write(fd, piece, 1000 * strlen(line)), 1000 * strlen(line));
    dprintf(fd, "\"}}");
    len = lseek(fd, 0, SEEK_CUR);
    assert_true(len > 150 * 1000 * 1000);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    rig_job_init(r, &j, NULL, 0);
    j.job.answer_fd = fd;
    j.job.answer_len = (size_t)len;
    from = ql_mono_ns();
    rig_submit(&j, NULL, true);
    rig_await(&j);
    print_message("%lld MB in %lld ms\n", (long long)len / 1000000,
                  (long long)(ql_mono_ns() - from) / 1000000);
    if (j.status != QL_POOL_DONE || j.result.kind != QL_VERDICT_PASS)
        fail_msg("status %d %s %s", (int)j.status, j.limit, j.text);
    ql_attest_result_done(&j.result);
    close(fd);
    free(piece);
    free(results);
}

static void worker_keeps_more_policies_than_it_has_descriptors(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    c.workers = 1;
    rig_start(r, &c);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 300; i++) {
            char policy[512];

            snprintf(policy, sizeof policy, "{\"mask\": \"0x0\"}%*s", i, "");
            r->policy_count = 0; /* the worker has its copy: ours can go */
            rig_job_init(r, &j, "tpm-policy", rig_add_policy(r, policy));
            rig_submit(&j, NULL, false);
            rig_await(&j);
            close(r->policies[0].fd);
            if (j.status != QL_POOL_DONE || j.result.kind != QL_VERDICT_PASS)
                fail_msg("policy %d: %s", i, j.text);
            ql_attest_result_done(&j.result);
        }
    r->policy_count = 0;
    assert_int_equal(r->asked, 300);
}

static void missing_policy_or_validator_is_nobodys_verdict(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t gone = rig_add_policy(r, "{}"), broken = rig_add_policy(r, "bad-policy");
    struct rig_job j;

    close(r->policies[gone].fd);
    r->policies[gone].fd = -1;
    rig_start(r, &c);
    rig_job_init(r, &j, "tpm-policy", gone);
    rig_submit(&j, NULL, false);
    rig_await(&j);
    assert_int_equal(j.status, QL_POOL_INTERNAL);
    assert_string_equal(j.text, "policy of tpm-policy is not there any more");
    rig_job_init(r, &j, "ima", broken);
    rig_submit(&j, NULL, false);
    rig_await(&j);
    assert_int_equal(j.status, QL_POOL_INTERNAL);
    assert_string_equal(j.text, "no validator ima is loaded");
    rig_job_init(r, &j, "hostile", broken);
    rig_submit(&j, NULL, false);
    rig_await(&j);
    assert_int_equal(j.status, QL_POOL_INTERNAL);
    assert_string_equal(j.text, "hostile: policy line 1: no");
}

static void crashing_job_is_judged_twice_and_named(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct ql_pool_stats stats;
    struct rig_job j, good;
    size_t any = rig_add_policy(r, "{}");

    rig_start(r, &c);
    rig_job_init(r, &j, "crash-in-validate", any);
    rig_job_init(r, &good, "tpm-policy", any);
    rig_submit(&j, "agent", false);
    rig_submit(&good, "agent", false);
    rig_await(&j);
    assert_int_equal(j.status, QL_POOL_KILLER);
    assert_string_equal(j.validator, "crash-in-validate");
    assert_string_equal(j.limit, "crash");
    rig_await(&good);
    assert_int_equal(good.result.kind, QL_VERDICT_PASS);
    ql_attest_result_done(&good.result);
    ql_pool_stats(r->pool, &stats);
    assert_int_equal(stats.killers, 1);
    assert_int_equal(stats.crashes, 2);
    assert_int_equal(stats.jobs, 2);
}

static void endless_validator_ends_at_the_cpu_limit_and_disturbs_nobody(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct rig_job j;
    int good = 0;

    c.cpu_ms = 300;
    rig_start(r, &c);
    rig_job_init(r, &j, "endless", any);
    rig_submit(&j, "a", false);
    while (!j.done) {
        struct rig_job other;

        rig_job_init(r, &other, "tpm-policy", any);
        rig_submit(&other, "a", false); /* the same home: it is given up after a while */
        rig_await(&other);
        assert_int_equal(other.result.kind, QL_VERDICT_PASS);
        ql_attest_result_done(&other.result);
        good++;
    }
    assert_int_equal(j.status, QL_POOL_KILLER);
    assert_string_equal(j.validator, "endless");
    assert_string_equal(j.limit, "cpu");
    assert_true(good > 3);
}

static void endless_validator_ends_at_the_wall_limit(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    struct rig_job j;

    c.wall_ms = 300;
    c.workers = 1;
    rig_start(r, &c);
    rig_judge(r, &j, "endless", "{}");
    assert_int_equal(j.status, QL_POOL_KILLER);
    assert_string_equal(j.validator, "endless");
    assert_string_equal(j.limit, "wall time");
}

static void killed_worker_is_replaced_and_its_job_judged_again(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct rig_job j;
    int pids[8];

    c.workers = 1;
    rig_start(r, &c);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ql_pool_pids(r->pool, pids, 8), 1);
        rig_job_init(r, &j, "tpm-policy", any);
        kill(pids[0], SIGKILL);
        rig_submit(&j, "agent", false);
        rig_await(&j);
        assert_int_equal(j.status, QL_POOL_DONE);
        assert_int_equal(j.result.kind, QL_VERDICT_PASS);
        ql_attest_result_done(&j.result);
    }
}

static void idle_worker_that_is_killed_is_replaced(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    int before[8], after[8];
    int64_t until = ql_mono_ns() + 20 * QL_NS_PER_S;

    c.workers = 1;
    rig_start(r, &c);
    assert_int_equal(ql_pool_pids(r->pool, before, 8), 1);
    kill(before[0], SIGKILL);
    do {
        event_base_loop(r->base, EVLOOP_ONCE);
        after[0] = before[0];
    } while ((ql_pool_pids(r->pool, after, 8) != 1 || after[0] == before[0]) && ql_mono_ns() < until);
    assert_int_not_equal(after[0], before[0]);
}

static void worker_retires_after_its_jobs(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct ql_pool_stats stats;

    c.workers = 1;
    c.jobs_max = 2;
    rig_start(r, &c);
    for (int i = 0; i < 6; i++) {
        struct rig_job j;

        rig_job_init(r, &j, "tpm-policy", any);
        rig_submit(&j, NULL, false);
        rig_await(&j);
        assert_int_equal(j.result.kind, QL_VERDICT_PASS);
        ql_attest_result_done(&j.result);
    }
    ql_pool_stats(r->pool, &stats);
    assert_true(stats.restarts >= 2);
    assert_int_equal(stats.crashes, 0);
    assert_true(r->asked >= 3);
}

static void isolation_by_job_gives_each_a_process_of_its_own(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");

    c.workers = 1;
    c.isolation = QL_ISOLATION_JOB;
    rig_start(r, &c);
    for (int i = 0; i < 3; i++) {
        struct rig_job j;

        rig_job_init(r, &j, "tpm-policy", any);
        rig_submit(&j, NULL, false);
        rig_await(&j);
        ql_attest_result_done(&j.result);
    }
    assert_int_equal(r->asked, 3);
}

static void restart_replaces_every_worker(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    int before[8], after[8];
    struct ql_pool_stats stats;
    int64_t until = ql_mono_ns() + 20 * QL_NS_PER_S;

    c.workers = 3;
    rig_start(r, &c);
    do {
        event_base_loop(r->base, EVLOOP_ONCE);
        ql_pool_stats(r->pool, &stats);
    } while (stats.workers < 3 && ql_mono_ns() < until);
    assert_int_equal(ql_pool_pids(r->pool, before, 8), 3);
    ql_pool_restart(r->pool);
    do {
        event_base_loop(r->base, EVLOOP_ONCE);
        ql_pool_stats(r->pool, &stats);
        assert_true(stats.workers >= 2); /* one after the other */
    } while ((stats.restarts < 3 || stats.workers < 3) && ql_mono_ns() < until);
    assert_int_equal(ql_pool_pids(r->pool, after, 8), 3);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            assert_int_not_equal(before[i], after[k]);
}

static void suspect_worker_gets_no_other_job(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    int before[8], after[8];
    struct rig_job j;

    c.workers = 1;
    rig_start(r, &c);
    assert_int_equal(ql_pool_pids(r->pool, before, 8), 1);
    rig_job_init(r, &j, "tpm-policy", any);
    j.suspect = true;
    rig_submit(&j, NULL, false);
    rig_await(&j);
    ql_attest_result_done(&j.result);
    rig_job_init(r, &j, "tpm-policy", any);
    rig_submit(&j, NULL, false);
    rig_await(&j);
    ql_attest_result_done(&j.result);
    assert_int_equal(ql_pool_pids(r->pool, after, 8), 1);
    assert_int_not_equal(before[0], after[0]);
}

static void jobs_are_cancelled_when_the_pool_goes(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct rig_job j[4];

    c.workers = 1;
    rig_start(r, &c);
    for (int i = 0; i < 4; i++) {
        rig_job_init(r, &j[i], "endless", any);
        rig_submit(&j[i], NULL, i % 2 == 1);
        assert_int_equal(j[i].done, 0);
    }
    ql_pool_free(ql_steal(r->pool));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(j[i].done, 1);
        assert_int_equal(j[i].status, QL_POOL_CANCELLED);
    }
}

static void worker_that_cannot_start_is_reported_at_once(void **state)
{
    struct rig *r = *state;
    static const char *const missing[] = {"tpm-policy", "nobody"};
    struct ql_pool_config c = rig_config(r);
    struct ql_err err = QL_ERR_INIT;
    char broken[128];

    c.plugins = missing;
    c.plugin_count = 2;
    assert_int_equal(ql_pool_new(&c, &r->pool, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "nobody"));
    c = rig_config(r);
    c.worker_path = "/nonexistent/quicklime-worker";
    assert_int_equal(ql_pool_new(&c, &r->pool, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent/quicklime-worker"));
    c.worker_path = "/bin/true";
    assert_int_equal(ql_pool_new(&c, &r->pool, &err), QL_EIO);
    assert_non_null(strstr(err.text, "worker did not start"));
    snprintf(broken, sizeof broken, "%s/hostile.so", r->dir);
    assert_int_equal(ql_file_write(broken, 0755, "not a library", 13, NULL), QL_OK);
    c = rig_config(r);
    assert_int_equal(ql_pool_new(&c, &r->pool, &err), QL_EIO);
    if (!strstr(err.text, "hostile"))
        fail_msg("%s", err.text);
    assert_null(r->pool);
}

static void small_jobs_pass_large_ones(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct rig_job large[6], small[6];

    c.workers = 1;
    rig_start(r, &c);
    for (int i = 0; i < 6; i++) {
        rig_job_init(r, &large[i], "tpm-policy", any);
        rig_submit(&large[i], NULL, true);
    }
    for (int i = 0; i < 6; i++) {
        rig_job_init(r, &small[i], "tpm-policy", any);
        rig_submit(&small[i], "agent", false);
    }
    for (int i = 0; i < 6; i++)
        rig_await(&large[i]);
    for (int i = 0; i < 6; i++) {
        rig_await(&small[i]);
        /* The first large one was under way already. */
        assert_true(small[i].done_ns < large[1].done_ns);
        ql_attest_result_done(&large[i].result);
        ql_attest_result_done(&small[i].result);
    }
}

static void one_worker_is_kept_for_small_jobs(void **state)
{
    struct rig *r = *state;
    struct ql_pool_config c = rig_config(r);
    size_t any = rig_add_policy(r, "{}");
    struct rig_job busy[3], small;

    c.workers = 2;
    c.wall_ms = 2000;
    rig_start(r, &c);
    for (int i = 0; i < 3; i++) {
        rig_job_init(r, &busy[i], "endless", any);
        rig_submit(&busy[i], NULL, true);
    }
    rig_job_init(r, &small, "tpm-policy", any);
    rig_submit(&small, NULL, false);
    rig_await(&small);
    for (int i = 0; i < 3; i++)
        assert_int_equal(busy[i].done, 0);
    ql_attest_result_done(&small.result);
    ql_pool_free(ql_steal(r->pool));
}

int main(void)
{
#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        POOL_TEST(good_attestation_passes_in_a_worker),
        POOL_TEST(failed_attestation_says_why),
        POOL_TEST(policy_is_asked_for_once),
        POOL_TEST(answer_larger_than_a_workers_memory_is_not_copied),
        POOL_TEST(worker_keeps_more_policies_than_it_has_descriptors),
        POOL_TEST(missing_policy_or_validator_is_nobodys_verdict),
        POOL_TEST(crashing_job_is_judged_twice_and_named),
        POOL_TEST(endless_validator_ends_at_the_cpu_limit_and_disturbs_nobody),
        POOL_TEST(endless_validator_ends_at_the_wall_limit),
        POOL_TEST(killed_worker_is_replaced_and_its_job_judged_again),
        POOL_TEST(idle_worker_that_is_killed_is_replaced),
        POOL_TEST(worker_retires_after_its_jobs),
        POOL_TEST(isolation_by_job_gives_each_a_process_of_its_own),
        POOL_TEST(restart_replaces_every_worker),
        POOL_TEST(suspect_worker_gets_no_other_job),
        POOL_TEST(jobs_are_cancelled_when_the_pool_goes),
        POOL_TEST(worker_that_cannot_start_is_reported_at_once),
        POOL_TEST(small_jobs_pass_large_ones),
        POOL_TEST(one_worker_is_kept_for_small_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
