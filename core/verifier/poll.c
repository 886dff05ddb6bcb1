/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of one agent (spec/server.md 3): ask for a quote, have it judged, hand out V, ask again. Each way out
 * of a step schedules the next one or stores a failure.
 */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "digest.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "verifier.h"
#include "version.h"

enum {
    PATH_MAX_LEN = 8192,
    HALTED_MS = 1000,
    SMALL_ANSWER_MAX = 64 * 1024 /* bytes of an answer that is read here: /version, errors, /agent/info */
};

const unsigned ql_agent_api_versions[] = {
    QL_API(2, 0), QL_API(2, 1), QL_API(2, 2), QL_API(2, 3), QL_API(2, 4), QL_API(2, 5), QL_API(2, 6), 0,
};

int64_t ql_retry_ms(const struct ql_poll_options *o, unsigned retries)
{
    int64_t wait = o->retry_ms;

    /* Below 1 s a power would shrink: then the interval stays what it is. */
    for (unsigned i = 1; o->exponential && o->retry_ms > 1000 && i < retries && wait < QL_RETRY_MAX_MS; i++)
        wait = wait * o->retry_ms / 1000;
    return wait < QL_RETRY_MAX_MS ? wait : QL_RETRY_MAX_MS;
}

void ql_poll_retry(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, const char *why)
{
    const struct ql_poll_options *o = &a->verifier->poll;
    int64_t wait;

    a->ask_full = true;
    if (a->retries >= o->max_retries) {
        ql_agent_failf(a, kind, event_id, "%s", why);
        return;
    }
    a->retries++;
    wait = ql_retry_ms(o, a->retries);
    ql_log(QL_WARN, "poll", "agent=%s retry=%u/%u wait_ms=%" PRId64 ": %s", a->id, a->retries, o->max_retries,
           wait, why);
    ql_schedule_after(a, wait);
}

static void not_reached(struct ql_agent *a, const char *why)
{
    if (a->state == QL_STATE_PROVIDE_V)
        ql_poll_retry(a, QL_FAIL_CONTACT_V, "internal.verifier.not_reachable_v", why);
    else
        ql_poll_retry(a, QL_FAIL_CONTACT, "internal.verifier.not_reachable", why);
}

int ql_agent_connect(struct ql_agent *a, struct ql_err *err)
{
    const struct ql_peer_config config = {
        .host = a->ip,
        .port = a->port,
        .tls = a->is_plain ? NULL : a->verifier->agent_tls,
        .pin = a->pin,
        .pin_len = a->pin_len,
    };

    return a->peer ? QL_OK : ql_peer_new(a->verifier->client, &config, &a->peer, err);
}

void ql_poll_call(struct ql_op *op, const struct ql_call *call, ql_call_done done)
{
    struct ql_agent *a = op->agent;
    struct ql_err err = QL_ERR_INIT;
    int r = ql_agent_connect(a, &err);

    if (r == QL_OK)
        r = ql_peer_call(a->peer, call, done, op, &err);
    if (r == QL_OK)
        return;
    ql_op_free(op);
    not_reached(a, err.text);
}

/* ---- quote ---- */

static uint64_t cursor_of(const struct ql_agent *a, const char *name)
{
    const json_t *cursor = a->cursors ? json_object_get(a->cursors, name) : NULL;

    return json_is_integer(cursor) ? (uint64_t)json_integer_value(cursor) : 0;
}

/* `evidence=NAME:CURSOR[:PARAMETERS][,…]` (decision 18), from "NAME[/PARAMETERS][,…]". */
static size_t add_evidence(const struct ql_agent *a, char *out, size_t room)
{
    size_t at = 0;
    const char *name = a->evidence;

    while (name && *name) {
        size_t len = strcspn(name, ","), name_len = strcspn(name, "/,");
        char one[33];
        int n;

        if (name_len >= sizeof one)
            return room;
        memcpy(one, name, name_len);
        one[name_len] = '\0';
        n = snprintf(out + at, room - at, "%s%s:%" PRIu64 "%s%.*s", at ? "," : "&evidence=", one,
                     cursor_of(a, one), len > name_len ? ":" : "",
                     (int)(len > name_len ? len - name_len - 1 : 0), name + name_len + 1);
        if (n < 0 || (size_t)n >= room - at)
            return room;
        at += (size_t)n;
        name += len + (name[len] == ',');
    }
    return at;
}

size_t ql_quote_path(const struct ql_agent *a, const struct ql_op *op, char *out, size_t room)
{
    char version[8];
    int n = snprintf(out, room, "/v%s/quotes/integrity?nonce=%s&mask=%s&partial=%d&ima_ml_entry=%" PRIu64,
                     ql_api_text(a->api, version), op->nonce, a->mask_text, op->partial ? 1 : 0, op->entry);
    size_t at = n < 0 ? room : (size_t)n;

    if (at < room && op->asked_evidence)
        at += add_evidence(a, out + at, room - at);
    return at < room ? at : 0;
}

/* The text by which agents say that they do not speak a version (spec/server.md 3.6). */
static bool says_version(const struct ql_http_result *r)
{
    ql_auto_json json_t *answer = NULL;
    const char *status = NULL;
    size_t len;

    return r->status == 400 && r->body &&
           ql_json_parse_object((const char *)r->body, r->body_len, SMALL_ANSWER_MAX, &answer, NULL) ==
               QL_OK &&
           ql_json_get_text(answer, "status", &status, &len, NULL) == QL_OK &&
           strstr(status, "API version not supported") != NULL;
}

static void ask_version(struct ql_agent *a);

/* Not 200. true: dealt with. */
static bool call_failed(struct ql_agent *a, const struct ql_http_result *r, const char *unexpected)
{
    char why[256];

    if (r->error != QL_OK) {
        (void)snprintf(why, sizeof why, "%s: %s", ql_err_name(r->error), r->error_text ? r->error_text : "");
        not_reached(a, why);
        return true;
    }
    if (r->status == 200)
        return false;
    (void)snprintf(why, sizeof why, "agent answers with HTTP %d", r->status); /* fits */
    if (r->status == 408 || r->status == 500 || r->status == 599)
        not_reached(a, why);
    else if (says_version(r))
        ask_version(a);
    else
        ql_agent_failf(a, QL_FAIL_INTERNAL, unexpected, "%s", why);
    return true;
}

static void on_quote(struct ql_http_result *r, void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;

    if (a && (r->body_len > QL_ANSWER_MEMFD || r->error == QL_ELIMIT || r->error == QL_ETIMEOUT))
        a->verifier->large_answers++;
    if (!a || r->error != QL_OK || r->status != 200) {
        ql_op_free(op);
        if (a)
            (void)call_failed(a, r, "internal.verifier.no_quote"); /* always dealt with: it is no 200 */
        return;
    }
    ql_judge(op, r);
}

static void ask_quote(struct ql_agent *a)
{
    struct ql_op *op = ql_op_new(a, "quote");
    char path[PATH_MAX_LEN];
    struct ql_call call = {
        .method = QL_GET,
        .path = path,
        .deadline_ms = a->verifier->poll.request_ms,
        .response_max = a->verifier->poll.response_max,
        .memfd_above = QL_ANSWER_MEMFD,
        .min_rate = a->verifier->poll.min_rate,
    };

    if (!op) {
        ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", "out of memory");
        return;
    }
    if (a->state != QL_STATE_GET_QUOTE && a->state != QL_STATE_INVALID_QUOTE) {
        a->state = QL_STATE_GET_QUOTE;
        ql_agent_progress(a, false, false, false);
    }
    ql_random_alnum(op->nonce, QL_NONCE_LEN);
    op->partial = !a->ask_full && a->pubkey_live;
    op->entry = cursor_of(a, "ima");
    op->asked_evidence = a->evidence && a->evidence_offered;
    if (ql_quote_path(a, op, path, sizeof path) == 0) {
        ql_op_free(op);
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.exception",
                       "request does not fit %d characters", PATH_MAX_LEN);
        return;
    }
    ql_poll_call(op, &call, on_quote);
}

/* ---- which evidence the agent offers ---- */

static json_t *results_of(const struct ql_http_result *r, struct ql_err *err)
{
    ql_auto_json json_t *answer = NULL;
    json_t *results;

    if (!r->body ||
        ql_json_parse_object((const char *)r->body, r->body_len, SMALL_ANSWER_MAX, &answer, err) < 0)
        return NULL;
    results = json_object_get(answer, "results");
    if (!json_is_object(results)) {
        (void)ql_fail(err, QL_EPARSE, "answer has no results"); /* NULL says it */
        return NULL;
    }
    return json_incref(results);
}

static void on_info(struct ql_http_result *r, void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;
    ql_auto_json json_t *results = NULL;

    ql_op_free(op);
    if (!a)
        return;
    if (r->error != QL_OK || r->status == 408 || r->status == 500 || r->status == 599) {
        (void)call_failed(a, r, "internal.verifier.no_quote"); /* always dealt with: it is no 200 */
        return;
    }
    /* An agent that says nothing of it does not offer evidence; what its policies need is then missing, and fails. */
    results = r->status == 200 ? results_of(r, NULL) : NULL;
    a->evidence_known = true;
    a->evidence_offered = results && json_object_get(results, "quicklime_evidence");
    ask_quote(a);
}

static void ask_info(struct ql_agent *a)
{
    struct ql_op *op = ql_op_new(a, "info");
    char path[32], version[8];
    const struct ql_call call = {
        .method = QL_GET,
        .path = path,
        .deadline_ms = a->verifier->poll.request_ms,
        .response_max = SMALL_ANSWER_MAX,
    };

    if (!op) {
        ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", "out of memory");
        return;
    }
    (void)snprintf(path, sizeof path, "/v%s/agent/info", ql_api_text(a->api, version)); /* fits */
    ql_poll_call(op, &call, on_info);
}

/* ---- version ---- */

/** A new version on its way into the row. */
struct versioning {
    struct ql_op *op;
    char id[81], version[8];
    int64_t generation, claim_no, stored;
};

static int write_version(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct versioning *w = arg;
    struct ql_agent_row row = {0};
    int r = ql_agents_get(t, w->id, &row, err);

    w->stored = -1;
    if (r < 0)
        return r;
    if (row.generation != w->generation || row.claim_no != w->claim_no) {
        ql_agent_row_done(&row);
        return QL_OK;
    }
    free(row.supported_version);
    row.supported_version = strdup(w->version);
    row.generation++;
    r = row.supported_version ? ql_agents_update(t, &row, w->generation, err) : ql_fail_nomem(err);
    w->stored = row.generation;
    ql_agent_row_done(&row);
    return r;
}

static void version_written(int result, const struct ql_err *err, void *arg)
{
    struct versioning *w = arg;
    struct ql_agent *a = w->op->agent;

    ql_op_free(w->op);
    if (a && result == QL_OK && w->stored >= 0)
        a->generation = w->stored;
    else if (a)
        ql_log(QL_WARN, "poll", "agent=%s: API version not stored: %s", a->id,
               result < 0 ? err->text : "changed");
    free(w);
    if (a)
        ql_schedule_after(a, 0);
}

static void store_version(struct ql_agent *a)
{
    struct versioning *w = calloc(1, sizeof *w);
    struct ql_err err = QL_ERR_INIT;

    if (w)
        w->op = ql_op_new(a, "version");
    if (w && w->op) {
        memcpy(w->id, a->id, sizeof w->id);
        (void)ql_api_text(a->api, w->version); /* fits */
        w->generation = a->generation;
        w->claim_no = a->claim_no;
        ql_agents_progress_drop(a->verifier->store, a->id);
        if (ql_store_submit(a->verifier->store, write_version, version_written, w, &err) == QL_OK)
            return;
    }
    /* In memory it holds all the same. */
    if (w)
        ql_op_free(w->op);
    free(w);
    ql_schedule_after(a, 0);
}

static void on_version(struct ql_http_result *r, void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;
    ql_auto_json json_t *results = NULL;
    struct ql_err err = QL_ERR_INIT;
    char before[8], after[8];
    unsigned api = 0;

    ql_op_free(op);
    if (!a)
        return;
    if (r->error != QL_OK || r->status == 408 || r->status == 500 || r->status == 599) {
        (void)call_failed(a, r, "internal.verifier.version_not_supported"); /* it is no 200 */
        return;
    }
    if (r->status == 200)
        results = results_of(r, &err);
    else
        (void)ql_fail(&err, QL_EPARSE, "agent answers with HTTP %d to /version",
                      r->status); /* results stay NULL */
    if (!results || ql_api_negotiate(ql_agent_api_versions, results, 2, &api, &err) < 0) {
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.version_not_supported", "%s", err.text);
        return;
    }
    if (api == a->api || (api < a->api && a->attestation_count > 0)) {
        ql_log(QL_WARN, "poll", "Agent %s API version %s is lower or equal to previous version %s", a->id,
               ql_api_text(api, after), ql_api_text(a->api, before));
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.version_not_supported",
                       "API version %s is lower or equal to previous version %s", after, before);
        return;
    }
    ql_log(QL_INFO, "poll", "agent=%s: API version %s, was %s", a->id, ql_api_text(api, after),
           ql_api_text(a->api, before));
    a->api = api;
    store_version(a);
}

static void ask_version(struct ql_agent *a)
{
    struct ql_op *op = ql_op_new(a, "version");
    const struct ql_call call = {
        .method = QL_GET,
        .path = "/version",
        .deadline_ms = a->verifier->poll.request_ms,
        .response_max = SMALL_ANSWER_MAX,
    };

    if (op)
        ql_poll_call(op, &call, on_version);
    else
        ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", "out of memory");
}

/* ---- */

void ql_poll(struct ql_agent *a)
{
    if (a->op || a->is_deleting || a->verifier->is_stopping)
        return;
    if (a->verifier->is_halted) {
        ql_schedule_after(a, HALTED_MS);
        return;
    }
    if (!ql_leases_hold(a->verifier)) {
        ql_schedule_after(a, QL_LEASE_WAIT_MS);
        return;
    }
    if (a->state == QL_STATE_PROVIDE_V)
        ql_vkey_provide(a);
    else if (a->evidence && !a->evidence_known)
        ask_info(a);
    else
        ask_quote(a);
}
