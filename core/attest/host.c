/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What validators see of the host: the attested facts, the report, their state (plugin author's guide,
 * "validator").
 */
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "encode.h"
#include "error.h"
#include "run.h"

#define BOOT_AGGREGATES "core.boot_aggregates"
#define BOOTTIME        "core.boottime"

static struct ql_run *run_of(const void *ctx)
{
    return (struct ql_run *)(uintptr_t)ctx;
}

static const char *running(const struct ql_run *run)
{
    return run->current->validator->head.name;
}

static const uint8_t *attest_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    const struct ql_proven *p = run_of(a->ctx)->shown;

    if (n >= QL_PCR_COUNT || !(p->quote.mask & (UINT32_C(1) << n)))
        return NULL;
    *len = ql_hash_len(p->quote.bank);
    return p->quote.pcr[n];
}

static bool needs_evidence(const struct ql_policy *p, const char *name)
{
    for (size_t i = 0; i < p->needs.item_count; i++)
        if (strcmp(p->needs.items[i].evidence, name) == 0)
            return true;
    return false;
}

/* Only what the policy declared as needed: for nothing else is it known how it is bound. */
static int attest_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct ql_run *run = run_of(a->ctx);
    const struct ql_ready *ready = needs_evidence(run->current, name) ? ql_run_ready(run, name) : NULL;

    if (!ready)
        return QL_ENOTFOUND;
    ret->data = ready->data;
    ret->len = ready->len;
    ret->cursor_from = ready->from;
    ret->cursor_to = ready->to;
    return QL_OK;
}

/* H over the values of PCR 0 to last, as hex; NULL: one of them is not quoted, or no memory. */
static json_t *aggregate(const struct ql_run *run, unsigned last)
{
    const struct ql_quote *q = &run->proven->quote;
    size_t len = ql_hash_len(q->bank);
    struct ql_piece pieces[QL_PCR_COUNT];
    uint8_t digest[QL_DIGEST_MAX];
    char hex[2 * QL_DIGEST_MAX + 1];

    for (unsigned i = 0; i <= last; i++) {
        if (!(q->mask & (UINT32_C(1) << i)))
            return NULL;
        pieces[i] = (struct ql_piece){q->pcr[i], len};
    }
    if (ql_digest(run->in->digester, q->bank, pieces, last + 1, digest) < 0)
        return NULL;
    ql_hex_encode(digest, len, hex);
    return json_string(hex);
}

/* Decision 5: from the quoted PCRs alone, no boot log needed. Made when asked for. */
static const json_t *boot_aggregates(struct ql_run *run)
{
    static const unsigned lasts[] = {7, 9};
    json_t *list = json_array(), *fact;

    for (size_t i = 0; list && i < QL_ARRAY_LEN(lasts); i++) {
        json_t *one = aggregate(run, lasts[i]);

        if (one && json_array_append_new(list, one) != 0)
            break;
    }
    fact = json_pack("{s:o}", ql_hash_name(run->proven->quote.bank), list);
    if (!fact || json_object_set_new(run->facts, BOOT_AGGREGATES, fact) != 0)
        return NULL;
    return json_object_get(run->facts, BOOT_AGGREGATES);
}

static bool runs_after(const struct ql_run *run, const char *name)
{
    const char *const *after = run->current->validator->head.after;
    const char *dot = strchr(name, '.');

    if (!dot)
        return false;
    if (strncmp(name, "core.", 5) == 0)
        return true;
    for (; after && *after; after++)
        if (strlen(*after) == (size_t)(dot - name) && strncmp(*after, name, (size_t)(dot - name)) == 0)
            return true;
    return false;
}

static const json_t *attest_fact(const struct ql_attest *a, const char *name)
{
    struct ql_run *run = run_of(a->ctx);
    const json_t *fact;

    if (!runs_after(run, name))
        return NULL;
    fact = json_object_get(run->facts, name);
    if (fact)
        return fact;
    if (strcmp(name, BOOT_AGGREGATES) == 0)
        return boot_aggregates(run);
    if (strcmp(name, BOOTTIME) == 0 && run->answer.has_boottime &&
        json_object_set_new(run->facts, BOOTTIME, json_integer(run->answer.boottime)) == 0)
        return json_object_get(run->facts, BOOTTIME);
    return NULL;
}

static int keep_code(struct ql_run *run, int r)
{
    if (r < 0)
        run->code = r;
    return r;
}

static int report_fail(struct ql_report *report, const char *event_id, const char *severity,
                       uint32_t recoverable, const json_t *context)
{
    struct ql_run *run = run_of(report->ctx);
    json_t *copy;

    /* A finding under a wrong name stays a finding. */
    if (!event_id || !ql_event_id_ok(running(run), event_id)) {
        (void)keep_code(run, ql_outcome_fail_of(run->out, running(run), "error",
                                                "event id \"%.128s\" does not begin with \"%s.\"",
                                                event_id ? event_id : "", running(run)));
        return QL_ERANGE;
    }
    copy = context ? json_deep_copy(context) : NULL;
    return keep_code(run,
                     ql_outcome_fail(run->out, event_id, severity, recoverable != 0,
                                     json_is_object(copy) ? copy : json_pack("{s:o*}", "message", copy)));
}

static int report_fact(struct ql_report *report, const char *name, const json_t *value)
{
    struct ql_run *run = run_of(report->ctx);
    char full[33 + 1 + 65];
    size_t len;

    if (!name || !*name || strlen(name) > 64)
        return QL_ERANGE;
    (void)snprintf(full, sizeof full, "%s.%s", running(run), name); /* both lengths are bounded */
    len = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (len == 0 || len > QL_FACTS_MAX - run->facts_len) {
        /* Not to be overlooked: a later validator would judge without it. */
        (void)keep_code(
            run, ql_outcome_fail_of(run->out, running(run), "error", "facts above %d bytes", QL_FACTS_MAX));
        return QL_ELIMIT;
    }
    run->facts_len += len;
    if (json_object_set_new(run->facts, full, json_deep_copy(value)) != 0)
        return keep_code(run, QL_ENOMEM);
    if (!run->out->facts && !(run->out->facts = json_object()))
        return keep_code(run, QL_ENOMEM);
    if (json_object_set(run->out->facts, full, json_object_get(run->facts, full)) != 0)
        return keep_code(run, QL_ENOMEM);
    return QL_OK;
}

static int report_cursor(struct ql_report *report, const char *evidence, uint64_t cursor)
{
    struct ql_run *run = run_of(report->ctx);

    if (!evidence || !needs_evidence(run->current, evidence) || cursor > INT64_MAX)
        return QL_ERANGE;
    if (!run->out->cursors && !(run->out->cursors = json_object()))
        return keep_code(run, QL_ENOMEM);
    if (json_object_set_new(run->out->cursors, evidence, json_integer((json_int_t)cursor)) != 0)
        return keep_code(run, QL_ENOMEM);
    return QL_OK;
}

static int report_retry(struct ql_report *report, const char *reason)
{
    struct ql_run *run = run_of(report->ctx);

    run->retry = true;
    if (run->in->retries >= QL_RETRIES_IN_A_ROW)
        return keep_code(run,
                         ql_outcome_fail_of(run->out, running(run), "retries", "still after %d attempts: %s",
                                            QL_RETRIES_IN_A_ROW, reason ? reason : ""));
    if (!run->out->retry_reason &&
        asprintf(&run->out->retry_reason, "%s: %.512s", running(run), reason ? reason : "") < 0) {
        run->out->retry_reason = NULL;
        return keep_code(run, QL_ENOMEM);
    }
    return QL_OK;
}

/* The place of a policy's validator in the order in which validators must run. */
static size_t rank(const struct ql_run *run, const struct ql_policy *p)
{
    struct ql_found found;
    size_t n = 0;

    while ((found = ql_registry_at(run->in->registry, QL_KIND_VALIDATOR, n)).head &&
           found.head != &p->validator->head)
        n++;
    return n;
}

static const struct ql_kept_state *kept_state(const struct ql_run *run, const struct ql_policy *p)
{
    /* After a reboot nothing of what was learned before holds. */
    if (run->proven->quote.rebooted)
        return NULL;
    for (size_t i = 0; i < run->in->state_count; i++)
        if (strcmp(run->in->states[i].validator, p->validator->head.name) == 0 &&
            memcmp(run->in->states[i].policy, p->digest, sizeof p->digest) == 0)
            return &run->in->states[i];
    return NULL;
}

static int take_state(struct ql_run *run, const struct ql_policy *p, struct ql_state *state,
                      struct ql_err *err)
{
    struct ql_kept_state *grown, kept = {.version = state->version, .len = state->len};
    uint8_t *copy;

    if (!state->changed)
        return QL_OK;
    if (state->len > QL_STATE_MAX_LEN || (state->len > 0 && !state->data))
        return ql_outcome_fail_of(run->out, running(run), "error", "state of %zu bytes, at most %u",
                                  state->len, QL_STATE_MAX_LEN);
    copy = malloc(state->len ? state->len : 1);
    grown = realloc(run->out->states, (run->out->state_count + 1) * sizeof *grown);
    if (grown)
        run->out->states = grown;
    if (!grown || !copy) {
        free(copy);
        return ql_fail_nomem(err);
    }
    if (state->len > 0)
        memcpy(copy, state->data, state->len);
    (void)strncpy(kept.validator, running(run), sizeof kept.validator - 1); /* at most 32 characters */
    memcpy(kept.policy, p->digest, sizeof kept.policy);
    kept.data = copy;
    run->out->states[run->out->state_count++] = kept;
    return QL_OK;
}

static void release_state(const struct ql_state *state)
{
    ql_plugin_memory_free((void *)(uintptr_t)state->data);
}

/* State as this release of the validator can read it. @param owned set when it was made anew */
static void bring_forward(const struct ql_policy *p, const struct ql_kept_state *kept, struct ql_state *in,
                          bool *owned)
{
    struct ql_state newer = {.size = sizeof newer};
    struct ql_err err = QL_ERR_INIT;
    int r;

    *owned = false;
    *in = (struct ql_state){.size = sizeof *in};
    if (!kept)
        return;
    in->version = kept->version;
    in->data = kept->data;
    in->len = kept->len;
    if (!p->validator->upgrade_state)
        return;
    r = p->validator->upgrade_state(p->plugin, in, &newer, &err);
    if (r < 0) {
        *in = (struct ql_state){.size = sizeof *in}; /* an unknown version is a reset (decision 13) */
    } else if (newer.changed) {
        *in = newer;
        *owned = true;
    }
}

static void fill_attest(struct ql_run *run, bool is_first)
{
    const struct ql_quote *q = &run->proven->quote;

    run->proven->attest = (struct ql_attest){
        .size = sizeof(struct ql_attest),
        .agent_id = run->in->agent_id,
        .hash_alg = ql_hash_name(q->bank),
        .clock = q->clock.clock,
        .reset_count = q->clock.reset_count,
        .restart_count = q->clock.restart_count,
        .is_first = is_first ? 1 : 0,
        .options = run->in->options ? run->in->options : run->no_options,
        .ctx = run,
        .pcr = attest_pcr,
        .evidence = attest_evidence,
        .fact = attest_fact,
    };
}

static int run_one(struct ql_run *run, const struct ql_policy *p, struct ql_err *err)
{
    struct ql_report report = {.size = sizeof report,
                               .ctx = run,
                               .fail = report_fail,
                               .fact = report_fact,
                               .cursor = report_cursor,
                               .retry = report_retry};
    struct ql_state in, out = {.size = sizeof out};
    struct ql_err why = QL_ERR_INIT;
    bool in_owned = false;
    int r = ql_run_meet_needs(run, p, err);

    if (r == QL_ENOTFOUND)
        return QL_OK; /* the failure is recorded; the validator has nothing to judge */
    if (r < 0)
        return r;
    run->current = p;
    if (run->in->entering)
        run->in->entering(run->in->entering_arg, running(run));
    bring_forward(p, kept_state(run, p), &in, &in_owned);
    fill_attest(run, in.len == 0);
    r = p->validator->validate(p->plugin, &run->shown->attest, p->compiled, &in, &report, &out, &why);
    if (r < 0)
        r = ql_outcome_fail_of(run->out, running(run), "error", "%s",
                               why.text[0] ? why.text : "the validator gave no reason");
    else
        r = take_state(run, p, &out, err);
    release_state(&out);
    if (in_owned)
        release_state(&in);
    return r < 0 ? r : run->code;
}

int ql_run_validators(struct ql_run *run, struct ql_err *err)
{
    const struct ql_policy *order[QL_POLICIES_MAX];
    size_t ranks[QL_POLICIES_MAX], count = 0;
    int r = QL_OK;

    for (size_t i = 0; i < run->in->policy_count; i++) {
        size_t mine = rank(run, run->in->policies[i]), at = count++;

        for (; at > 0 && ranks[at - 1] > mine; at--) {
            order[at] = order[at - 1];
            ranks[at] = ranks[at - 1];
        }
        order[at] = run->in->policies[i];
        ranks[at] = mine;
    }
    for (size_t i = 0; r == QL_OK && i < count; i++)
        r = run_one(run, order[i], err);
    return r;
}
