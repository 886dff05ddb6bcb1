/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs.h"
#include "work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct ql_worker *make_worker(void)
{
    static struct ql_worker w = {.sock = -1};
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};

    if (!w.registry &&
        (ql_registry_new(&config, &w.registry, NULL) < 0 || ql_digester_new(&w.digester, NULL) < 0 ||
         ql_vault_new(ql_verdict_vault_len(), &w.vault, NULL) < 0 ||
         ql_policy_cache_new(1u << 20, &w.policies, NULL) < 0 || ql_key_cache_new(16, &w.keys, NULL) < 0))
        abort();
    return &w;
}

/* A worker survives any frame as a job, and a daemon any frame as a result; a job's result can be read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = NULL, *result = NULL;
    const struct ql_attest_job job = {.generation = 1};
    struct ql_attest_result attest = {0};
    struct ql_check_result check = {0};
    struct ql_judge_result judge = {0};
    struct ql_register_result enrolled = {0};
    struct ql_parse_result parsed = {0};

    if (ql_frame_parse(data, len, NULL, 0, &f, NULL) != QL_OK)
        return 0;
    if (ql_attest_result_read(f, &job, &attest, NULL) == QL_OK)
        ql_attest_result_done(&attest);
    if (ql_check_result_read(f, &check, NULL) == QL_OK)
        ql_check_result_done(&check);
    if (ql_judge_result_read(f, &judge, NULL) == QL_OK)
        ql_judge_result_done(&judge);
    if (ql_register_result_read(f, &enrolled, NULL) == QL_OK)
        ql_register_result_done(&enrolled);
    if (ql_parse_result_read(f, &parsed, NULL) == QL_OK)
        ql_parse_result_done(&parsed);
    (void)ql_work(make_worker(), f, &result, NULL); /* refusing the job is as good as doing it */
    return 0;
}
