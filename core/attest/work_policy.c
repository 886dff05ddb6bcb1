/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "work.h"

/* Ask the daemon for a policy that this worker does not hold. @return as ql_frame_recv() */
static int ask(struct ql_worker *w, const struct ql_frame *job, const uint8_t *digest, struct ql_frame **ret,
               struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_NEED_POLICY, job->job);
    int r;

    if (!f)
        return ql_fail_nomem(err);
    r = ql_frame_add(f, QL_TAG_DIGEST, digest, 32, err);
    if (r == QL_OK)
        r = ql_frame_send(w->sock, f, err);
    return r == QL_OK ? ql_frame_recv(w->sock, ret, err) : r;
}

int ql_work_policy(struct ql_worker *w, const struct ql_frame *job, const char *validator,
                   const uint8_t digest[32], struct ql_policy **ret, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *got = NULL;
    ql_auto(ql_policy_freep) struct ql_policy *policy = NULL;
    const struct ql_item *bytes;
    size_t len;
    int r;

    *ret = ql_policy_cache_get(w->policies, validator, digest);
    if (*ret)
        return QL_OK;
    r = ask(w, job, digest, &got, err);
    if (r != QL_OK)
        return r;
    bytes = ql_frame_get(got, QL_TAG_POLICY, 0);
    if (got->kind != QL_FRAME_POLICY || got->job != job->job)
        return ql_fail(err, QL_EPARSE, "frame of kind %u in place of a policy", got->kind);
    if (!bytes)
        return ql_fail(err, QL_ENOTFOUND, "policy of %s is not there any more", validator);
    len = bytes->len;
    ql_work_entering(w, job, validator);
    r = ql_policy_compile(w->registry, validator, bytes->data, len, QL_ORIGIN_STORED, &policy, err);
    if (r < 0)
        return r;
    if (memcmp(policy->digest, digest, sizeof policy->digest) != 0)
        return ql_fail(err, QL_ENOTFOUND, "policy of %s has another digest", validator);
    *ret = policy;
    return ql_policy_cache_put(w->policies, ql_steal(policy), len, ql_steal(got), err);
}
