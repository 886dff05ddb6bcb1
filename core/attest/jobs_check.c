/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cert.h"
#include "error.h"
#include "items.h"
#include "jobs.h"
#include "json.h"
#include "public.h"

enum {
    REASON_MAX = 1024,
    NEEDS_MAX_LEN = 64 * 1024 /* bytes of the needs as JSON */
};

struct ql_frame *ql_check_job_frame(const struct ql_check_job *job, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    uint64_t must_be_signed = 0; /* bit n: policy n */
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, job->ak_tpm ? QL_JOB_CHECK_AGENT : QL_JOB_CHECK_POLICY, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_AK, job->ak_tpm, err);
    if (r == QL_OK && job->mtls_cert && strcmp(job->mtls_cert, "disabled") != 0)
        r = ql_frame_add_text(f, QL_TAG_CERT, job->mtls_cert, err);
    for (size_t i = 0; r == QL_OK && i < job->policy_count; i++) {
        r = ql_frame_add_text(f, QL_TAG_VALIDATOR, job->policies[i].validator, err);
        /* Item n of each belongs to policy n; one of the two is empty. */
        if (r == QL_OK)
            r = ql_frame_add(f, QL_TAG_POLICY, job->policies[i].digest ? NULL : job->policies[i].bytes,
                             job->policies[i].digest ? 0 : job->policies[i].len, err);
        if (r == QL_OK)
            r = ql_frame_add(f, QL_TAG_DIGEST, job->policies[i].digest, job->policies[i].digest ? 32 : 0,
                             err);
        must_be_signed |= (uint64_t)job->policies[i].must_be_signed << i;
    }
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_FLAGS, must_be_signed, err);
    for (size_t i = 0; r == QL_OK && i < job->signing_key_count; i++)
        r = ql_frame_add_text(f, QL_TAG_SIGNING_KEY, job->signing_keys[i], err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

int ql_check_result_read(const struct ql_frame *frame, struct ql_check_result *ret, struct ql_err *err)
{
    struct ql_check_result c = {0};
    ql_auto_json json_t *needs = NULL;
    uint64_t ok = 0, mask = 0, generator = 0;
    int r = QL_OK;

    if (frame->kind != QL_FRAME_RESULT)
        r = ql_fail(err, QL_EPARSE, "frame of kind %u is no result", frame->kind);
    if (r == QL_OK && ql_item_u64(frame, QL_TAG_FLAGS, 1, &ok, err) < 0)
        r = ql_fail(err, QL_EPARSE, "result does not say whether the check passed");
    c.ok = ok == 1;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_REASONS, REASON_MAX, &c.reason, err));
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_NAME, 64, &c.field, err));
    if (r == QL_OK)
        r = ql_item_optional(ql_item_bytes(frame, QL_TAG_AK, QL_PUBLIC_MAX_LEN, &c.ak, &c.ak_len, err));
    if (r == QL_OK)
        r = ql_item_optional(
            ql_item_bytes(frame, QL_TAG_CERT, QL_CERT_MAX_LEN, &c.cert_der, &c.cert_der_len, err));
    if (r == QL_OK)
        r = ql_item_optional(ql_item_u64(frame, QL_TAG_MASK, (1u << QL_PCR_COUNT) - 1, &mask, err));
    c.mask = (uint32_t)mask;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_u64(frame, QL_TAG_GENERATOR, 3, &generator, err));
    c.generator = (int64_t)generator;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_NEEDS, NEEDS_MAX_LEN, &c.needs, err));
    if (r == QL_OK && c.needs)
        r = ql_item_json(frame, QL_TAG_NEEDS, NEEDS_MAX_LEN, &needs, err);
    if (r == QL_OK && (c.ok ? !c.needs || !json_is_array(needs) : !c.reason || !c.field))
        r = ql_fail(err, QL_EPARSE, "result of a check lacks its needs or its reason");
    if (r < 0) {
        ql_check_result_done(&c);
        return r;
    }
    *ret = c;
    return QL_OK;
}

void ql_check_result_done(struct ql_check_result *r)
{
    free(r->reason);
    free(r->field);
    free(r->ak);
    free(r->cert_der);
    free(r->needs);
    *r = (struct ql_check_result){0};
}
