/* SPDX-License-Identifier: Apache-2.0 */
/* From an agent's answer to its verdict: into a worker and back. */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

enum {
    BUSY_MS = 1000,      /* wait when the queue of checks is full */
    ASK_AGAIN_MS = 1000, /* wait after a verdict "retry", unless the interval is shorter */
    ASK_AGAIN_MAX = 16   /* such verdicts in a row; the worker stops at QL_RETRIES_IN_A_ROW */
};

static void copy_alg(char *to, const char *from)
{
    size_t len = from ? strnlen(from, QL_ALG_NAME_MAX) : 0;

    if (len == 0)
        return; /* what it claimed last stays */
    memcpy(to, from, len);
    to[len] = '\0';
}

/* Highest label first; of equals the first reported. Irrecoverable lifts to the top (spec/server.md 4). */
static const struct ql_failure *worst(const struct ql_severity *s, const struct ql_attest_result *r,
                                      int *level, bool *recoverable)
{
    const struct ql_failure *found = NULL;

    *level = -1;
    *recoverable = true;
    for (size_t i = 0; i < r->failure_count; i++) {
        const struct ql_failure *f = &r->failures[i];
        int l = !f->recoverable ? ql_severity_top(s)
                : f->severity   ? ql_severity_level(s, f->severity)
                                : ql_severity_of(s, f->event_id);

        if (!f->recoverable)
            *recoverable = false;
        if (l > *level) {
            *level = l;
            found = f;
        }
    }
    return found;
}

static void failed(struct ql_agent *a, struct ql_attest_result *r)
{
    int level;
    bool recoverable;
    const struct ql_failure *f = worst(a->verifier->severity, r, &level, &recoverable);

    /* What was learned is forgotten: the next quote, if there is one, is read anew. */
    json_decref(a->cursors);
    a->cursors = NULL;
    a->ask_full = true;
    if (r->state_changed) {
        free(a->kept);
        a->kept = NULL;
        a->kept_len = 0;
        a->kept_number++;
    }
    if (!f) {
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.exception", "check failed without a reason");
        return;
    }
    for (size_t i = 0; i < r->failure_count; i++) {
        ql_auto_free char *context = ql_json_text_spaced(r->failures[i].context);

        ql_log(QL_WARN, "attest", "agent=%s event=%s: %s", a->id, r->failures[i].event_id,
               context ? context : "");
    }
    ql_agent_fail(a, QL_FAIL_ATTESTATION, f->event_id, json_incref(f->context), level, recoverable);
}

static int keep_text(char **to, char **from)
{
    if (!*from || (*to && strcmp(*to, *from) == 0))
        return 0;
    free(*to);
    *to = ql_steal(*from);
    return 1;
}

static void passed(struct ql_agent *a, struct ql_attest_result *r)
{
    bool clock = keep_text(&a->clock, &r->clock), pubkey = keep_text(&a->pubkey, &r->pubkey);
    bool has_key = pubkey || r->pubkey;

    a->attestation_count++;
    a->last_successful_attestation = a->last_received_quote;
    a->judge_retries = 0;
    a->retries = 0;
    a->ask_full = r->full_reread;
    if (r->state_changed) {
        free(a->kept);
        a->kept = ql_steal(r->state);
        a->kept_len = r->state_len;
        a->kept_number++;
    }
    if (r->full_reread || r->cursors) {
        json_decref(a->cursors);
        a->cursors = r->full_reread ? NULL : json_incref(r->cursors);
    }
    json_decref(a->facts);
    a->facts = json_incref(r->facts);
    if (a->state == QL_STATE_INVALID_QUOTE) {
        ql_log(QL_INFO, "attest", "agent=%s: passes again", a->id);
        a->severity = -1;
        ql_lifecycle_recovered(a);
    }
    if (has_key) {
        a->pubkey_live = true;
        if (r->nk_n_len > 0 && a->v) {
            free(a->nk_n);
            a->nk_n = malloc(r->nk_n_len);
            if (a->nk_n)
                memcpy(a->nk_n, r->nk_n, r->nk_n_len);
            a->nk_n_len = a->nk_n ? r->nk_n_len : 0;
            a->nk_e = r->nk_e;
        }
    }
    a->state = has_key && ql_vkey_due(a) ? QL_STATE_PROVIDE_V : QL_STATE_GET_QUOTE;
    if (a->state == QL_STATE_GET_QUOTE && ql_vkey_due(a))
        a->ask_full = true; /* V waits for a key */
    ql_agent_progress(a, clock, pubkey, r->state_changed);
    if (a->state == QL_STATE_PROVIDE_V)
        ql_vkey_provide(a);
    else
        ql_schedule_next(a);
}

static void ask_again(struct ql_agent *a, const struct ql_attest_result *r)
{
    int64_t interval = a->verifier->poll.interval_ms;

    a->ask_full = true;
    json_decref(a->cursors);
    a->cursors = NULL;
    if (++a->judge_retries > ASK_AGAIN_MAX) {
        ql_agent_failf(a, QL_FAIL_ATTESTATION, "qoute_validation.quote_validation", "asked %u times: %s",
                       a->judge_retries, r->retry_reason);
        return;
    }
    ql_log(QL_INFO, "attest", "agent=%s: asked again: %s", a->id, r->retry_reason);
    ql_agent_progress(a, false, false, false);
    ql_schedule_after(a, interval < ASK_AGAIN_MS ? interval : ASK_AGAIN_MS);
}

static void apply(struct ql_agent *a, struct ql_attest_result *r)
{
    a->last_received_quote = ql_now_ns() / QL_NS_PER_S;
    copy_alg(a->hash_alg, r->hash_alg);
    copy_alg(a->enc_alg, r->enc_alg);
    copy_alg(a->sign_alg, r->sign_alg);
    switch (r->kind) {
    case QL_VERDICT_PASS:
        passed(a, r);
        return;
    case QL_VERDICT_RETRY:
        ask_again(a, r);
        return;
    case QL_VERDICT_FAIL:
        break;
    }
    failed(a, r);
}

static void killed(struct ql_agent *a, const struct ql_pool_result *result)
{
    const char *validator = result->validator && *result->validator ? result->validator : "core";
    json_t *context =
        json_pack("{s:s, s:s, s:s}", "message", "evidence overran the limits of its check twice", "validator",
                  validator, "limit", result->limit ? result->limit : "");

    a->last_received_quote = ql_now_ns() / QL_NS_PER_S;
    ql_log(QL_WARN, "attest",
           "agent=%s validator=%s limit=%s: evidence overran the limits of its check twice", a->id, validator,
           result->limit ? result->limit : "");
    ql_agent_fail(a, QL_FAIL_ATTESTATION, "qoute_validation.worker_limit", context,
                  ql_severity_top(a->verifier->severity), false);
}

static void on_judged(const struct ql_pool_result *result, void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;
    struct ql_attest_result r = {0};
    struct ql_attest_job job = op->job;
    struct ql_err err = QL_ERR_INIT;

    ql_op_free(op);
    if (!a)
        return;
    switch (result->status) {
    case QL_POOL_DONE:
        if (ql_attest_result_read(result->result, &job, &r, &err) == QL_OK) {
            apply(a, &r);
        } else {
            ql_log(QL_ERROR, "attest", "agent=%s: result refused, workers are replaced: %s", a->id, err.text);
            ql_pool_restart(a->verifier->pool);
            ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception",
                          "result of a check was refused");
        }
        ql_attest_result_done(&r);
        return;
    case QL_POOL_KILLER:
        killed(a, result);
        return;
    case QL_POOL_CANCELLED:
        ql_schedule_after(a, BUSY_MS);
        return;
    case QL_POOL_INTERNAL:
        break;
    }
    ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception",
                  result->text ? result->text : "check could not be run");
}

static void fill_job(struct ql_op *op)
{
    const struct ql_agent *a = op->agent;

    op->job = (struct ql_attest_job){
        .agent_id = a->id,
        .generation = a->generation,
        .state_number = a->kept_number,
        .ak = a->ak,
        .ak_len = a->ak_len,
        .accept = a->accept,
        .nonce = op->nonce,
        .mask = a->mask,
        .answer_fd = -1,
        .partial = op->partial,
        .stored_pubkey = a->pubkey,
        .clock = a->clock,
        .expected_entry = op->entry,
        .asked_evidence = op->asked_evidence,
        .options = a->options,
        .state = a->kept,
        .state_len = a->kept_len,
        .retries = a->judge_retries,
        .policy_count = a->policy_count,
    };
    for (size_t i = 0; i < a->policy_count; i++) {
        memcpy(op->job.policies[i].validator, a->policies[i].validator, sizeof a->policies[i].validator);
        memcpy(op->job.policies[i].digest, a->policies[i].digest, sizeof a->policies[i].digest);
    }
}

void ql_judge(struct ql_op *op, struct ql_http_result *answer)
{
    struct ql_agent *a = op->agent;
    ql_auto(ql_frame_freep) struct ql_frame *frame = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r = QL_ENOMEM;

    op->what = "check";
    fill_job(op);
    op->job.answer = answer->body;
    op->job.answer_fd = answer->body_fd; /* the frame keeps a duplicate */
    op->job.answer_len = answer->body_len;
    frame = ql_attest_job_frame(&op->job, &err);
    if (frame)
        r = ql_pool_submit(a->verifier->pool, frame, a->id, answer->body_len >= QL_JOB_SMALL_MAX, on_judged,
                           op, &err);
    if (r == QL_OK) {
        frame = NULL; /* the pool has it now */
        return;
    }
    ql_op_free(op);
    if (r == QL_EFULL) {
        ql_log(QL_WARN, "attest", "agent=%s: not checked now: %s", a->id, err.text);
        ql_schedule_after(a, BUSY_MS);
        return;
    }
    ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", err.text);
}
