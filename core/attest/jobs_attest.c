/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clockinfo.h"
#include "error.h"
#include "failures.h"
#include "items.h"
#include "jobs.h"
#include "json.h"
#include "key.h"
#include "parse.h"
#include "reader.h"
#include "states.h"
#include "work.h"

enum {
    ALG_MAX = 32,            /* characters of an algorithm's name */
    PUBKEY_MAX = 8 * 1024,   /* of a payload key in PEM */
    CURSORS_MAX = 16 * 1024, /* bytes of the cursors as JSON */
    RETRY_REASON_MAX = 1024,
    FAILURES_MAX_LEN = QL_FAILURES_MAX * (QL_CONTEXT_MAX + 512)
};

struct ql_frame *ql_attest_job_frame(const struct ql_attest_job *job, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    uint64_t flags = (job->partial ? QL_ATTEST_PARTIAL : 0) | (job->asked_evidence ? QL_ATTEST_EVIDENCE : 0);
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_ATTEST, err);
    if (r == QL_OK)
        r = ql_frame_add_text(f, QL_TAG_AGENT_ID, job->agent_id, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_GENERATION, (uint64_t)job->generation, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_STATE_NUMBER, (uint64_t)job->state_number, err);
    if (r == QL_OK)
        r = ql_frame_add(f, QL_TAG_AK, job->ak, job->ak_len, err);
    if (r == QL_OK)
        r = ql_frame_add_text(f, QL_TAG_NONCE, job->nonce, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_MASK, job->mask, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_STORED_PUBKEY, job->stored_pubkey, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_CLOCK, job->clock, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_ACCEPT, job->accept, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_FLAGS, flags, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_EXPECTED_ENTRY, job->expected_entry, err);
    if (r == QL_OK)
        r = ql_frame_add_optional(f, QL_TAG_OPTIONS, job->options, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_RETRIES, job->retries, err);
    if (r == QL_OK && job->state_len > 0)
        r = ql_frame_add(f, QL_TAG_STATE, job->state, job->state_len, err);
    for (size_t i = 0; r == QL_OK && i < job->policy_count; i++) {
        r = ql_frame_add_text(f, QL_TAG_VALIDATOR, job->policies[i].validator, err);
        if (r == QL_OK)
            r = ql_frame_add(f, QL_TAG_DIGEST, job->policies[i].digest, sizeof job->policies[i].digest, err);
    }
    /* Last, so that what is small stays in the frame whatever the answer's size. */
    if (r == QL_OK && job->answer_fd >= 0)
        r = ql_frame_add_fd(f, QL_TAG_ANSWER, job->answer_fd, job->answer_len, err);
    else if (r == QL_OK)
        r = ql_frame_add(f, QL_TAG_ANSWER, job->answer, job->answer_len, err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

/* The result must be of the agent, generation and policies that were sent (decision 11). */
static int check_same_job(const struct ql_frame *f, const struct ql_attest_job *job, struct ql_err *err)
{
    uint64_t generation = 0;
    int r = ql_item_u64(f, QL_TAG_GENERATION, UINT64_MAX, &generation, err);

    if (r < 0 || generation != (uint64_t)job->generation)
        return ql_fail(err, QL_EPARSE, "result of another generation");
    for (size_t i = 0; i < job->policy_count; i++) {
        const struct ql_item *digest = ql_frame_get(f, QL_TAG_DIGEST, i);

        if (!digest || digest->len != 32 || memcmp(digest->data, job->policies[i].digest, 32) != 0)
            return ql_fail(err, QL_EPARSE, "result under other policies");
    }
    if (ql_frame_get(f, QL_TAG_DIGEST, job->policy_count))
        return ql_fail(err, QL_EPARSE, "result under more policies");
    return QL_OK;
}

static int read_failure(const json_t *j, struct ql_failure *ret, struct ql_err *err)
{
    const char *id = NULL, *severity = NULL;
    size_t id_len = 0, severity_len = 0;
    json_t *context = json_object_get(j, "context");
    bool recoverable = false;
    int r;

    if (!json_is_object(j) || !json_is_object(context))
        return ql_fail(err, QL_EPARSE, "failure that is not an object with a context");
    r = ql_json_get_text(j, "event_id", &id, &id_len, err);
    if (r == QL_OK)
        r = ql_item_optional(ql_json_get_text(j, "severity", &severity, &severity_len, err));
    if (r == QL_OK)
        r = ql_json_get_bool(j, "recoverable", &recoverable, err);
    if (r < 0 || id_len == 0 || id_len > QL_EVENT_ID_MAX || severity_len > QL_EVENT_ID_MAX ||
        strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != id_len)
        return ql_fail(err, QL_EPARSE, "failure without a proper event id");
    *ret = (struct ql_failure){.recoverable = recoverable};
    ret->event_id = strdup(id);
    ret->severity = severity ? strdup(severity) : NULL;
    ret->context = json_incref(context);
    if (!ret->event_id || (severity && !ret->severity))
        return ql_fail_nomem(err);
    return QL_OK;
}

static int read_failures(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    ql_auto_json json_t *list = NULL;
    int r = ql_item_json(f, QL_TAG_FAILURES, FAILURES_MAX_LEN, &list, err);
    size_t count;

    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    count = json_array_size(list);
    if (!json_is_array(list) || count > QL_FAILURES_MAX)
        return ql_fail(err, QL_EPARSE, "failures are not a list of at most %d", QL_FAILURES_MAX);
    ret->failures = calloc(count ? count : 1, sizeof *ret->failures);
    if (!ret->failures)
        return ql_fail_nomem(err);
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        ret->failure_count++; /* first, so that a half-read one is freed */
        r = read_failure(json_array_get(list, i), &ret->failures[i], err);
    }
    return r;
}

/* Lines of ALGS: a name, or empty for none. */
static int read_algs(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(f, QL_TAG_ALGS, 0);
    char **to[] = {&ret->hash_alg, &ret->enc_alg, &ret->sign_alg};
    const char *at, *end;

    if (!item)
        return QL_OK;
    at = (const char *)item->data;
    end = at + item->len;
    for (size_t i = 0; i < QL_ARRAY_LEN(to); i++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t len;

        if (!line_end)
            return ql_fail(err, QL_EPARSE, "algorithms are not three lines");
        len = (size_t)(line_end - at);
        if (len > ALG_MAX)
            return ql_fail(err, QL_EPARSE, "algorithm name of %zu characters", len);
        for (size_t k = 0; k < len; k++)
            if (at[k] < '!' || at[k] > '~')
                return ql_fail(err, QL_EPARSE, "algorithm name that is not plain text");
        if (len > 0 && !(*to[i] = strndup(at, len)))
            return ql_fail_nomem(err);
        at = line_end + 1;
    }
    return at == end ? QL_OK : ql_fail(err, QL_EPARSE, "algorithms are not three lines");
}

static int read_pubkey(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    const struct ql_item *n = ql_frame_get(f, QL_TAG_NK_N, 0);
    uint64_t e = 0;
    int r = ql_item_optional(ql_item_text(f, QL_TAG_PUBKEY, PUBKEY_MAX, &ret->pubkey, err));

    if (r < 0 || !n)
        return r;
    if (!ret->pubkey || n->len == 0 || n->len > sizeof ret->nk_n ||
        ql_item_u64(f, QL_TAG_NK_E, UINT32_MAX, &e, err) < 0)
        return ql_fail(err, QL_EPARSE, "payload key of %zu bytes without its exponent or text", n->len);
    memcpy(ret->nk_n, n->data, n->len);
    ret->nk_n_len = n->len;
    ret->nk_e = (uint32_t)e;
    return QL_OK;
}

/* The worker's clock comes as fixed fields; the text that is stored is made here. */
static int read_clock(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(f, QL_TAG_CLOCK, 0);
    struct ql_reader r;
    struct ql_clock c;
    unsigned safe;

    if (!item)
        return QL_OK;
    r = ql_reader_of(item->data, item->len);
    c.clock = ql_reader_u64be(&r);
    c.reset_count = ql_reader_u32be(&r);
    c.restart_count = ql_reader_u32be(&r);
    safe = ql_reader_u8(&r);
    if (!ql_reader_done(&r) || safe > 1 || c.clock > INT64_MAX)
        return ql_fail(err, QL_EPARSE, "clock is out of form");
    c.safe = safe == 1;
    ret->clock = ql_clock_text(&c);
    return ret->clock ? QL_OK : ql_fail_nomem(err);
}

static int read_state(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    struct ql_kept_state states[QL_POLICIES_MAX];
    size_t count;
    int r = ql_item_bytes(f, QL_TAG_NEW_STATE, QL_STATES_MAX_LEN, &ret->state, &ret->state_len, err);

    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r == QL_OK)
        r = ql_states_read(ret->state, ret->state_len, states, &count, err);
    if (r < 0)
        return r;
    ret->state_changed = true;
    return QL_OK;
}

static int read_objects(const struct ql_frame *f, struct ql_attest_result *ret, struct ql_err *err)
{
    const char *name;
    json_t *value;
    int r = ql_item_optional(ql_item_json(f, QL_TAG_CURSORS, CURSORS_MAX, &ret->cursors, err));

    if (r == QL_OK)
        r = ql_item_optional(ql_item_json(f, QL_TAG_FACTS, QL_FACTS_MAX + 4096, &ret->facts, err));
    if (r < 0)
        return r;
    if ((ret->cursors && !json_is_object(ret->cursors)) || (ret->facts && !json_is_object(ret->facts)))
        return ql_fail(err, QL_EPARSE, "cursors or facts are not objects");
    json_object_foreach(ret->cursors, name, value) {
        if (!ql_component_name_ok(name, strlen(name)) || !json_is_integer(value) ||
            json_integer_value(value) < 0)
            return ql_fail(err, QL_EPARSE, "cursor that is not a number from 0");
    }
    return QL_OK;
}

static int check_coherent(const struct ql_attest_result *r, struct ql_err *err)
{
    switch (r->kind) {
    case QL_VERDICT_PASS:
        if (r->failure_count == 0 && r->clock)
            return QL_OK;
        break;
    case QL_VERDICT_RETRY:
        if (r->failure_count == 0 && r->retry_reason && !r->state_changed)
            return QL_OK;
        break;
    case QL_VERDICT_FAIL:
        if (r->failure_count > 0 && !r->clock && !r->facts && r->state_len == 0)
            return QL_OK;
        break;
    }
    return ql_fail(err, QL_EPARSE, "verdict %d does not go with what came with it", (int)r->kind);
}

int ql_attest_result_read(const struct ql_frame *frame, const struct ql_attest_job *job,
                          struct ql_attest_result *ret, struct ql_err *err)
{
    struct ql_attest_result a = {0};
    uint64_t kind = 0, full = 0;
    int r = QL_OK;

    if (frame->kind != QL_FRAME_RESULT)
        r = ql_fail(err, QL_EPARSE, "frame of kind %u is no result", frame->kind);
    if (r == QL_OK)
        r = check_same_job(frame, job, err);
    if (r == QL_OK && ql_item_u64(frame, QL_TAG_VERDICT, QL_VERDICT_RETRY, &kind, err) < 0)
        r = ql_fail(err, QL_EPARSE, "result without a verdict");
    a.kind = (enum ql_verdict_kind)kind;
    if (r == QL_OK)
        r = read_failures(frame, &a, err);
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_ERROR_TEXT, RETRY_REASON_MAX, &a.retry_reason, err));
    if (r == QL_OK)
        r = read_algs(frame, &a, err);
    if (r == QL_OK)
        r = read_pubkey(frame, &a, err);
    if (r == QL_OK)
        r = read_clock(frame, &a, err);
    if (r == QL_OK)
        r = read_state(frame, &a, err);
    if (r == QL_OK)
        r = read_objects(frame, &a, err);
    if (r == QL_OK)
        r = ql_item_optional(ql_item_u64(frame, QL_TAG_FULL, 1, &full, err));
    a.full_reread = full == 1;
    if (r == QL_OK)
        r = check_coherent(&a, err);
    if (r < 0) {
        ql_attest_result_done(&a);
        return r;
    }
    *ret = a;
    return QL_OK;
}

void ql_attest_result_done(struct ql_attest_result *r)
{
    for (size_t i = 0; i < r->failure_count; i++) {
        free(r->failures[i].event_id);
        free(r->failures[i].severity);
        json_decref(r->failures[i].context);
    }
    free(r->failures);
    free(r->retry_reason);
    free(r->hash_alg);
    free(r->enc_alg);
    free(r->sign_alg);
    free(r->pubkey);
    free(r->clock);
    free(r->state);
    json_decref(r->cursors);
    json_decref(r->facts);
    *r = (struct ql_attest_result){0};
}
