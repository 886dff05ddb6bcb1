/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /agents/{agent_id}: read, look up the policies that are named, have key, certificate and policies checked in a
 * worker, store everything in one transaction, poll. A stored runtime policy, which may have megabytes, is named by its
 * digest all the way: the store is asked for its content once, however many agents are added with it.
 */
#include <string.h>

#include "added_policies.h"
#include "addition.h"
#include "contents.h"
#include "encode.h"
#include "error.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "policies.h"
#include "signing_keys.h"
#include "verifier.h"

/** One addition on its way; attached to the request. */
struct adding {
    struct ql_verifier *verifier;
    struct ql_http_req *req;
    const char *agent_id;
    struct ql_addition a;
    struct ql_check_result checked;
    struct ql_signing_keys keys;
    struct ql_loaded loaded;           /* what is polled when it is stored */
    uint8_t held[QL_POLICIES_MAX][32]; /* digests in ql_contents that are counted for this addition */
    size_t held_count;
    bool is_checked; /* by the worker: stored policies must stay as they were then */
    struct ql_refusal refusal;
    uint8_t *sealed_v; /* until the row has it; with keep_v = false for memory alone */
    size_t sealed_v_len;
};

static void adding_free(void *object)
{
    struct adding *g = object;

    for (size_t i = 0; i < g->held_count; i++)
        ql_contents_unref(g->verifier->contents, g->held[i]);
    ql_addition_done(&g->a);
    ql_check_result_done(&g->checked);
    ql_signing_keys_done(&g->keys);
    ql_loaded_done(&g->loaded);
    free(g->sealed_v);
    free(g);
}

static void submit(struct adding *g, ql_txn_fn fn, ql_txn_done done)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_submit(g->verifier->store, fn, done, g, &err);

    if (r < 0)
        ql_api_store_failed(g->req, r, &err);
}

static bool refused(struct adding *g, int result, const struct ql_err *err)
{
    if (result < 0)
        ql_api_store_failed(g->req, result, err);
    else if (g->refusal.http)
        ql_req_reply(g->req, g->refusal.http, g->refusal.text, NULL);
    return result < 0 || g->refusal.http;
}

/* ---- store ---- */

static int check_agent(struct ql_txn *t, struct adding *g, struct ql_err *err)
{
    struct ql_agent_row row = {0};
    int r = ql_agents_get(t, g->agent_id, &row, err);

    ql_agent_row_done(&row);
    if (r == QL_OK)
        ql_refuse(&g->refusal, 409, "Agent of uuid %s already exists. Please use delete or update.",
                  g->agent_id);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int look_up(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct adding *g = arg;
    int r;

    g->refusal.http = 0; /* a transaction may run more than once */
    r = ql_added_look_up(t, &g->a, g->agent_id, g->is_checked, &g->refusal, err);
    return r == QL_OK && g->refusal.http == 0 ? check_agent(t, g, err) : r;
}

static bool is_held(const struct adding *g, const uint8_t digest[32])
{
    for (size_t i = 0; i < g->held_count; i++)
        if (memcmp(g->held[i], digest, 32) == 0)
            return true;
    return false;
}

/* What the agent is polled with: as stored, without contents that memory has. */
static int load(struct ql_txn *t, struct adding *g, struct ql_err *err)
{
    int r = ql_agents_get(t, g->agent_id, &g->loaded.row, err);

    if (r == QL_OK)
        r = ql_loaded_refs(&g->loaded, err);
    for (size_t i = 0; r == QL_OK && i < g->loaded.policy_count; i++)
        if (!is_held(g, g->loaded.policies[i].digest))
            r = ql_loaded_content(t, &g->loaded, i, err);
    return r;
}

/* Everything or nothing: a refusal leaves no policy behind. */
static int store_all(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct adding *g = arg;
    int r = look_up(t, g, err);

    for (size_t i = 0; r == QL_OK && g->refusal.http == 0 && i < g->a.policy_count; i++) {
        const struct ql_added_policy *p = &g->a.policies[i];
        struct ql_policy_row row = {
            .kind = (char *)(uintptr_t)p->kind,
            .name = (char *)(uintptr_t)ql_added_name(p, g->agent_id),
            .content = p->is_null ? NULL : (char *)p->bytes,
            .content_len = p->len,
            .generator = p->generator,
        };

        if (*p->kind && p->is_inline)
            r = ql_policies_put(t, QL_PUT_UPSERT, &row, err);
    }
    if (r < 0 || g->refusal.http)
        return r;
    ql_loaded_done(&g->loaded);
    r = ql_leases_assign(g->verifier, t, &g->a.row, err);
    if (r == QL_OK)
        r = ql_agents_insert(t, &g->a.row, err);
    if (r == QL_OK)
        r = ql_lifecycle_insert(t, g->verifier, &g->a.row, "registration", "agent.added", err);
    return r == QL_OK ? load(t, g, err) : r;
}

static void stored(int result, const struct ql_err *err, void *arg)
{
    struct adding *g = arg;
    struct ql_agent *a = NULL;
    struct ql_err why = QL_ERR_INIT;

    if (refused(g, result, err))
        return;
    /* Memory keeps V also where the store must not (keep_v = false); both have it sealed. */
    if (g->a.v && !g->loaded.row.v) {
        g->loaded.row.v = ql_steal(g->sealed_v);
        g->loaded.row.v_len = g->sealed_v_len;
    }
    if (!ql_leases_own(g->verifier, &g->loaded.row))
        ; /* another verifier reads of it in a moment */
    else if (ql_agent_add(g->verifier, &g->loaded, &a, &why) == QL_OK)
        ql_schedule_after(a, 0);
    else
        ql_row_fail(g->verifier, &g->loaded.row, why.text);
    ql_log(QL_INFO, "api", "agent=%s by=%s address=%s:%lld: added", g->agent_id, ql_req_client_name(g->req),
           g->a.row.ip, (long long)g->a.row.port);
    ql_outbox_runner_wake(g->verifier->outbox);
    ql_req_reply(g->req, 200, "Success", NULL);
}

static int seal(struct adding *g, struct ql_err *err)
{
    struct ql_agent_row *row = &g->a.row;
    int r = QL_OK;

    if (g->a.v)
        r = ql_seal_wrap(g->verifier->seal, g->a.v, g->a.v_len, &g->sealed_v, &g->sealed_v_len, err);
    if (r == QL_OK && g->a.v && ql_config_bool(g->verifier->config, "verifier", "keep_v")) {
        row->v = ql_steal(g->sealed_v);
        row->v_len = g->sealed_v_len;
    }
    if (r == QL_OK && g->a.revocation_key && *g->a.revocation_key)
        r = ql_seal_wrap(g->verifier->seal, g->a.revocation_key, strlen(g->a.revocation_key),
                         &row->revocation_key, &row->revocation_key_len, err);
    return r;
}

static int complete_row(struct adding *g, struct ql_err *err)
{
    struct ql_agent_row *row = &g->a.row;
    uint32_t start;

    /* One that is added again must not have generations that another verifier still has under way. */
    if (g->verifier->leases) {
        ql_random(&start, sizeof start);
        row->generation = (int64_t)start + 1;
    }
    row->ak_tpm = ql_steal(g->checked.ak);
    row->ak_tpm_len = g->checked.ak_len;
    row->mask = g->a.mask | g->checked.mask;
    row->needs = ql_steal(g->checked.needs);
    row->policies = ql_added_column(&g->a, g->agent_id);
    row->hash_alg = strdup("");
    row->enc_alg = strdup("");
    row->sign_alg = strdup("");
    for (size_t i = 0; i < g->a.policy_count; i++) {
        const struct ql_added_policy *p = &g->a.policies[i];
        char **at = strcmp(p->kind, "runtime") == 0 ? &row->runtime_policy_name
                    : strcmp(p->kind, "mb") == 0    ? &row->mb_policy_name
                                                    : NULL;

        if (at && !(*at = strdup(ql_added_name(p, g->agent_id))))
            return ql_fail_nomem(err);
    }
    if (!row->policies || !row->hash_alg || !row->enc_alg || !row->sign_alg)
        return ql_fail_nomem(err);
    return seal(g, err);
}

/* ---- check ---- */

static void reply_unfit(struct adding *g)
{
    const char *field = g->checked.field, *reason = g->checked.reason;

    ql_log(QL_WARN, "api", "agent=%s peer=%s: addition refused: %s: %s", g->agent_id, ql_req_peer(g->req),
           field, reason);
    if (strcmp(field, "ima") == 0)
        ql_req_replyf(g->req, 400, "Runtime policy is malformatted: %s", reason);
    else if (strcmp(field, "runtime_policy_key") == 0 || strcmp(field, "runtime_policy") == 0)
        ql_req_reply(g->req, strcmp(field, "runtime_policy_key") == 0 ? 401 : 400, reason, NULL);
    else if (strcmp(field, "mboot") == 0)
        ql_req_replyf(g->req, 400, "Measured boot policy is malformatted: %s", reason);
    else
        ql_req_replyf(g->req, 400, "Exception error: '%s': %s", field, reason);
}

static void checked(const struct ql_pool_result *result, void *arg)
{
    struct adding *g = arg;
    struct ql_err err = QL_ERR_INIT;

    if (result->status != QL_POOL_DONE) {
        ql_api_pool_failed(g->req, result);
        return;
    }
    if (ql_check_result_read(result->result, &g->checked, &err) < 0) {
        ql_log(QL_ERROR, "api", "agent=%s: worker's answer refused: %s", g->agent_id, err.text);
        ql_req_reply(g->req, 500, "Internal server error", NULL);
        return;
    }
    if (!g->checked.ok) {
        reply_unfit(g);
        return;
    }
    ql_signing_keys_remember(g->verifier, &g->keys);
    for (size_t i = 0; i < g->a.policy_count; i++)
        if (g->a.policies[i].is_inline && ql_added_is_judged(&g->a.policies[i]) &&
            strcmp(g->a.policies[i].validator, "ima") == 0)
            g->a.policies[i].generator = g->checked.generator == 1 ? 0 : g->checked.generator;
    if (complete_row(g, &err) < 0) {
        ql_log(QL_ERROR, "api", "agent=%s: not added: %s", g->agent_id, err.text);
        ql_req_reply(g->req, 500, "Internal server error", NULL);
        return;
    }
    g->is_checked = true;
    submit(g, store_all, stored);
}

static void submit_check(struct adding *g)
{
    struct ql_check_job job = {.ak_tpm = g->a.ak_tpm, .mtls_cert = g->a.row.mtls_cert};
    ql_auto(ql_frame_freep) struct ql_frame *frame = NULL;
    struct ql_err why = QL_ERR_INIT;
    size_t len = 0;

    for (size_t i = 0; i < g->a.policy_count; i++) {
        const struct ql_added_policy *p = &g->a.policies[i];

        if (!ql_added_is_judged(p))
            continue;
        memcpy(job.policies[job.policy_count].validator, p->validator, sizeof p->validator);
        job.policies[job.policy_count].bytes = p->bytes;
        job.policies[job.policy_count].len = p->len;
        job.policies[job.policy_count].digest = p->bytes ? NULL : p->digest;
        job.policies[job.policy_count].must_be_signed = p->must_be_signed;
        job.policy_count++;
        len += p->len;
    }
    job.signing_keys = g->keys.texts;
    job.signing_key_count = g->keys.count;
    frame = ql_check_job_frame(&job, &why);
    if (!frame ||
        ql_pool_submit(g->verifier->pool, frame, NULL, len >= QL_JOB_SMALL_MAX, checked, g, &why) < 0) {
        ql_log(QL_WARN, "api", "agent=%s: addition not checked: %s", g->agent_id, why.text);
        ql_api_busy(g->req);
        return;
    }
    frame = NULL; /* the pool has it now */
}

/* ---- contents of stored policies ---- */

static bool is_elsewhere(const struct adding *g, const struct ql_added_policy *p)
{
    return ql_added_is_judged(p) && !p->bytes && !is_held(g, p->digest);
}

/* Count the addition as a user of the content, so that it is there until the agent is. */
static int hold(struct adding *g, const uint8_t digest[32], const void *bytes, size_t len, struct ql_err *err)
{
    int r = ql_contents_ref(g->verifier->contents, digest, bytes, len, err);

    if (r == QL_OK)
        memcpy(g->held[g->held_count++], digest, 32);
    return r;
}

static int read_contents(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct adding *g = arg;
    int r = QL_OK;

    ql_loaded_done(&g->loaded);
    g->refusal.http = 0;
    for (size_t i = 0; r == QL_OK && g->refusal.http == 0 && i < g->a.policy_count; i++) {
        const struct ql_added_policy *p = &g->a.policies[i];
        size_t n = g->loaded.policy_count;
        char hex[65];

        if (!is_elsewhere(g, p))
            continue;
        ql_hex_encode(p->digest, sizeof p->digest, hex);
        r = ql_policies_content(t, hex, &g->loaded.policies[n].content, &g->loaded.policies[n].len, err);
        memcpy(g->loaded.policies[n].digest, p->digest, sizeof p->digest);
        g->loaded.policy_count += r == QL_OK;
        if (r == QL_ENOTFOUND) {
            ql_added_refuse_changed(p, &g->refusal);
            r = QL_OK;
        }
    }
    return r;
}

static void contents_read(int result, const struct ql_err *err, void *arg)
{
    struct adding *g = arg;
    struct ql_err why = QL_ERR_INIT;
    int r = QL_OK;

    if (refused(g, result, err))
        return;
    for (size_t i = 0; r == QL_OK && i < g->loaded.policy_count; i++)
        r = hold(g, g->loaded.policies[i].digest, g->loaded.policies[i].content, g->loaded.policies[i].len,
                 &why);
    ql_loaded_done(&g->loaded);
    if (r == QL_OK) {
        submit_check(g);
        return;
    }
    ql_log(QL_ERROR, "api", "agent=%s: not added: %s", g->agent_id, why.text);
    ql_api_busy(g->req);
}

static void looked_up(int result, const struct ql_err *err, void *arg)
{
    struct adding *g = arg;
    bool all_here = true;

    if (refused(g, result, err))
        return;
    for (size_t i = 0; i < g->a.policy_count; i++) {
        const struct ql_added_policy *p = &g->a.policies[i];

        if (is_elsewhere(g, p) && hold(g, p->digest, NULL, 0, NULL) < 0)
            all_here = false;
    }
    if (all_here)
        submit_check(g);
    else
        submit(g, read_contents, contents_read);
}

static void on_body(struct ql_http_req *req, json_t *body, void *arg)
{
    struct adding *g = arg;
    const struct ql_config *config = g->verifier->config;
    const struct ql_addition_rules rules = {
        .agent_id = g->agent_id,
        .verifier_id = g->verifier->uuid,
        .verifier_ip = ql_config_string(config, "verifier", "ip"),
        .verifier_port = ql_http_server_port(g->verifier->https),
        .mtls_needed = ql_config_bool(config, "verifier", "enable_agent_mtls"),
        .signed_policies = ql_config_bool(config, "verifier", "require_allow_list_signatures"),
    };
    struct ql_err err = QL_ERR_INIT;
    int http;
    int r = ql_signing_keys_collect(g->verifier, body, &g->keys, &http, &err);

    if (r == QL_OK)
        r = ql_addition_read(body, &rules, &g->a, &http, &err);

    json_decref(body);
    if (r < 0)
        ql_req_reply(req, http, err.text, NULL);
    else
        submit(g, look_up, looked_up);
}

void ql_api_agent_add(struct ql_http_req *req, void *arg)
{
    const char *id = ql_api_agent_id(req);
    struct adding *g = id ? calloc(1, sizeof *g) : NULL;

    if (!g) {
        if (id)
            ql_api_busy(req);
        return;
    }
    g->verifier = arg;
    g->req = req;
    g->agent_id = id;
    ql_req_attach(req, g, adding_free);
    ql_api_body(g->verifier, req, on_body, g);
}
