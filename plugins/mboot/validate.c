/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The validator: parses the boot log, checks its digests, replays it into the quoted PCRs, and asks the policy. What passed is
 * remembered for as long as nothing that was judged has changed, so that a later quote of the same boot costs one hash.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiled.h"

#define MATCHED_TEXT "SHA256 boot event log PCR value does not match"

enum {
    STATE_VERSION = 1,
    MEMO_LEN = 32
};

/** One attestation. */
struct run {
    const struct mb_plugin *plugin;
    const struct ql_attest *attest;
    struct mb_compiled *compiled;
    const struct mb_variant *policy;
    struct ql_report *report;
    struct ql_evidence_data log;
    bool has_log;
    uint32_t relevant; /* PCRs that must be quoted and equal the replay */
    bool failed;
    int code; /* of the report */
};

static void find(struct run *run, const char *event, json_t *context)
{
    int r = context ? run->report->fail(run->report, event, NULL, 1, context) : QL_ENOMEM;

    json_decref(context);
    run->failed = true;
    if (r < 0 && run->code == QL_OK)
        run->code = r;
}

static json_t *hex_text(const uint8_t *bytes, size_t len, bool without_zeros)
{
    char text[2 * MB_DIGEST_MAX + 1];
    size_t at = 0;

    for (size_t i = 0; i < len && i < MB_DIGEST_MAX; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[2 * len] = '\0';
    while (without_zeros && text[at] == '0')
        at++;
    return json_string(text + at);
}

static json_t *pcr_list(uint32_t mask)
{
    json_t *list = json_array();

    for (uint32_t n = 0; list && n < MB_PCR_COUNT; n++)
        if ((mask >> n & 1) && json_array_append_new(list, json_integer(n)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static uint32_t quoted_pcrs(const struct run *run)
{
    uint32_t mask = 0;
    size_t len;

    for (uint32_t n = 0; n < MB_PCR_COUNT; n++)
        if (run->attest->pcr(run->attest, n, &len))
            mask |= UINT32_C(1) << n;
    return mask;
}

/* ---- failures ---- */

static void find_missing(struct run *run, uint32_t missing)
{
    if (missing != 0)
        find(run, "measured_boot.missing_pcrs",
             json_pack("{s:s, s:o}", "context", "PCRs are missing in quote", "data", pcr_list(missing)));
}

static void find_no_log(struct run *run)
{
    const uint32_t quoted = quoted_pcrs(run) & run->relevant;

    for (uint32_t n = 0; n < MB_PCR_COUNT; n++) {
        char event[64], text[96];

        if (!(quoted >> n & 1))
            continue;
        (void)snprintf(event, sizeof event, "pcr_validation.unused_pcr_%u", n);
        (void)snprintf(text, sizeof text, "Measured Boot PCR %u in policy, but no measurement list provided",
                       n);
        find(run, event, json_pack("{s:s}", "message", text));
    }
    /* None was compared; without any quoted one nothing else would say so. */
    if (run->relevant != MB_COLLECTED_PCRS || quoted == 0)
        find_missing(run, run->relevant);
}

static void find_mismatches(struct run *run, const struct mb_judged *j)
{
    json_t *list = json_array();

    for (uint32_t i = 0; list && i < j->log->event_count; i++)
        if (j->log->events[i].status[j->bank] == MB_MISMATCH && json_array_size(list) < 100 &&
            json_array_append_new(list, json_integer(i)) != 0) {
            json_decref(list);
            list = NULL;
        }
    find(run, "measured_boot.parser.digest_mismatch",
         json_pack("{s:o, s:s, s:s}", "events", list, "bank", run->attest->hash_alg, "message", j->why));
}

static json_t *banks_of(const struct mb_log *log)
{
    json_t *list = json_array();

    for (uint32_t i = 0; list && i < log->bank_count; i++)
        if (json_array_append_new(list, json_string(log->banks[i].name)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* The event id takes no other characters than these. */
static void policy_event(const char *name, char *out, size_t room)
{
    bool fits = *name != '\0' && strlen(name) < MB_POLICY_NAME_MAX;

    for (const char *c = name; *c; c++)
        fits = fits && (isalnum((unsigned char)*c) || *c == '-' || *c == '_');
    (void)snprintf(out, room, "measured_boot.policy_%s", fits ? name : "reject-all");
}

static void find_rejected(struct run *run, const char *why)
{
    char event[128], shown[MB_SHOWN_REFSTATE + 4];
    char *text = json_dumps(run->compiled->refstate, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

    if (text)
        (void)snprintf(shown, sizeof shown, "%.*s%s", MB_SHOWN_REFSTATE, text,
                       strlen(text) > MB_SHOWN_REFSTATE ? "..." : "");
    policy_event(run->policy->name, event, sizeof event);
    /* The reason before the long part: lines of the verifier's log are cut. */
    find(run, event,
         text ? json_pack("{s:s, s:s, s:s, s:s}", "context", "Boot attestation failed", "policy",
                          run->policy->name, "reason", why, "refstate", shown)
              : NULL);
    free(text);
}

/* ---- replay ---- */

static void compare(struct run *run, const struct mb_pcrs *pcrs, uint32_t n)
{
    size_t len = 0;
    const uint8_t *quoted = run->attest->pcr(run->attest, n, &len);
    char event[64];

    if (len == pcrs->digest_len && memcmp(quoted, pcrs->value[n], len) == 0)
        return;
    (void)snprintf(event, sizeof event, "measured_boot.invalid_pcr_%u", n);
    find(run, event,
         json_pack("{s:s, s:o, s:o}", "context", MATCHED_TEXT, "got", hex_text(quoted, len, false),
                   "expected", hex_text(pcrs->value[n], pcrs->digest_len, true)));
}

/* @return QL_OK also with differences */
static int replay(struct run *run, const struct mb_judged *j, bool *ret_all, struct ql_err *err)
{
    const uint32_t quoted = quoted_pcrs(run);
    struct mb_pcrs pcrs;
    int r = mb_replay(run->plugin->shop.hasher, j->log, j->bank, &pcrs, err);

    if (r < 0)
        return r;
    if (pcrs.extended == 0) {
        find(run, "measured_boot.parser.invalid_pcrs", json_pack("{s:{}}", "got"));
        *ret_all = false;
        return QL_OK;
    }
    for (uint32_t n = 0; n < MB_PCR_COUNT; n++)
        if (run->relevant & quoted & UINT32_C(1) << n)
            compare(run, &pcrs, n);
    find_missing(run, run->relevant & ~quoted);
    *ret_all = (run->relevant & ~quoted) == 0;
    return QL_OK;
}

/* ---- the memo ---- */

/* What a verdict depends on: log, scripts, bank, boot and the quoted values; the reference state is core's key already. */
static int memo_of(struct run *run, uint8_t memo[MEMO_LEN], struct ql_err *err)
{
    const struct ql_attest *a = run->attest;
    uint8_t piece[128 + MB_POLICY_NAME_MAX] = {STATE_VERSION}, digest[MB_DIGEST_MAX];
    size_t len = 1;
    int r = mb_hash(run->plugin->shop.hasher, MB_ALG_SHA256, run->log.data, run->log.len, NULL, 0, memo);

    piece[len++] = run->plugin->tolerate_mismatch;
    memcpy(piece + len, run->plugin->scripts_digest, sizeof run->plugin->scripts_digest);
    len += sizeof run->plugin->scripts_digest;
    memcpy(piece + len, &a->reset_count, sizeof a->reset_count);
    len += sizeof a->reset_count;
    (void)snprintf((char *)piece + len, MB_POLICY_NAME_MAX, "%s", run->policy->name);
    len += MB_POLICY_NAME_MAX;
    (void)snprintf((char *)piece + len, 16, "%s", a->hash_alg);
    len += 16;
    if (r == QL_OK)
        r = mb_hash(run->plugin->shop.hasher, MB_ALG_SHA256, memo, MEMO_LEN, piece, len, digest);
    for (uint32_t n = 0; r == QL_OK && n < MB_PCR_COUNT; n++) {
        size_t value_len = 0;
        const uint8_t *value = run->relevant >> n & 1 ? run->attest->pcr(run->attest, n, &value_len) : NULL;

        if (value)
            r = mb_hash(run->plugin->shop.hasher, MB_ALG_SHA256, digest, MEMO_LEN, value, value_len, digest);
    }
    if (r < 0)
        return run->plugin->host->fail(err, r, "SHA-256 is not to be had");
    memcpy(memo, digest, MEMO_LEN);
    return QL_OK;
}

static int remember(const struct run *run, const uint8_t memo[MEMO_LEN], struct ql_state *out,
                    struct ql_err *err)
{
    const struct ql_host *h = run->plugin->host;
    uint8_t *data;

    if (run->plugin->forget)
        return QL_OK;
    data = h->alloc(h, MEMO_LEN);
    if (!data)
        return h->fail(err, QL_ENOMEM, "out of memory");
    memcpy(data, memo, MEMO_LEN);
    out->version = STATE_VERSION;
    out->data = data;
    out->len = MEMO_LEN;
    out->changed = 1;
    return QL_OK;
}

/* ---- all of it ---- */

static int aggregate(struct run *run, struct mb_pcrs *pcrs, enum mb_aggregate count, json_t *list)
{
    uint8_t digest[MB_DIGEST_MAX];
    int r;

    for (uint32_t n = 0; n < (uint32_t)count; n++) {
        size_t len = 0;
        const uint8_t *value = run->attest->pcr(run->attest, n, &len);

        if (!value || len != pcrs->digest_len)
            return QL_OK; /* not of the quote: not to be trusted */
        memcpy(pcrs->value[n], value, len);
    }
    r = mb_boot_aggregate(run->plugin->shop.hasher, pcrs, count, digest);
    if (r == QL_OK && json_array_append_new(list, hex_text(digest, pcrs->digest_len, false)) != 0)
        r = QL_ENOMEM;
    return r;
}

static uint16_t alg_of(const char *name)
{
    static const uint16_t algs[] = {MB_ALG_SHA1, MB_ALG_SHA256, MB_ALG_SHA384, MB_ALG_SHA512, MB_ALG_SM3_256};

    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++)
        if (strcmp(mb_alg_name(algs[i]), name) == 0)
            return algs[i];
    return 0;
}

/* Of the quoted PCRs, as core's fact of that name, for validators that run after this one. */
static int publish(struct run *run, struct ql_err *err)
{
    struct mb_pcrs pcrs = {.alg = alg_of(run->attest->hash_alg)};
    json_t *list = json_array(), *fact;
    int r;

    pcrs.digest_len = mb_alg_digest_len(pcrs.alg);
    r = list ? aggregate(run, &pcrs, MB_AGGREGATE_8, list) : QL_ENOMEM;
    if (r == QL_OK)
        r = aggregate(run, &pcrs, MB_AGGREGATE_10, list);
    fact = json_pack("{s:o}", run->attest->hash_alg, list);
    if (r == QL_OK)
        r = fact ? run->report->fact(run->report, "boot_aggregates", fact) : QL_ENOMEM;
    json_decref(fact);
    return r < 0 ? run->plugin->host->fail(err, r, "boot aggregates could not be made") : QL_OK;
}

static void find_refused_log(struct run *run, const struct mb_judged *j)
{
    switch (j->stage) {
    case MB_STAGE_PARSE:
        find(run, "measured_boot.parser.tpm2_eventlog.error",
             json_pack("{s:s, s:i, s:s}", "context", "tpm2_eventlog exited with non-zero return code", "code",
                       1, "data", j->why));
        break;
    case MB_STAGE_BANK:
        find(run, "measured_boot.parser.invalid_pcrs_hashes",
             json_pack("{s:o, s:s}", "got", banks_of(j->log), "message", j->why));
        break;
    default:
        find_mismatches(run, j);
    }
}

/* @return as validate; the log is parsed */
static int ask(struct run *run, struct mb_judged *j, struct ql_err *err)
{
    const struct ql_host *h = run->plugin->host;
    bool all = false;
    int r;

    if (j->stage == MB_STAGE_DIGEST && run->plugin->tolerate_mismatch) {
        char text[512];

        (void)snprintf(text, sizeof text, "agent=%s: boot log: %.300s", run->attest->agent_id, j->why);
        h->log(h, QL_LOG_WARN, text);
        j->stage = MB_STAGE_ACCEPT;
        j->why[0] = '\0';
    }
    if (j->stage != MB_STAGE_ACCEPT) {
        find_refused_log(run, j);
        return QL_OK;
    }
    r = replay(run, j, &all, err);
    if (r < 0 || !all)
        return r;
    if (!run->policy->policy) {
        find_rejected(run, run->policy->why);
        return QL_OK;
    }
    mb_judge_ask(run->policy->policy, j, NULL, NULL);
    if (j->stage == MB_STAGE_POLICY)
        find_rejected(run, j->why);
    return QL_OK;
}

static int judge(struct run *run, const struct ql_state *in, struct ql_state *out, struct ql_err *err)
{
    uint8_t memo[MEMO_LEN];
    struct mb_judged j;
    int r = memo_of(run, memo, err);

    if (r < 0)
        return r;
    if (!run->plugin->forget && in->version == STATE_VERSION && in->len == MEMO_LEN &&
        memcmp(in->data, memo, MEMO_LEN) == 0)
        return publish(run, err);
    r = mb_judge_open(&run->plugin->shop, run->log.data, run->log.len, run->attest->hash_alg, &j, err);
    if (r < 0)
        return r;
    r = ask(run, &j, err);
    mb_judged_done(&j);
    if (r == QL_OK && !run->failed)
        r = publish(run, err);
    return r == QL_OK && !run->failed ? remember(run, memo, out, err) : r;
}

static int mb_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                       const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                       struct ql_err *err)
{
    const struct mb_plugin *p = plugin;
    struct run run = {.plugin = p,
                      .attest = attest,
                      /* Scripts that single calls name are compiled when they do. */
                      .compiled = (struct mb_compiled *)(uintptr_t)compiled,
                      .report = report,
                      .log = {.size = sizeof run.log}};
    int r = QL_OK;

    if (run.compiled->is_off)
        return QL_OK;
    if (run.compiled->is_invalid) {
        find(&run, "pcr_validation.invalid_mb_policy",
             json_pack("{s:s}", "message", "Invalid measured boot policy"));
    } else {
        run.policy = mb_compiled_variant(
            p, run.compiled,
            json_string_value(json_object_get(attest->options, "measured_boot_policy_name")));
        run.relevant = run.policy->policy ? mb_policy_pcrs(run.policy->policy) : MB_COLLECTED_PCRS;
        run.has_log = attest->evidence(attest, "mboot", &run.log) == QL_OK;
        if (run.has_log)
            r = judge(&run, in, out, err);
        else
            find_no_log(&run);
    }
    if (r == QL_OK && run.code < 0)
        r = p->host->fail(err, run.code, "findings could not be reported");
    return r;
}

const struct ql_validator mb_validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "mboot"},
    .prepare = mb_compiled_new,
    .release = mb_compiled_free,
    .needs = mb_compiled_needs,
    .validate = mb_validate,
};
