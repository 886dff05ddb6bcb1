/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "key.h"
#include "run.h"

enum {
    ALG_MAX = 32,         /* characters of an algorithm's name; Keylime's longest has 10 */
    PUBKEY_MAX = 8 * 1024 /* characters of a payload key */
};

#define HASH_EVENT "qoute_validation.invalid_hash_alg"
#define ENC_EVENT  "qoute_validation.invalid_enc_alg"
#define SIGN_EVENT "qoute_validation.invalid_sign_alg"

/*
 * Steps return QL_OK to go on, FAILED when a failure was recorded and nothing more can be judged, else an
 * internal fault.
 */
enum {
    FAILED = 1
};

static int failed(int r)
{
    return r == QL_OK ? FAILED : r;
}

/* A name that the agent claims: kept only when it could be one. */
static int take_alg(const struct ql_text *t, char **ret, struct ql_err *err)
{
    if (!t->raw || t->escaped || t->raw_len == 0 || t->raw_len > ALG_MAX)
        return QL_OK;
    for (size_t i = 0; i < t->raw_len; i++)
        if (t->raw[i] < '!' || t->raw[i] > '~')
            return QL_OK;
    *ret = strndup(t->raw, t->raw_len);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int read_answer(struct ql_run *run, struct ql_err *err)
{
    struct ql_outcome *o = run->out;
    struct ql_err why = QL_ERR_INIT;
    int r = ql_answer_read(run->in->answer, run->in->answer_len, run->in->whole_body, &run->answer, &why);

    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    if (r < 0)
        return failed(ql_outcome_failf(o, "qoute_validation.invalid_data", false, "answer cannot be read: %s",
                                       why.text));
    if (!run->answer.quote.raw)
        return failed(ql_outcome_failf(o, "qoute_validation.invalid_data", false, "answer has no quote"));
    r = take_alg(&run->answer.hash_alg, &o->hash_alg, err);
    if (r == QL_OK)
        r = take_alg(&run->answer.enc_alg, &o->enc_alg, err);
    if (r == QL_OK)
        r = take_alg(&run->answer.sign_alg, &o->sign_alg, err);
    return r;
}

static int check_pubkey(struct ql_run *run, struct ql_err *err)
{
    const struct ql_text *t = &run->answer.pubkey;
    size_t len;

    if (t->raw && t->raw_len > PUBKEY_MAX)
        return failed(ql_outcome_failf(run->out, "qoute_validation.invalid_data", false,
                                       "public key of %zu characters, at most %d", t->raw_len, PUBKEY_MAX));
    if (t->raw && t->raw_len > 0) {
        run->out->pubkey = ql_text_dup(t, &len);
        return run->out->pubkey ? QL_OK : ql_fail_nomem(err);
    }
    if (run->in->pubkey_expected && !run->in->stored_pubkey)
        return failed(ql_outcome_failf(run->out, "qoute_validation.no_pubkey", false,
                                       "answer has no public key and none is known"));
    return QL_OK;
}

static int refuse_alg(struct ql_run *run, const char *event_id, const char *name, const char *fmt)
{
    char text[128];

    (void)snprintf(text, sizeof text, "%s: %s", fmt, name); /* names have at most ALG_MAX characters */
    return failed(ql_outcome_fail(run->out, event_id, NULL, false,
                                  json_pack("{s:s, s:s}", "message", text, "data", name)));
}

/* Names first: a quote of an algorithm that is not accepted is not worth a signature check. */
static int check_algs(struct ql_run *run)
{
    const struct ql_outcome *o = run->out;
    const struct ql_accept *accept = run->in->accept;
    bool all_claimed = run->in->pubkey_expected; /* one-shot calls have the hash alone */
    enum ql_hash hash;

    if (!o->hash_alg || ql_hash_by_name(o->hash_alg, strlen(o->hash_alg), &hash) < 0)
        return refuse_alg(run, HASH_EVENT, o->hash_alg ? o->hash_alg : "",
                          "TPM Quote is using an unrecognized hash algorithm");
    if (!ql_accepts_hash(accept, o->hash_alg, strlen(o->hash_alg)))
        return refuse_alg(run, HASH_EVENT, o->hash_alg, "hash algorithm is not accepted");
    if (o->enc_alg ? !ql_accepts_enc(accept, o->enc_alg, strlen(o->enc_alg)) : all_claimed)
        return refuse_alg(run, ENC_EVENT, o->enc_alg ? o->enc_alg : "",
                          "encryption algorithm is not accepted");
    if (o->sign_alg ? !ql_accepts_sign(accept, o->sign_alg, strlen(o->sign_alg)) : all_claimed)
        return refuse_alg(run, SIGN_EVENT, o->sign_alg ? o->sign_alg : "",
                          "signing algorithm is not accepted");
    return QL_OK;
}

/* A list begins where it was asked for, or at its first entry. */
static int check_entry(struct ql_run *run)
{
    const struct ql_answer *a = &run->answer;

    if (!a->has_entry || a->entry == 0 || (a->entry > 0 && (uint64_t)a->entry == run->in->expected_ima_entry))
        return QL_OK;
    return ql_outcome_fail(
        run->out, "qoute_validation.invalid_ima_entry_nb", NULL, false,
        json_pack("{s:s, s:I, s:I}", "message", "measurement list begins neither at 0 nor where asked", "got",
                  (json_int_t)a->entry, "expected", (json_int_t)run->in->expected_ima_entry));
}

static uint32_t wanted_mask(const struct ql_run *run, bool key_bound)
{
    uint32_t mask = run->in->mask;

    for (size_t i = 0; i < run->in->policy_count; i++)
        mask |= run->in->policies[i]->needs.pcr_mask;
    return key_bound ? mask | UINT32_C(1) << QL_DATA_PCR : mask;
}

/* The data PCR holds something else. What it holds is proven, what it should hold is computed: show both. */
static int fail_data_pcr(struct ql_run *run, const struct ql_quote_in *checked, const char *why)
{
    struct ql_quote_in again = *checked;
    struct ql_quote *q = &run->proven->quote;
    uint8_t expected[2 * QL_DIGEST_MAX] = {0};
    char got_hex[2 * QL_DIGEST_MAX + 1], expected_hex[2 * QL_DIGEST_MAX + 1];
    enum ql_quote_stage stage;
    size_t len;

    again.pubkey = NULL;
    if (ql_quote_check(&again, q, &stage, NULL, NULL) != QL_OK)
        return ql_outcome_fail_quote(run->out, QL_STAGE_DATA_PCR, 0, why);
    len = ql_hash_len(q->bank);
    if (ql_digest_once(q->bank, checked->pubkey, checked->pubkey_len, expected + len) < 0 ||
        ql_digest_once(q->bank, expected, 2 * len, expected) < 0)
        return QL_ENOMEM;
    ql_hex_encode(q->pcr[QL_DATA_PCR], len, got_hex);
    ql_hex_encode(expected, len, expected_hex);
    return ql_outcome_fail(run->out, "pcr_validation.invalid_pcr_16", NULL, true,
                           json_pack("{s:s, s:s}", "got", got_hex, "expected", expected_hex));
}

static int check_quote(struct ql_run *run, struct ql_err *err)
{
    const struct ql_verdict_in *in = run->in;
    const char *pubkey = run->out->pubkey ? run->out->pubkey : in->stored_pubkey;
    ql_auto_free char *unescaped = NULL;
    struct ql_quote_in q = {
        .ak_key = in->ak_key,
        .ak = in->ak,
        .digester = in->digester,
        .quote = run->answer.quote.raw,
        .quote_len = run->answer.quote.raw_len,
        .hash_alg = run->out->hash_alg,
        .enc_alg = run->out->enc_alg,
        .sign_alg = run->out->sign_alg,
        .accept = in->accept,
        .nonce = (const uint8_t *)in->nonce,
        .nonce_len = in->nonce_len,
        .mask = wanted_mask(run, pubkey != NULL),
        .exact_mask = in->exact_mask,
        .pubkey = pubkey,
        .pubkey_len = pubkey ? strlen(pubkey) : 0,
        .previous = in->previous,
    };
    enum ql_quote_stage stage = QL_STAGE_NONE;
    struct ql_err why = QL_ERR_INIT;
    uint8_t digest[32];
    uint32_t missing = 0;
    int r;

    if (in->nonce_len == 0 || in->nonce_len > QL_NONCE_MAX_LEN)
        return failed(ql_outcome_fail_quote(run->out, QL_STAGE_NONCE, 0, "nonce is not of 1 to 64 bytes"));
    if (in->asked_evidence) {
        r = ql_run_bind(run, digest, err);
        if (r < 0)
            return r == QL_EPARSE ? FAILED : r;
        q.nonce = digest;
        q.nonce_len = sizeof digest;
    }
    if (run->answer.quote.escaped) {
        unescaped = run->answer.quote.raw_len <= 2 * QL_QUOTE_MAX_LEN
                        ? ql_text_dup(&run->answer.quote, &q.quote_len)
                        : NULL;
        if (!unescaped)
            return failed(ql_outcome_fail_quote(run->out, QL_STAGE_FORMAT, 0, "quote is too long"));
        q.quote = unescaped;
    }
    r = ql_quote_check(&q, &run->proven->quote, &stage, &missing, &why);
    if (r == QL_OK)
        return QL_OK;
    if (r == QL_ENOMEM || r == QL_EINTERNAL)
        return ql_fail(err, r, "%s", why.text);
    if (stage == QL_STAGE_DATA_PCR)
        return failed(fail_data_pcr(run, &q, why.text));
    return failed(ql_outcome_fail_quote(run->out, stage, missing, why.text));
}

/* Read after the quote has proven whose it is. */
static int read_pubkey(struct ql_run *run, struct ql_err *err)
{
    struct ql_outcome *o = run->out;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (!o->pubkey || !run->in->pubkey_expected)
        return QL_OK;
    r = ql_key_from_pem(o->pubkey, strlen(o->pubkey), &key, &why);
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    if (r < 0)
        return ql_outcome_failf(o, "qoute_validation.invalid_data", false, "public key cannot be read: %s",
                                why.text);
    if (ql_key_is_rsa(key) && ql_key_rsa_parts(key, o->nk_n, sizeof o->nk_n, &o->nk_n_len, &o->nk_e) < 0)
        return ql_outcome_failf(o, "qoute_validation.invalid_data", false,
                                "public key has an unusable modulus");
    return QL_OK;
}

/* A policy that wants the PCR and evidence to hold against it; a list of allowed values alone does not explain PCR 10. */
static bool is_explained(const struct ql_run *run, uint32_t pcr_bit)
{
    for (size_t i = 0; i < run->in->policy_count; i++)
        if ((run->in->policies[i]->needs.pcr_mask & pcr_bit) && run->in->policies[i]->needs.item_count > 0)
            return true;
    return false;
}

/*
 * PCR 10 says nothing without the list behind it (spec/server.md 5.2), and where it was asked for, the list nothing without
 * a policy: the empty one allows no file.
 */
static int check_ima_list(struct ql_run *run)
{
    const uint32_t bit = UINT32_C(1) << QL_IMA_PCR;

    if (!(run->proven->quote.mask & bit))
        return QL_OK;
    if (!run->answer.ima_list.raw && !ql_run_ready(run, "ima"))
        return ql_outcome_failf(run->out, "pcr_validation.unused_pcr_10", true,
                                "PCR 10 is quoted, but the answer has no IMA measurement list");
    if ((run->in->mask & bit) && !is_explained(run, bit))
        return ql_outcome_failf(run->out, "pcr_validation.unused_pcr_10", true,
                                "PCR 10 is asked for, but no runtime policy says what the list may hold");
    return QL_OK;
}

static int judge(struct ql_run *run, struct ql_err *err)
{
    int r = read_answer(run, err);

    if (r == QL_OK)
        r = check_pubkey(run, err);
    if (r == QL_OK)
        r = check_algs(run);
    if (r == QL_OK)
        r = check_entry(run);
    if (r == QL_OK)
        r = check_quote(run, err);
    if (r != QL_OK)
        return r;
    run->out->quote_ok = true;
    run->out->quote = run->proven->quote;
    r = read_pubkey(run, err);
    if (r == QL_OK)
        r = check_ima_list(run);
    if (r == QL_OK && run->in->policy_count > 0)
        r = ql_run_validators(run, err);
    return r;
}

/* Pass is what is left when nothing failed; facts and new state come with it alone. */
static void conclude(struct ql_run *run)
{
    struct ql_outcome *o = run->out;

    if (o->failure_count == 0 && o->failures_dropped == 0)
        o->kind = run->retry ? QL_VERDICT_RETRY : QL_VERDICT_PASS;
    if (o->kind == QL_VERDICT_PASS)
        return;
    for (size_t i = 0; i < o->state_count; i++)
        free((void *)(uintptr_t)o->states[i].data);
    free(o->states);
    o->states = NULL;
    o->state_count = 0;
    json_decref(o->facts);
    o->facts = NULL;
    json_decref(o->cursors);
    o->cursors = NULL;
    if (o->kind == QL_VERDICT_FAIL) {
        free(o->retry_reason);
        o->retry_reason = NULL;
    }
}

static int check_input(const struct ql_verdict_in *in, struct ql_err *err)
{
    if (in->policy_count > QL_POLICIES_MAX)
        return ql_fail(err, QL_EINTERNAL, "%zu policies, at most %d", in->policy_count, QL_POLICIES_MAX);
    if (in->vault && ql_vault_len(in->vault) < sizeof(struct ql_proven))
        return ql_fail(err, QL_EINTERNAL, "vault of %zu bytes", ql_vault_len(in->vault));
    return QL_OK;
}

size_t ql_verdict_vault_len(void)
{
    return sizeof(struct ql_proven);
}

int ql_verdict(const struct ql_verdict_in *in, struct ql_outcome *ret, struct ql_err *err)
{
    struct ql_outcome o = {0};
    struct ql_run run = {.in = in, .out = &o};
    int r = check_input(in, err);

    if (r < 0)
        return r;
    run.proven = in->vault ? ql_vault_writable(in->vault) : &run.unvaulted;
    run.shown = in->vault ? ql_vault_readable(in->vault) : &run.unvaulted;
    if (in->policy_count > 0) {
        run.facts = in->facts ? json_copy((json_t *)(uintptr_t)in->facts) : json_object();
        run.no_options = in->options ? NULL : json_object();
        if (!run.facts || (!in->options && !run.no_options))
            r = ql_fail_nomem(err);
        ql_registry_set_deadline((struct ql_registry *)(uintptr_t)in->registry,
                                 in->deadline_ns ? in->deadline_ns : INT64_MAX);
    }
    if (r == QL_OK)
        r = judge(&run, err);
    ql_run_drop_evidence(&run);
    json_decref(run.facts);
    json_decref(run.no_options);
    if (r == QL_ENOMEM && err && err->code == 0)
        (void)ql_fail_nomem(err); /* keeps r */
    if (r < 0) {
        ql_outcome_done(&o);
        return r;
    }
    conclude(&run);
    *ret = o;
    return QL_OK;
}

void ql_outcome_done(struct ql_outcome *o)
{
    for (size_t i = 0; i < o->failure_count; i++) {
        free(o->failures[i].event_id);
        free(o->failures[i].severity);
        json_decref(o->failures[i].context);
    }
    for (size_t i = 0; i < o->state_count; i++)
        free((void *)(uintptr_t)o->states[i].data);
    free(o->failures);
    free(o->states);
    free(o->retry_reason);
    free(o->hash_alg);
    free(o->enc_alg);
    free(o->sign_alg);
    free(o->pubkey);
    json_decref(o->facts);
    json_decref(o->cursors);
    *o = (struct ql_outcome){0};
}
