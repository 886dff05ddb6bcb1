/* SPDX-License-Identifier: Apache-2.0 */
/* Routes below /quotes (spec/agent.md 3.3): checked on the loop, quoted and collected on the TPM thread. */
#include <string.h>

#include "agent.h"
#include "error.h"
#include "log.h"
#include "parse.h"

#define NO_QUOTE "Unable to retrieve quote" /* the text of every failure below the HTTP layer */

/** One quote under way. Owned by the TPM thread's queue; the request may be gone before it ends. */
struct job {
    struct ql_agent *agent;
    struct ql_http_req *req; /* loop thread; NULL: answered by the server's deadline, or the peer left */
    unsigned version;
    bool is_integrity, with_key, has_asked;
    char nonce[QL_NONCE_MAX_LEN + 1];
    uint32_t mask;
    uint64_t ima_entry;
    struct ql_evidence_asked asked;
    json_t *results; /* NULL: failed */
    struct ql_err err;
};

/** What the request holds of a job: outlives neither. */
struct ticket {
    struct job *job; /* NULL: the job has ended */
};

static void job_free(struct job *j)
{
    json_decref(j->results);
    free(j);
}

static void ticket_free(void *object)
{
    struct ticket *t = object;

    if (t->job)
        t->job->req = NULL;
    free(t);
}

static int add_text(json_t *results, const char *key, const char *text)
{
    return json_object_set_new(results, key, json_string(text));
}

/** Members in the order of Keylime's answer. */
static const char *const LEGACY_ORDER[] = {"ima_measurement_list", "mb_measurement_list",
                                           "ima_measurement_list_entry"};

static json_t *answer(const struct job *j, const char *quote, const struct ql_evidence_answer *evidence)
{
    const struct ql_agent *a = j->agent;
    ql_auto_json json_t *results = json_object();

    if (!results || add_text(results, "quote", quote) < 0 ||
        add_text(results, "hash_alg", a->algs.hash) < 0 ||
        add_text(results, "enc_alg", ql_agent_enc_alg(a, j->version)) < 0 ||
        add_text(results, "sign_alg", a->algs.sign) < 0 ||
        (j->with_key && add_text(results, "pubkey", a->nk_pem) < 0))
        return NULL;
    for (size_t i = 0; i < QL_ARRAY_LEN(LEGACY_ORDER); i++) {
        json_t *value = json_object_get(evidence->legacy, LEGACY_ORDER[i]);

        if (value && json_object_set(results, LEGACY_ORDER[i], value) < 0)
            return NULL;
    }
    if (evidence->by_name && json_object_set(results, "evidence", evidence->by_name) < 0)
        return NULL;
    return ql_steal(results);
}

static int quote_job(struct ql_tpm *tpm, struct job *j)
{
    const struct ql_agent *a = j->agent;
    const struct ql_evidence_want want = {.asked = j->has_asked ? &j->asked : NULL,
                                          .legacy = j->is_integrity,
                                          .mask = j->mask,
                                          .ima_entry = j->ima_entry,
                                          .max_len = a->evidence_max};
    ql_auto(ql_evidence_answer_done) struct ql_evidence_answer evidence = {0};
    ql_auto_free char *quote = NULL;
    uint8_t digest[32];
    const void *qualifying = j->nonce;
    size_t qualifying_len = strlen(j->nonce);
    int r = ql_evidence_collect(a->evidence, &want, QL_EVIDENCE_BEFORE, &evidence, &j->err);

    if (r < 0)
        return r;
    if (j->has_asked) {
        if (ql_evidence_qualifying(&evidence, j->nonce, digest) < 0)
            return ql_fail(&j->err, QL_ECRYPTO, "SHA-256 failed");
        qualifying = digest;
        qualifying_len = sizeof digest;
    }
    r = ql_tpm_quote(tpm, a->bank, j->mask, qualifying, qualifying_len, a->nk_digest, &quote, &j->err);
    if (r == 0)
        r = ql_evidence_collect(a->evidence, &want, QL_EVIDENCE_AFTER, &evidence, &j->err);
    if (r < 0)
        return r;
    j->results = answer(j, quote, &evidence);
    return j->results ? QL_OK : ql_fail_nomem(&j->err);
}

static void job_work(struct ql_tpm *tpm, void *arg)
{
    (void)quote_job(tpm, arg); /* results or err stand in the job */
}

static void job_done(void *arg, bool ran)
{
    struct job *j = arg;
    struct ql_http_req *req = j->req;

    if (ran && !j->results)
        ql_log(QL_ERROR, "quotes", "mask=0x%x: no quote: %s", j->mask, j->err.text);
    if (req) {
        struct ticket *t = ql_req_attached(req);

        t->job = NULL;
        if (j->results)
            ql_req_reply(req, 200, NULL, ql_steal(j->results));
        else
            ql_req_replyf(req, 500, NO_QUOTE);
    }
    job_free(j);
}

static void submit(struct ql_http_req *req, struct job *j)
{
    struct ticket *t = calloc(1, sizeof *t);
    struct ql_err err = QL_ERR_INIT;

    if (!t || ql_tpm_thread_submit(j->agent->tpm, job_work, job_done, j, &err) < 0) {
        ql_log(QL_WARN, "quotes", "peer=%s: refused: %s", ql_req_peer(req), t ? err.text : "out of memory");
        free(t);
        job_free(j);
        (void)ql_req_add_header(req, "Retry-After", "1"); /* fixed text */
        ql_req_replyf(req, 503, NO_QUOTE);
        return;
    }
    t->job = j;
    j->req = req;
    ql_req_attach(req, t, ticket_free);
}

static struct job *job_new(struct ql_http_req *req, struct ql_agent *a, const char *nonce)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j) {
        ql_req_replyf(req, 500, NO_QUOTE);
        return NULL;
    }
    j->agent = a;
    j->version = ql_req_version(req);
    j->err.size = sizeof j->err;
    snprintf(j->nonce, sizeof j->nonce, "%s", nonce); /* its length was checked */
    return j;
}

/** The nonce's characters; @return false: answered */
static bool nonce_chars_ok(struct ql_http_req *req, const char *nonce, const char *what)
{
    char echo[128];

    /* An empty nonce would bind the quote to nothing. */
    if (*nonce != '\0' && ql_alnum_ok(nonce))
        return true;
    ql_req_replyf(req, 400, "%s should be strictly alphanumeric: %s", what, ql_agent_echo(nonce, echo));
    return false;
}

static bool nonce_length_ok(struct ql_http_req *req, const char *nonce)
{
    char echo[128];

    if (strlen(nonce) <= QL_NONCE_MAX_LEN)
        return true;
    ql_req_replyf(req, 400, "Nonce is too long (max size: %d): %s", QL_NONCE_MAX_LEN,
                  ql_agent_echo(nonce, echo));
    return false;
}

/** mask as a number; @return false: answered */
static bool mask_ok(struct ql_http_req *req, const char *mask, uint32_t *ret)
{
    char echo[128];

    if (!ql_alnum_ok(mask)) {
        ql_req_replyf(req, 400, "mask should be strictly alphanumeric: %s", ql_agent_echo(mask, echo));
        return false;
    }
    if (ql_parse_hex_u32(mask, strlen(mask), ret, NULL) < 0) {
        ql_req_replyf(req, 400, "mask should be a hex encoded 32-bit integer: %s", ql_agent_echo(mask, echo));
        return false;
    }
    return true;
}

/** The optional parameters; @return false: answered */
static bool read_extras(struct ql_http_req *req, struct job *j)
{
    const char *entry = ql_req_query(req, "ima_ml_entry"), *evidence = ql_req_query(req, "evidence");
    struct ql_err err = QL_ERR_INIT;

    if (ql_req_query_count(req, "ima_ml_entry") > 1 || ql_req_query_count(req, "evidence") > 1) {
        ql_req_replyf(req, 400, "Query deserialize error: duplicate field");
        return false;
    }
    /* What is no number means "from the start", as Keylime's agents take it. */
    if (entry && ql_parse_u64(entry, strlen(entry), 0, UINT64_MAX, &j->ima_entry, NULL) < 0)
        j->ima_entry = 0;
    if (evidence) {
        j->has_asked = true;
        if (ql_evidence_asked_parse(evidence, &j->asked, &err) < 0) {
            ql_req_replyf(req, 400, "%s", err.text);
            return false;
        }
    }
    return true;
}

void ql_agent_get_identity(struct ql_http_req *req, void *arg)
{
    const char *nonce = ql_agent_query(req, "nonce");
    struct job *j;

    if (!nonce || !nonce_chars_ok(req, nonce, "Parameters") || !nonce_length_ok(req, nonce))
        return;
    j = job_new(req, arg, nonce);
    if (!j)
        return;
    j->with_key = true;
    submit(req, j);
}

void ql_agent_get_integrity(struct ql_http_req *req, void *arg)
{
    const char *nonce = ql_agent_query(req, "nonce");
    const char *mask_text = nonce ? ql_agent_query(req, "mask") : NULL;
    const char *partial = mask_text ? ql_agent_query(req, "partial") : NULL;
    uint32_t mask = 0;
    struct job *j;

    if (!partial || !nonce_chars_ok(req, nonce, "nonce") || !mask_ok(req, mask_text, &mask) ||
        !nonce_length_ok(req, nonce))
        return;
    if (strcmp(partial, "0") != 0 && strcmp(partial, "1") != 0) {
        ql_req_replyf(req, 400, "uri must contain key 'partial' and value '0' or '1'");
        return;
    }
    if (mask >> QL_PCR_COUNT != 0) {
        ql_log(QL_WARN, "quotes", "peer=%s: mask 0x%x names a PCR above %d", ql_req_peer(req), mask,
               QL_PCR_COUNT - 1);
        ql_req_replyf(req, 500, NO_QUOTE);
        return;
    }
    j = job_new(req, arg, nonce);
    if (!j)
        return;
    j->is_integrity = true;
    j->mask = mask;
    j->with_key = strcmp(partial, "0") == 0;
    if (!read_extras(req, j)) {
        job_free(j);
        return;
    }
    submit(req, j);
}
