/* SPDX-License-Identifier: Apache-2.0 */
#include "work.h"
#include "error.h"

static const struct {
    enum ql_job_type type;
    int (*work)(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result, struct ql_err *err);
} kinds[] = {
    {QL_JOB_ATTEST, ql_work_attest},      {QL_JOB_CHECK_AGENT, ql_work_check},
    {QL_JOB_CHECK_POLICY, ql_work_check}, {QL_JOB_ONESHOT, ql_work_oneshot},
    {QL_JOB_IDENTITY, ql_work_identity},  {QL_JOB_REGISTER, ql_work_register},
    {QL_JOB_PARSE, ql_work_parse},
};

void ql_work_entering(const struct ql_worker *w, const struct ql_frame *job, const char *validator)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_ENTERING, job ? job->job : 0);

    /* Only names who is running; without it a crash is put down to core. */
    if (f && ql_frame_add_text(f, QL_TAG_VALIDATOR, validator, NULL) == QL_OK)
        (void)ql_frame_send(w->sock, f, NULL);
}

int ql_work(struct ql_worker *w, const struct ql_frame *job, struct ql_frame **ret, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *result = NULL;
    uint64_t type = 0;
    int r = ql_frame_get_u64(job, QL_TAG_JOB_TYPE, &type);

    if (r < 0)
        return ql_fail(err, QL_EPARSE, "job without a type");
    result = ql_frame_new(QL_FRAME_RESULT, job->job);
    if (!result)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < QL_ARRAY_LEN(kinds); i++) {
        if (kinds[i].type != type)
            continue;
        r = kinds[i].work(w, job, result, err);
        if (r == QL_OK)
            *ret = ql_steal(result);
        return r;
    }
    return ql_fail(err, QL_EPARSE, "job of type %llu", (unsigned long long)type);
}
