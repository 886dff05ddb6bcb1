/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence: where it stands in the answer, how it is bound to the quote, and its bytes.
 *
 * Keylime's own two kinds have members of their own in the answer and are vouched for by PCRs.
 */
#include <string.h>

#include "digest.h"
#include "encode.h"
#include "error.h"
#include "run.h"

#define IMA_EVIDENCE   "ima"
#define MBOOT_EVIDENCE "mboot"
#define BINDING_PREFIX "quicklime-evidence-1"

const struct ql_ready *ql_run_ready(const struct ql_run *run, const char *name)
{
    for (size_t i = 0; i < run->ready_count; i++)
        if (strcmp(run->ready[i].name, name) == 0)
            return &run->ready[i];
    return NULL;
}

void ql_run_drop_evidence(struct ql_run *run)
{
    for (size_t i = 0; i < run->ready_count; i++)
        free(run->ready[i].owned);
    run->ready_count = 0;
}

static struct ql_ready *new_ready(struct ql_run *run, const char *name)
{
    struct ql_ready *r = &run->ready[run->ready_count++];

    *r = (struct ql_ready){0};
    (void)strncpy(r->name, name, sizeof r->name - 1); /* names have at most 32 characters */
    return r;
}

/* Text as bytes: in place when nothing is escaped, else in one piece of memory no longer than the text. */
static int ready_text(struct ql_ready *r, const struct ql_text *t, struct ql_err *err)
{
    if (!t->escaped) {
        r->data = (const uint8_t *)t->raw;
        r->len = t->raw_len;
        return QL_OK;
    }
    r->owned = malloc(t->raw_len);
    if (!r->owned)
        return ql_fail_nomem(err);
    r->len = ql_text_unescape(t, (char *)r->owned);
    r->data = r->owned;
    return QL_OK;
}

/* @retval QL_EPARSE not base64 */
static int ready_base64(struct ql_ready *r, const struct ql_text *t, struct ql_err *err)
{
    struct ql_ready text = {0};
    size_t room = t->raw_len / 4 * 3 + 3;
    int result = ready_text(&text, t, err);

    if (result < 0)
        return result;
    r->owned = malloc(room);
    if (!r->owned)
        result = ql_fail_nomem(err);
    else
        result = ql_base64_decode((const char *)text.data, text.len, r->owned, room, &r->len, err);
    free(text.owned);
    r->data = r->owned;
    return result == QL_ENOMEM || result == QL_OK ? result : QL_EPARSE;
}

/* How the policies say that evidence of this name is bound; 0: none of them needs it. */
static uint32_t bound_how(const struct ql_run *run, const char *name)
{
    uint32_t bound = 0;

    for (size_t i = 0; i < run->in->policy_count; i++) {
        const struct ql_needs *n = &run->in->policies[i]->needs;

        for (size_t k = 0; k < n->item_count; k++)
            if (strcmp(n->items[k].evidence, name) == 0 && bound != QL_BOUND_NONCE)
                bound = n->items[k].bound;
    }
    return bound;
}

static int ready_item(struct ql_run *run, const struct ql_answer_evidence *item, struct ql_err *err)
{
    struct ql_ready *r = new_ready(run, item->name);
    int result;

    r->from = item->from;
    r->to = item->cursor;
    result = ready_base64(r, &item->data, err);
    if (result != QL_EPARSE)
        return result;
    result = ql_outcome_failf(run->out, "qoute_validation.invalid_data", false,
                              "evidence %s is not base64: %s", item->name, err ? err->text : "");
    return result == QL_OK ? QL_EPARSE : result;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct ql_ready *const *)a)->name, (*(const struct ql_ready *const *)b)->name);
}

static void put_u16(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static int binding_digest(struct ql_run *run, const struct ql_ready **bound, size_t count, uint8_t *digest)
{
    struct ql_piece pieces[3 + 3 * QL_EVIDENCE_MAX];
    uint8_t lens[1 + QL_EVIDENCE_MAX][2], digests[QL_EVIDENCE_MAX][32];
    size_t n = 0;
    int r = QL_OK;

    qsort(bound, count, sizeof *bound, by_name);
    put_u16(lens[0], run->in->nonce_len);
    pieces[n++] = (struct ql_piece){BINDING_PREFIX, strlen(BINDING_PREFIX)};
    pieces[n++] = (struct ql_piece){lens[0], 2};
    pieces[n++] = (struct ql_piece){run->in->nonce, run->in->nonce_len};
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        struct ql_piece data = {bound[i]->data, bound[i]->len};

        put_u16(lens[1 + i], strlen(bound[i]->name));
        pieces[n++] = (struct ql_piece){lens[1 + i], 2};
        pieces[n++] = (struct ql_piece){bound[i]->name, strlen(bound[i]->name)};
        r = ql_digest(run->in->digester, QL_SHA256, &data, 1, digests[i]);
        pieces[n++] = (struct ql_piece){digests[i], 32};
    }
    return r == QL_OK ? ql_digest(run->in->digester, QL_SHA256, pieces, n, digest) : r;
}

int ql_run_bind(struct ql_run *run, uint8_t *digest, struct ql_err *err)
{
    const struct ql_answer *a = &run->answer;
    const struct ql_ready *bound[QL_EVIDENCE_MAX];
    size_t count = 0;

    for (size_t i = 0; i < a->evidence_count; i++) {
        uint32_t how = bound_how(run, a->evidence[i].name);
        int r;

        if (how == 0) {
            r = ql_outcome_failf(run->out, "qoute_validation.invalid_data", false,
                                 "evidence %s was not asked for", a->evidence[i].name);
            return r == QL_OK ? QL_EPARSE : r;
        }
        r = ready_item(run, &a->evidence[i], err);
        if (r < 0)
            return r;
        if (how == QL_BOUND_NONCE)
            bound[count++] = &run->ready[run->ready_count - 1];
    }
    return binding_digest(run, bound, count, digest);
}

/* Members that Keylime's agents send whether asked or not. @retval QL_ENOTFOUND not there */
static int ready_member(struct ql_run *run, const char *name, struct ql_err *err)
{
    const struct ql_answer *a = &run->answer;
    int r;

    if (strcmp(name, IMA_EVIDENCE) == 0 && a->ima_list.raw) {
        struct ql_ready *ready = new_ready(run, name);

        /* Where to go on is for the validator to say: it counts the entries that the quote covers. */
        ready->from = ready->to = a->has_entry && a->entry > 0 ? (uint64_t)a->entry : 0;
        return ready_text(ready, &a->ima_list, err);
    }
    if (strcmp(name, MBOOT_EVIDENCE) == 0 && a->mb_log.raw) {
        r = ready_base64(new_ready(run, name), &a->mb_log, err);
        if (r != QL_EPARSE)
            return r;
        run->ready_count--;
        free(run->ready[run->ready_count].owned);
        r = ql_outcome_failf(run->out, "measured_boot.parser.log.base64decode", true,
                             "boot log is not base64: %s", err ? err->text : "");
        return r == QL_OK ? QL_EPARSE : r;
    }
    return QL_ENOTFOUND;
}

int ql_run_meet_needs(struct ql_run *run, const struct ql_policy *policy, struct ql_err *err)
{
    const char *validator = policy->validator->head.name;
    bool met = true;

    for (size_t i = 0; i < policy->needs.item_count; i++) {
        const struct ql_need *need = &policy->needs.items[i];
        int r;

        if (ql_run_ready(run, need->evidence))
            continue;
        /*
         * The members are bound by PCRs alone: what must be bound by the nonce comes in `evidence` or not at
         * all.
         */
        r = need->bound == QL_BOUND_PCR ? ready_member(run, need->evidence, err) : QL_ENOTFOUND;
        if (r == QL_OK)
            continue;
        if (r != QL_ENOTFOUND && r != QL_EPARSE)
            return r;
        if (r == QL_ENOTFOUND && (need->flags & QL_NEED_OPTIONAL))
            continue; /* what its absence means is for the validator to say */
        met = false;
        if (r == QL_ENOTFOUND &&
            (r = ql_outcome_fail_of(run->out, validator, "missing_evidence",
                                    "evidence %s is needed and not in the answer", need->evidence)) < 0)
            return r;
    }
    return met ? QL_OK : QL_ENOTFOUND;
}
