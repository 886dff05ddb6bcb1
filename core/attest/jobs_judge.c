/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "items.h"
#include "jobs.h"
#include "json.h"

enum {
    REASON_MAX = 1024
};

struct ql_frame *ql_oneshot_job_frame(const uint8_t *body, size_t len, bool extensions, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_ONESHOT, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_FLAGS, extensions ? 1 : 0, err);
    if (r == QL_OK)
        r = ql_frame_add(f, QL_TAG_BODY, body, len, err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

struct ql_frame *ql_identity_job_frame(const uint8_t *ak, size_t ak_len, const char *quote, const char *nonce,
                                       const char *hash_alg, const char *accept, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_IDENTITY, err);
    if (r == QL_OK)
        r = ql_frame_add(f, QL_TAG_AK, ak, ak_len, err);
    if (r == QL_OK)
        r = ql_frame_add_text(f, QL_TAG_NONCE, nonce, err);
    if (r == QL_OK)
        r = ql_frame_add_text(f, QL_TAG_NAME, hash_alg, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_ACCEPT, accept, err);
    if (r == QL_OK)
        r = ql_frame_add_text(f, QL_TAG_BODY, quote, err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

int ql_judge_result_read(const struct ql_frame *frame, struct ql_judge_result *ret, struct ql_err *err)
{
    struct ql_judge_result j = {0};
    uint64_t http = 0;
    int r = QL_OK;

    if (frame->kind != QL_FRAME_RESULT)
        r = ql_fail(err, QL_EPARSE, "frame of kind %u is no result", frame->kind);
    if (r == QL_OK && (ql_item_u64(frame, QL_TAG_HTTP, 599, &http, err) < 0 || http < 200))
        r = ql_fail(err, QL_EPARSE, "result without an HTTP code");
    j.http = (int)http;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_json(frame, QL_TAG_RESULT, QL_FRAME_MAPPED_MAX, &j.result, err));
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_REASONS, REASON_MAX, &j.reason, err));
    if (r == QL_OK && (j.result ? !json_is_object(j.result) : !j.reason))
        r = ql_fail(err, QL_EPARSE, "result without an object");
    if (r < 0) {
        ql_judge_result_done(&j);
        return r;
    }
    *ret = j;
    return QL_OK;
}

void ql_judge_result_done(struct ql_judge_result *r)
{
    json_decref(r->result);
    free(r->reason);
    *r = (struct ql_judge_result){0};
}

struct ql_frame *ql_parse_job_frame(const uint8_t *body, size_t len, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_PARSE, err);
    if (r == QL_OK)
        r = ql_frame_add(f, QL_TAG_BODY, body, len, err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

/* Member number n: items NAME, FLAGS (1: text) and BODY of the same number. */
static int read_member(const struct ql_frame *f, size_t n, struct ql_parse_member *ret, struct ql_err *err)
{
    const struct ql_item *flag = ql_frame_get(f, QL_TAG_FLAGS, n + 1),
                         *body = ql_frame_get(f, QL_TAG_BODY, n);

    if (!flag || !body || flag->len != 8 || flag->data[7] > 1)
        return ql_fail(err, QL_EPARSE, "member %zu of a body is not whole", n);
    ret->is_text = flag->data[7] == 1;
    ret->key = ql_frame_get_text(f, QL_TAG_NAME, n);
    ret->bytes = malloc(body->len + 1);
    if (!ret->key || !ret->bytes)
        return ql_fail(err, QL_ENOMEM, "member %zu of a body", n);
    memcpy(ret->bytes, body->data, body->len);
    ret->bytes[body->len] = 0;
    ret->len = body->len;
    return QL_OK;
}

int ql_parse_result_read(const struct ql_frame *frame, struct ql_parse_result *ret, struct ql_err *err)
{
    struct ql_parse_result *p = ret;
    uint64_t ok = 0;
    int r = QL_OK;

    *p = (struct ql_parse_result){0};
    if (frame->kind != QL_FRAME_RESULT)
        r = ql_fail(err, QL_EPARSE, "frame of kind %u is no result", frame->kind);
    if (r == QL_OK && ql_item_u64(frame, QL_TAG_FLAGS, 1, &ok, err) < 0)
        r = ql_fail(err, QL_EPARSE, "result does not say whether the body could be read");
    p->ok = ok == 1;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_REASONS, REASON_MAX, &p->reason, err));
    if (r == QL_OK && !p->ok && !p->reason)
        r = ql_fail(err, QL_EPARSE, "body refused without a reason");
    while (r == QL_OK && ql_frame_get(frame, QL_TAG_NAME, p->member_count)) {
        if (p->member_count == QL_PARSE_MEMBERS_MAX) {
            r = ql_fail(err, QL_EPARSE, "more than %d members in a body", QL_PARSE_MEMBERS_MAX);
            break;
        }
        r = read_member(frame, p->member_count, &p->members[p->member_count], err);
        p->member_count++; /* counted when half read too, so that it is freed */
    }
    if (r < 0)
        ql_parse_result_done(p);
    return r;
}

void ql_parse_result_done(struct ql_parse_result *r)
{
    for (size_t i = 0; i < r->member_count; i++) {
        free(r->members[i].key);
        free(r->members[i].bytes);
    }
    free(r->reason);
    *r = (struct ql_parse_result){0};
}
