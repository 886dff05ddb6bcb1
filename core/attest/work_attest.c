/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "clockinfo.h"
#include "encode.h"
#include "error.h"
#include "items.h"
#include "json.h"
#include "parse.h"
#include "states.h"
#include "work.h"

enum {
    TEXT_MAX = 8 * 1024,      /* bytes of accept lists, clock, stored key */
    OPTIONS_MAX = 1024 * 1024 /* bytes of an agent's options */
};

/** One job's input, as the frame has it. */
struct attest {
    struct ql_worker *worker;
    const struct ql_frame *job;
    struct ql_verdict_in in;
    struct ql_accept accept;
    struct ql_clock previous;
    char *agent_id, *nonce, *stored_pubkey;
    json_t *options;
    struct ql_policy *policies[QL_POLICIES_MAX];
    struct ql_kept_state states[QL_POLICIES_MAX];
    bool had_state;
};

static void attest_done(struct attest *a)
{
    free(a->agent_id);
    free(a->nonce);
    free(a->stored_pubkey);
    json_decref(a->options);
}

static int parse_accept(const struct ql_frame *job, struct ql_accept *ret, struct ql_err *err)
{
    ql_auto_json json_t *lists = NULL;
    int r = ql_item_json(job, QL_TAG_ACCEPT, TEXT_MAX, &lists, err);

    if (r < 0 && r != QL_ENOTFOUND)
        return r;
    return ql_accept_from_json(json_object_get(lists, "hash"), json_object_get(lists, "enc"),
                               json_object_get(lists, "sign"), ret, err);
}

static int read_accept(struct attest *a, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(a->job, QL_TAG_ACCEPT, 0);
    struct ql_worker *w = a->worker;
    char *kept;
    int r;

    if (item && w->accept_text && item->len == w->accept_len &&
        memcmp(item->data, w->accept_text, item->len) == 0) {
        a->accept = w->accept;
        return QL_OK;
    }
    r = parse_accept(a->job, &a->accept, err);
    if (r < 0 || !item)
        return r;
    kept = malloc(item->len + 1);
    if (!kept)
        return ql_fail_nomem(err);
    memcpy(kept, item->data, item->len);
    free(w->accept_text);
    w->accept_text = kept;
    w->accept_len = item->len;
    w->accept = a->accept;
    return QL_OK;
}

static int read_clock(struct attest *a, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(a->job, QL_TAG_CLOCK, 0);

    if (!item)
        return QL_OK;
    a->in.previous = &a->previous;
    return ql_clock_read_text((const char *)item->data, item->len, &a->previous, err);
}

/* "{}" is what nearly all agents have: not worth a parse. */
static int read_options(struct attest *a, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(a->job, QL_TAG_OPTIONS, 0);
    int r;

    if (!item || (item->len == 2 && memcmp(item->data, "{}", 2) == 0))
        return QL_OK;
    r = ql_json_parse_object((const char *)item->data, item->len, OPTIONS_MAX, &a->options, err);
    a->in.options = a->options;
    return r;
}

static int read_numbers(struct attest *a, struct ql_err *err)
{
    uint64_t mask = 0, flags = 0, entry = 0, retries = 0;
    int r = ql_item_u64(a->job, QL_TAG_MASK, UINT32_MAX, &mask, err);

    if (r == QL_OK)
        r = ql_item_u64(a->job, QL_TAG_FLAGS, QL_ATTEST_PARTIAL | QL_ATTEST_EVIDENCE, &flags, err);
    if (r == QL_OK)
        r = ql_item_u64(a->job, QL_TAG_EXPECTED_ENTRY, UINT64_MAX, &entry, err);
    if (r == QL_OK)
        r = ql_item_u64(a->job, QL_TAG_RETRIES, UINT32_MAX, &retries, err);
    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "job lacks a number") : r;
    a->in.mask = (uint32_t)mask;
    a->in.asked_evidence = (flags & QL_ATTEST_EVIDENCE) != 0;
    a->in.expected_ima_entry = entry;
    a->in.retries = (unsigned)retries;
    return QL_OK;
}

static int read_states(struct attest *a)
{
    const struct ql_item *item = ql_frame_get(a->job, QL_TAG_STATE, 0);

    a->in.states = a->states;
    if (!item)
        return QL_OK;
    a->had_state = true;
    /* State that cannot be read is a reset (decision 13), never a verdict. */
    if (ql_states_read(item->data, item->len, a->states, &a->in.state_count, NULL) < 0)
        a->in.state_count = 0;
    return QL_OK;
}

/*
 * Policies in the order of the job. Without one of them there is no verdict, and what that means is for the
 * daemon to say.
 */
static int get_policies(struct attest *a, struct ql_err *err)
{
    for (size_t i = 0;; i++) {
        const struct ql_item *digest = ql_frame_get(a->job, QL_TAG_DIGEST, i);
        ql_auto_free char *name = ql_frame_get_text(a->job, QL_TAG_VALIDATOR, i);
        int r;

        if (!digest && !name)
            break;
        if (!digest || !name || digest->len != 32 || i == QL_POLICIES_MAX ||
            !ql_component_name_ok(name, strlen(name)))
            return ql_fail(err, QL_EPARSE, "policies of a job are out of form");
        r = ql_work_policy(a->worker, a->job, name, digest->data, &a->policies[i], err);
        if (r < 0)
            return r;
        a->in.policy_count++;
    }
    a->in.policies = a->policies;
    return QL_OK;
}

static void send_entering(void *arg, const char *validator)
{
    const struct attest *a = arg;

    ql_work_entering(a->worker, a->job, validator);
}

static int add_failures(struct ql_frame *f, const struct ql_outcome *o, struct ql_err *err)
{
    ql_auto_json json_t *list = json_array();

    for (size_t i = 0; list && i < o->failure_count; i++) {
        const struct ql_failure *one = &o->failures[i];
        json_t *j = json_pack("{s:s, s:s?, s:b, s:O}", "event_id", one->event_id, "severity", one->severity,
                              "recoverable", one->recoverable ? 1 : 0, "context", one->context);

        if (!j || json_array_append_new(list, j) != 0)
            return ql_fail_nomem(err);
    }
    return list ? ql_frame_add_json(f, QL_TAG_FAILURES, list, err) : ql_fail_nomem(err);
}

static int add_algs(struct ql_frame *f, const struct ql_outcome *o, struct ql_err *err)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%s\n%s\n%s\n", o->hash_alg ? o->hash_alg : "",
                       o->enc_alg ? o->enc_alg : "", o->sign_alg ? o->sign_alg : "");

    /* Names were bounded when they were taken from the answer. */
    if (len < 0 || (size_t)len >= sizeof text)
        return ql_fail(err, QL_EINTERNAL, "algorithm names of %d characters", len);
    return ql_frame_add(f, QL_TAG_ALGS, text, (size_t)len, err);
}

static int add_clock(struct ql_frame *f, const struct ql_clock *c, struct ql_err *err)
{
    uint8_t bytes[17];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(c->clock >> (56 - 8 * i));
    for (int i = 0; i < 4; i++) {
        bytes[8 + i] = (uint8_t)(c->reset_count >> (24 - 8 * i));
        bytes[12 + i] = (uint8_t)(c->restart_count >> (24 - 8 * i));
    }
    bytes[16] = c->safe ? 1 : 0;
    return ql_frame_add(f, QL_TAG_CLOCK, bytes, sizeof bytes, err);
}

static bool same_state(const struct ql_kept_state *a, const struct ql_kept_state *b)
{
    return strcmp(a->validator, b->validator) == 0 && memcmp(a->policy, b->policy, sizeof a->policy) == 0;
}

static bool has_policy(const struct attest *a, const struct ql_kept_state *s)
{
    for (size_t i = 0; i < a->in.policy_count; i++)
        if (strcmp(a->policies[i]->validator->head.name, s->validator) == 0 &&
            memcmp(a->policies[i]->digest, s->policy, sizeof s->policy) == 0)
            return true;
    return false;
}

/*
 * The states to keep: what changed, what stayed, nothing of policies that are gone or of a boot that is over.
 * Nothing is sent when all stayed.
 */
static int add_states(struct ql_frame *f, const struct attest *a, const struct ql_outcome *o,
                      struct ql_err *err)
{
    struct ql_kept_state all[QL_POLICIES_MAX];
    ql_auto_free uint8_t *blob = NULL;
    size_t count = 0, blob_len = 0;
    bool dropped = false;
    int r;

    for (size_t i = 0; i < a->in.state_count; i++) {
        bool replaced = false;

        for (size_t k = 0; k < o->state_count; k++)
            replaced = replaced || same_state(&a->states[i], &o->states[k]);
        if (replaced)
            continue;
        if (o->quote.rebooted || !has_policy(a, &a->states[i]))
            dropped = true;
        else
            all[count++] = a->states[i];
    }
    if (o->state_count == 0 && !dropped)
        return QL_OK;
    for (size_t k = 0; k < o->state_count && count < QL_POLICIES_MAX; k++)
        if (o->states[k].len > 0)
            all[count++] = o->states[k];
    if (count == 0)
        return ql_frame_add(f, QL_TAG_NEW_STATE, "", 0, err);
    r = ql_states_write(all, count, &blob, &blob_len, err);
    return r == QL_OK ? ql_frame_add(f, QL_TAG_NEW_STATE, blob, blob_len, err) : r;
}

static int add_pubkey(struct ql_frame *f, const struct ql_outcome *o, struct ql_err *err)
{
    int r = ql_frame_add_optional(f, QL_TAG_PUBKEY, o->pubkey, err);

    if (r == QL_OK && o->nk_n_len > 0) {
        r = ql_frame_add(f, QL_TAG_NK_N, o->nk_n, o->nk_n_len, err);
        if (r == QL_OK)
            r = ql_frame_add_u64(f, QL_TAG_NK_E, o->nk_e, err);
    }
    return r;
}

static int add_outcome(struct ql_frame *f, const struct attest *a, const struct ql_outcome *o,
                       struct ql_err *err)
{
    int r = ql_frame_add_u64(f, QL_TAG_VERDICT, o->kind, err);

    if (r == QL_OK)
        r = add_algs(f, o, err);
    if (r == QL_OK && o->failure_count > 0)
        r = add_failures(f, o, err);
    switch (o->kind) {
    case QL_VERDICT_PASS:
        if (r == QL_OK)
            r = add_clock(f, &o->quote.clock, err);
        if (r == QL_OK)
            r = add_pubkey(f, o, err);
        if (r == QL_OK)
            r = add_states(f, a, o, err);
        if (r == QL_OK && o->facts)
            r = ql_frame_add_json(f, QL_TAG_FACTS, o->facts, err);
        if (r == QL_OK && o->cursors)
            r = ql_frame_add_json(f, QL_TAG_CURSORS, o->cursors, err);
        return r;
    case QL_VERDICT_RETRY:
        if (r == QL_OK)
            r = ql_frame_add_text(f, QL_TAG_ERROR_TEXT, o->retry_reason ? o->retry_reason : "", err);
        break;
    case QL_VERDICT_FAIL:
        /* What was learned from a node that now fails is forgotten: the next quote starts anew. */
        if (r == QL_OK && a->had_state)
            r = ql_frame_add(f, QL_TAG_NEW_STATE, "", 0, err);
        break;
    }
    return r == QL_OK ? ql_frame_add_u64(f, QL_TAG_FULL, 1, err) : r;
}

/* The result names what it was made of, so that the daemon can tell it from any other (decision 11). */
static int add_identity(struct ql_frame *f, const struct attest *a, struct ql_err *err)
{
    uint64_t generation = 0;
    int r = ql_frame_get_u64(a->job, QL_TAG_GENERATION, &generation);

    if (r < 0)
        return ql_fail(err, QL_EPARSE, "job without a generation");
    r = ql_frame_add_u64(f, QL_TAG_GENERATION, generation, err);
    for (size_t i = 0; r == QL_OK; i++) {
        const struct ql_item *digest = ql_frame_get(a->job, QL_TAG_DIGEST, i);

        if (!digest)
            break;
        r = ql_frame_add(f, QL_TAG_DIGEST, digest->data, digest->len, err);
    }
    return r;
}

static int read_job(struct attest *a, struct ql_err *err)
{
    const struct ql_item *answer = ql_frame_get(a->job, QL_TAG_ANSWER, 0);
    const struct ql_item *ak = ql_frame_get(a->job, QL_TAG_AK, 0);
    const struct ql_ak *imported = NULL;
    int r;

    a->agent_id = ql_frame_get_text(a->job, QL_TAG_AGENT_ID, 0);
    a->nonce = ql_frame_get_text(a->job, QL_TAG_NONCE, 0);
    a->stored_pubkey = ql_frame_get_text(a->job, QL_TAG_STORED_PUBKEY, 0);
    if (!a->agent_id || !a->nonce || !answer || !ak)
        return ql_fail(err, QL_EPARSE, "job lacks id, nonce, answer or AK");
    a->in = (struct ql_verdict_in){
        .registry = a->worker->registry,
        .agent_id = a->agent_id,
        .digester = a->worker->digester,
        .accept = &a->accept,
        .nonce = a->nonce,
        .nonce_len = strlen(a->nonce),
        .exact_mask = true,
        .answer = (const char *)answer->data,
        .answer_len = answer->len,
        .whole_body = true,
        .pubkey_expected = true,
        .stored_pubkey = a->stored_pubkey,
        .deadline_ns = a->worker->job_ms ? ql_mono_ns() + a->worker->job_ms * QL_NS_PER_MS : INT64_MAX,
        .vault = a->worker->vault,
    };
    r = ql_key_cache_get(a->worker->keys, a->worker->digester, ak->data, ak->len, &imported, err);
    if (r < 0)
        return r;
    a->in.ak = &imported->public;
    a->in.ak_key = imported->key;
    r = read_accept(a, err);
    if (r == QL_OK)
        r = read_clock(a, err);
    if (r == QL_OK)
        r = read_options(a, err);
    if (r == QL_OK)
        r = read_numbers(a, err);
    return r == QL_OK ? read_states(a) : r;
}

static int judge(struct attest *a, struct ql_frame *result, struct ql_err *err)
{
    struct ql_outcome o = {0};
    uint64_t attempt = 1;
    int r = read_job(a, err);

    if (r == QL_OK)
        r = add_identity(result, a, err);
    if (r < 0)
        return r;
    if (ql_frame_get_u64(a->job, QL_TAG_ATTEMPT, &attempt) == QL_OK && attempt > 1) {
        a->in.entering = send_entering;
        a->in.entering_arg = a;
    }
    r = get_policies(a, err);
    if (r < 0)
        return r;
    r = ql_verdict(&a->in, &o, err);
    if (r == QL_OK)
        r = add_outcome(result, a, &o, err);
    ql_outcome_done(&o);
    return r;
}

int ql_work_attest(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                   struct ql_err *err)
{
    struct attest a = {.worker = w, .job = job};
    int r = judge(&a, result, err);

    attest_done(&a);
    ql_policy_cache_trim(w->policies);
    return r;
}
