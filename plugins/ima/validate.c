/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The validator: walks the list, replays it into the quoted PCR 10, judges every entry, and remembers how far the quote
 * reached. Entries behind that place are judged, too, and come again with the next quote.
 */
#include <stdio.h>
#include <string.h>

#include "dm.h"
#include "entry.h"
#include "ima.h"
#include "state.h"

#define PARSER_EVENT   "ima.parser.entry"
#define MISMATCH_EVENT "ima.pcr_mismatch"
#define PROGRESS_EVENT "ima.quote_progress"
#define DISABLED_EVENT "ima.disabled"
#define PARSER_TEXT    "Line was not parsable into a valid IMA entry: "

/** A policy as `prepare` makes it. */
struct compiled {
    struct ima_policy *policy;
    struct ql_need need;
};

/** One attestation. */
struct run {
    struct ima_plugin *plugin;
    const struct ql_attest *attest;
    const struct compiled *compiled;
    struct ql_evidence_data list;
    struct ima_findings findings;
    struct ima_judge judge;
    struct ima_replay replay;
    struct ima_state old; /* next == 0: the list begins at its start */
    int64_t boottime;
    bool matched;
    uint64_t position;          /* lines up to the match, empty ones included */
    uint64_t entries;           /* lines that are not empty */
    uint8_t pcr[IMA_HASH_MAX];  /* at the match */
    uint64_t violations, weak;  /* of entries up to the match */
    bool begins_with_aggregate; /* first entry */
    struct ima_bytes devices;   /* device mapper state at the match */
};

static int ima_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                       size_t *ret_size, struct ql_err *err)
{
    const struct ql_host *host = ((struct ima_plugin *)plugin)->host;
    struct compiled *c = host->alloc(host, sizeof *c);
    int r;

    if (!c)
        return host->fail(err, QL_ENOMEM, "ima: no memory");
    *c = (struct compiled){
        .need = {.size = sizeof(struct ql_need), .evidence = "ima", .bound = QL_BOUND_PCR, .pcr = IMA_PCR}};
    r = ima_policy_compile(host, policy, len, origin, &c->policy, err);
    if (r < 0) {
        host->free(host, c);
        return r;
    }
    *ret = c;
    *ret_size = sizeof *c + ima_policy_size(c->policy);
    return QL_OK;
}

static void ima_release(void *plugin, void *compiled)
{
    const struct ql_host *host = ((struct ima_plugin *)plugin)->host;
    struct compiled *c = compiled;

    if (!c)
        return;
    ima_policy_free(c->policy);
    host->free(host, c);
}

static int ima_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin;
    (void)err;
    ret->pcr_mask = UINT32_C(1) << IMA_PCR;
    ret->items = &((const struct compiled *)compiled)->need;
    ret->item_count = 1;
    return QL_OK;
}

/* ---- where the list begins ---- */

static const char *agent_keys(const struct ql_attest *a)
{
    return json_string_value(json_object_get(a->options, "ima_sign_verification_keys"));
}

static bool is_padded(const struct ql_attest *a)
{
    return json_is_true(json_object_get(a->options, "ima_padded_sha1"));
}

/*
 * A list goes on where the last one ended, or it begins anew. What lies between is a node that rebooted, a bank that was
 * changed, or state that is lost: the whole list is asked for.
 * @return reason to ask again, NULL: go on
 */
static const char *resume(struct run *run, const struct ql_state *in)
{
    struct ima_state old;
    const bool kept = in->len > 0 && ima_state_read(in->version, in->data, in->len, &old);

    if (run->list.cursor_from == 0)
        return NULL;
    if (!kept)
        return "nothing is known of the list before";
    if (old.next != run->list.cursor_from)
        return "the list begins where the last one did not end";
    if (old.bank != run->replay.bank)
        return "the bank of the quote has changed";
    if (old.boottime != run->boottime)
        return "the node was booted since";
    run->old = old;
    memcpy(run->replay.run, old.pcr, run->replay.len);
    return NULL;
}

static int begin(struct run *run, const struct ql_state *in, const char **again, struct ql_err *err)
{
    const struct ql_host *host = run->plugin->host;
    const struct ql_attest *a = run->attest;
    const struct ima_policy *policy = run->compiled->policy;
    const char *log_hash = ima_policy_log_hash(policy);
    size_t len = 0;
    const uint8_t *quoted = a->pcr(a, IMA_PCR, &len);
    enum ima_alg bank;
    int r;

    run->list.size = sizeof run->list;
    if (a->evidence(a, "ima", &run->list) != QL_OK || !quoted)
        return host->fail(err, QL_EINTERNAL, "measurement list or PCR 10 is missing");
    if (!ima_alg_by_name((const uint8_t *)a->hash_alg, strlen(a->hash_alg), &bank) || bank > IMA_SHA512 ||
        len != ima_alg_len(bank))
        return host->fail(err, QL_EUNSUPPORTED,
                          "PCR bank %.32s is not one of sha1, sha256, sha384 and sha512", a->hash_alg);
    if (!ima_alg_by_name((const uint8_t *)log_hash, strlen(log_hash), &run->judge.log_alg))
        run->judge.log_alg = IMA_SHA1;
    ima_replay_begin(&run->replay, run->plugin->hasher, bank, quoted);
    run->replay.padded = is_padded(a) && bank != IMA_SHA1;
    run->boottime = json_integer_value(a->fact(a, "core.boottime"));
    *again = resume(run, in);
    if (*again)
        return QL_OK;
    run->judge.boot_aggregates = a->fact(a, "core.boot_aggregates");
    r = ima_rings_new(host, ima_policy_keys(policy), agent_keys(a), run->old.rings, &run->judge.rings, err);
    if (r == QL_OK && ima_policy_dm(policy))
        r = ima_dm_new(host, ima_policy_dm(policy), run->old.devices, &run->judge.dm, err);
    return r;
}

/* ---- the walk ---- */

static int note_match(struct run *run, uint64_t position, struct ql_err *err)
{
    int r;

    run->matched = true;
    run->position = position;
    run->violations = run->judge.violations;
    run->weak = run->judge.weak;
    memcpy(run->pcr, run->replay.run, run->replay.len);
    r = ima_rings_seal(run->judge.rings, err);
    if (r == QL_OK && run->judge.dm)
        r = ima_dm_keep(run->judge.dm, &run->devices, err);
    return r;
}

static void find_line(struct run *run, struct ima_bytes line)
{
    ima_find(&run->findings, PARSER_EVENT,
             ima_findings_open(&run->findings)
                 ? json_pack("{s:o}", "message", ima_json_text(PARSER_TEXT, line))
                 : NULL);
}

static void log_first_violation(struct run *run, const struct ima_entry *e)
{
    const struct ql_host *host = run->plugin->host;
    json_t *name = ima_json_text("", e->name);
    char text[512];

    if (run->old.violations + run->judge.violations == 0 && name) {
        (void)snprintf(text, sizeof text,
                       "agent=%s: %.300s changed while it was measured (violation); further ones are "
                       "counted",
                       run->attest->agent_id, json_string_value(name)); /* cut: for the eye alone */
        host->log(host, QL_LOG_WARN, text);
    }
    json_decref(name);
}

/** A line that was read and is judged after the next one was read, too: memory is given time to fetch its rules. */
struct pending {
    struct ima_bytes line;
    uint64_t number, soon;
    enum ima_read read;
    struct ima_entry entry;
};

static void read_line(struct run *run, struct ima_bytes line, uint64_t number, struct pending *p)
{
    p->line = line;
    p->number = number;
    p->read = ima_entry_read(run->plugin->readers[run->entries++ % 2], line, &p->entry);
    if (p->read == IMA_READ_OK)
        p->soon = ima_judge_soon(&run->judge, &p->entry);
}

static int judge_line(struct run *run, const struct pending *p, bool is_first, struct ql_err *err)
{
    const struct ima_entry *e = &p->entry;
    uint8_t log_hash[IMA_HASH_MAX];
    bool fits;
    int r;

    if (p->read == IMA_READ_NOMEM)
        return run->plugin->host->fail(err, QL_ENOMEM, "ima: no memory for a line of %zu bytes", p->line.len);
    if (p->read != IMA_READ_OK)
        find_line(run, p->line);
    if (p->read == IMA_READ_BAD)
        return QL_OK;
    if (is_first)
        run->begins_with_aggregate = ima_bytes_are(e->name, "boot_aggregate");
    r = ima_judge_extend(&run->judge, &run->replay, e, p->soon, log_hash, err);
    if (r < 0)
        return r;
    fits = !run->matched && ima_replay_fits(&run->replay);
    if (ima_entry_is_violation(e, run->judge.log_alg))
        log_first_violation(run, e);
    r = ima_judge_entry(&run->judge, e, p->read == IMA_READ_OK, log_hash, err);
    return r == QL_OK && fits ? note_match(run, p->number, err) : r;
}

static int walk(struct run *run, struct ql_err *err)
{
    struct ima_lines lines = ima_lines_of(run->list.data, run->list.len);
    struct pending pending[2];
    struct ima_bytes line;
    int r = ima_replay_fits(&run->replay) ? note_match(run, 0, err) : QL_OK;

    while (r == QL_OK && ima_lines_next(&lines, &line)) {
        if (line.len == 0)
            continue;
        read_line(run, line, lines.number, &pending[run->entries % 2]);
        if (run->entries > 1)
            r = judge_line(run, &pending[run->entries % 2], run->entries == 2, err);
    }
    if (r == QL_OK && run->entries > 0)
        r = judge_line(run, &pending[(run->entries - 1) % 2], run->entries == 1, err);
    return r;
}

/* ---- the end ---- */

/* What the quote did not cover last time it must cover now. */
static bool made_progress(const struct run *run)
{
    const struct ima_state *old = &run->old;

    if (old->next == 0 || run->position == run->entries || old->position >= old->lines)
        return true;
    return run->position >= old->lines - old->position;
}

static void find_mismatch(struct run *run)
{
    json_t *hex = ima_json_hex((struct ima_bytes){run->replay.quoted, run->replay.len});

    if (hex)
        ima_find_text(&run->findings, MISMATCH_EVENT, "IMA measurement list does not match TPM PCR %s",
                      json_string_value(hex));
    else
        ima_find(&run->findings, MISMATCH_EVENT, NULL);
    json_decref(hex);
}

/* A kernel that measures begins with an entry of its own. Without one nothing says that anything is measured at all. */
static bool seems_disabled(const struct run *run)
{
    return run->plugin->require_log && run->old.next == 0 &&
           ima_policy_generator(run->compiled->policy) > 1 &&
           (!run->begins_with_aggregate || run->position == 0);
}

static int conclude(struct run *run, struct ql_err *err)
{
    struct ima_findings *f = &run->findings;
    int r = QL_OK;

    if (run->matched && run->judge.dm)
        r = ima_dm_conclude(run->judge.dm, run->devices, f, err);
    /* The last word is kept for what concerns the list as a whole. */
    if (f->count >= f->max)
        f->max = f->count + 1;
    if (!run->matched)
        find_mismatch(run);
    else if (seems_disabled(run))
        ima_find_text(f, DISABLED_EVENT,
                      "the list does not begin with boot_aggregate in PCR 10: is IMA switched off?");
    else if (!made_progress(run))
        ima_find_text(f, PROGRESS_EVENT, "PCR quote did not make progress to catch up with log");
    return r;
}

static int publish(struct run *run, struct ql_report *report, const struct ima_state *s)
{
    json_t *fact = json_pack("{s:I, s:I, s:I}", "entries", (json_int_t)s->next, "violations",
                             (json_int_t)s->violations, "weak_signatures", (json_int_t)s->weak);
    int r = fact ? report->fact(report, "list", fact) : QL_ENOMEM;

    json_decref(fact);
    (void)run;
    return r;
}

static int keep(struct run *run, struct ql_report *report, struct ql_state *out, struct ql_err *err)
{
    struct ima_state s = {.next = run->old.next + run->position,
                          .bank = run->replay.bank,
                          .boottime = run->boottime,
                          .position = run->position,
                          .lines = run->entries,
                          .violations = run->old.violations + run->violations,
                          .weak = run->old.weak + run->weak,
                          .devices = run->devices};
    uint8_t *data = NULL;
    size_t len = 0;
    int r = QL_OK;

    memcpy(s.pcr, run->pcr, run->replay.len);
    if (s.next > 0)
        r = ima_rings_write(run->judge.rings, &s.rings, err);
    if (r == QL_OK && s.next > 0)
        r = ima_state_write(run->plugin->host, &s, &data, &len, err);
    if (r < 0)
        return r;
    out->version = IMA_STATE_VERSION;
    out->data = data;
    out->len = len;
    out->changed = 1;
    r = report->cursor(report, "ima", s.next);
    if (r == QL_OK)
        r = publish(run, report, &s);
    return r < 0 ? run->plugin->host->fail(err, r, "ima: the result could not be handed over") : QL_OK;
}

static int judge(struct run *run, const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                 struct ql_err *err)
{
    const char *again = NULL;
    int r = begin(run, in, &again, err);

    if (r == QL_OK && again) {
        out->changed = 1; /* nothing of it holds any more */
        return report->retry(report, again) < 0 ? run->plugin->host->fail(err, QL_ENOMEM, "ima: no memory")
                                                : QL_OK;
    }
    if (r == QL_OK)
        r = walk(run, err);
    if (r == QL_OK)
        r = conclude(run, err);
    ima_findings_close(&run->findings);
    if (r == QL_OK && run->findings.failed)
        r = run->plugin->host->fail(err, QL_ENOMEM, "ima: failures could not be reported");
    if (r < 0)
        return r;
    if (run->findings.count > 0) {
        out->changed = 1; /* the next list begins at its start */
        return QL_OK;
    }
    return keep(run, report, out, err);
}

static int ima_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                        const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                        struct ql_err *err)
{
    struct ima_plugin *p = plugin;
    const struct compiled *c = compiled;
    struct run run = {
        .plugin = p, .attest = attest, .compiled = c, .findings = {.report = report, .max = p->max_failures}};
    int r;

    run.judge = (struct ima_judge){.host = p->host,
                                   .hasher = p->hasher,
                                   .policy = c->policy,
                                   .findings = &run.findings,
                                   .violations_fail = p->violations_fail};
    r = judge(&run, in, report, out, err);
    ima_rings_free(run.judge.rings);
    ima_dm_free(run.judge.dm);
    return r;
}

const struct ql_validator ima_validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "ima"},
    .prepare = ima_prepare,
    .release = ima_release,
    .needs = ima_needs,
    .validate = ima_validate,
};
