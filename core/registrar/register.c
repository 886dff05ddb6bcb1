/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /agents[/{agent_id}]: a worker reads what the agent sent, main makes the challenge, and the record waits beside
 * the active one until the challenge is answered.
 */
#include <string.h>

#include "clock.h"
#include "credential.h"
#include "encode.h"
#include "error.h"
#include "jobs.h"
#include "log.h"
#include "parse.h"
#include "registrar.h"
#include "secret.h"

#define INVALID_DATA   "Could not register agent with invalid data"
#define OTHER_IDENTITY "Agent re-registration with different TPM identity is forbidden for security reasons"

/** One registration on its way; attached to the request. */
struct registering {
    struct ql_registrar *registrar;
    struct ql_http_req *req;
    json_t *body;
    struct ql_registration row;
    char blob[QL_BASE64_LEN(QL_CREDENTIAL_MAX_LEN) + 1];
    bool identity_differs;
    bool aik_by_iak;
};

static void registering_free(void *object)
{
    struct registering *g = object;

    ql_registration_done(&g->row);
    json_decref(g->body);
    free(g);
}

static void refuse(struct registering *g, const char *reasons)
{
    ql_log(QL_WARN, "register",
           "agent=%s peer=%s: Data received was not valid because of the following reasons: %s",
           g->row.agent_id ? g->row.agent_id : "?", ql_req_peer(g->req), reasons);
    ql_req_reply(g->req, 400, INVALID_DATA, NULL);
}

static bool same_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

/* A field that was null may be filled in later; one that was set must stay as it was (spec/server.md 9.1). */
static bool keeps(const uint8_t *old, size_t old_len, const uint8_t *new, size_t new_len)
{
    return !old || (new &&same_bytes(old, old_len, new, new_len));
}

static bool same_identity(const struct ql_registration *old, const struct ql_registration *new)
{
    return keeps(old->ek_tpm, old->ek_tpm_len, new->ek_tpm, new->ek_tpm_len) &&
           keeps(old->ekcert, old->ekcert_len, new->ekcert, new->ekcert_len) &&
           keeps(old->aik_tpm, old->aik_tpm_len, new->aik_tpm, new->aik_tpm_len);
}

/* Compare with one of the two stored records and count on from it. */
static int meet_stored(struct ql_txn *t, struct registering *g, bool active, int64_t oldest_ns,
                       struct ql_err *err)
{
    struct ql_registration old = {0};
    int r = ql_registrations_get(t, g->row.agent_id, active, &old, err);

    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    if (active || old.created_ns >= oldest_ns) {
        if (!same_identity(&old, &g->row))
            g->identity_differs = true;
        if (old.regcount >= g->row.regcount)
            g->row.regcount = old.regcount + 1;
    }
    ql_registration_done(&old);
    return QL_OK;
}

static int store_pending(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct registering *g = arg;
    int64_t oldest_ns = g->row.created_ns - QL_PENDING_S * QL_NS_PER_S;
    int r;

    g->identity_differs = false; /* a transaction may run more than once */
    g->row.regcount = 1;
    r = meet_stored(t, g, true, oldest_ns, err);
    if (r == QL_OK)
        r = meet_stored(t, g, false, oldest_ns, err);
    if (r < 0)
        return r;
    if (g->identity_differs)
        return QL_OK;
    return ql_registrations_put(t, &g->row, err);
}

static void stored(int result, const struct ql_err *err, void *arg)
{
    struct registering *g = arg;
    json_t *results;

    if (result < 0) {
        ql_registrar_store_failed(g->req, result, err);
        return;
    }
    if (g->identity_differs) {
        ql_log(QL_WARN, "register",
               "SECURITY: Rejected attempt to re-register agent '%s' with different TPM identity. peer=%s",
               g->row.agent_id, ql_req_peer(g->req));
        ql_req_reply(g->req, 403, OTHER_IDENTITY, NULL);
        return;
    }
    ql_log(QL_INFO, "register", "agent=%s regcount=%lld: EK received for agent '%s'%s%s", g->row.agent_id,
           (long long)g->row.regcount, g->row.agent_id, g->row.iak_tpm ? ", IDevID and IAK received" : "",
           g->aik_by_iak ? ", AIK verified with IAK" : "");
    results = json_pack("{s:s}", "blob", g->blob);
    if (!results)
        ql_req_reply_empty(g->req, 500);
    else
        ql_req_reply(g->req, 200, NULL, results);
}

/* The challenge is made here: it never enters a worker (decision 12). */
static int make_challenge(struct registering *g, const struct ql_register_result *checked, struct ql_err *err)
{
    char challenge[QL_CHALLENGE_LEN + 1], key[QL_CHALLENGE_KEY_LEN + 1];
    ql_auto_free uint8_t *blob = NULL;
    size_t blob_len = 0;
    int r;

    ql_challenge_new(challenge, key);
    r = ql_make_credential(&checked->ek_public, checked->name, checked->name_len, challenge, QL_CHALLENGE_LEN,
                           &blob, &blob_len, err);
    if (r == QL_OK && blob_len > QL_CREDENTIAL_MAX_LEN)
        r = ql_fail(err, QL_EINTERNAL, "credential of %zu bytes", blob_len);
    if (r == QL_OK) {
        ql_base64_encode(blob, blob_len, g->blob);
        g->row.key = strdup(key);
        if (!g->row.key)
            r = ql_fail_nomem(err);
    }
    ql_wipe(challenge, sizeof challenge);
    ql_wipe(key, sizeof key);
    return r;
}

static void take_bytes(uint8_t **to, size_t *to_len, uint8_t **from, size_t from_len)
{
    *to = ql_steal(*from);
    *to_len = *to ? from_len : 0;
}

static void accept_checked(struct registering *g, struct ql_register_result *c)
{
    struct ql_err err = QL_ERR_INIT;
    int r;

    take_bytes(&g->row.ek_tpm, &g->row.ek_tpm_len, &c->ek, c->ek_len);
    take_bytes(&g->row.aik_tpm, &g->row.aik_tpm_len, &c->aik, c->aik_len);
    take_bytes(&g->row.iak_tpm, &g->row.iak_tpm_len, &c->iak, c->iak_len);
    take_bytes(&g->row.idevid_tpm, &g->row.idevid_tpm_len, &c->idevid, c->idevid_len);
    take_bytes(&g->row.ekcert, &g->row.ekcert_len, &c->ekcert, c->ekcert_len);
    take_bytes(&g->row.iak_cert, &g->row.iak_cert_len, &c->iak_cert, c->iak_cert_len);
    take_bytes(&g->row.idevid_cert, &g->row.idevid_cert_len, &c->idevid_cert, c->idevid_cert_len);
    g->aik_by_iak = c->aik_by_iak;
    if (c->warnings)
        ql_log(QL_WARN, "register", "agent=%s: %s", g->row.agent_id, c->warnings);
    r = make_challenge(g, c, &err);
    if (r < 0) {
        refuse(g, err.text);
        return;
    }
    g->row.created_ns = ql_now_ns();
    r = ql_store_submit(g->registrar->store, store_pending, stored, g, &err);
    if (r < 0)
        ql_registrar_store_failed(g->req, r, &err);
}

static void checked(const struct ql_pool_result *result, void *arg)
{
    struct registering *g = arg;
    struct ql_register_result c = {0};
    struct ql_err err = QL_ERR_INIT;

    switch (result->status) {
    case QL_POOL_DONE:
        if (ql_register_result_read(result->result, &c, &err) < 0) {
            ql_log(QL_ERROR, "register", "agent=%s: worker's answer refused: %s", g->row.agent_id, err.text);
            ql_req_reply_empty(g->req, 500);
        } else if (!c.ok) {
            refuse(g, c.reasons ? c.reasons : "unknown");
        } else {
            accept_checked(g, &c);
        }
        ql_register_result_done(&c);
        return;
    case QL_POOL_KILLER:
        refuse(g, "the data overran the worker's limits");
        return;
    case QL_POOL_CANCELLED:
    case QL_POOL_INTERNAL:
        break;
    }
    ql_log(QL_ERROR, "register", "agent=%s: not judged: %s", g->row.agent_id,
           result->text ? result->text : "closing");
    (void)ql_req_add_header(g->req, "Retry-After", "5"); /* constant text: cannot be refused */
    ql_req_reply_empty(g->req, 503);
}

/** Text member: absent and null are alike; another type is an error. */
static int text_member(const json_t *body, const char *key, const char **ret, struct ql_err *err)
{
    size_t len;
    int r = ql_json_get_text(body, key, ret, &len, err);

    if (r == QL_ENOTFOUND) {
        *ret = NULL;
        return QL_OK;
    }
    return r;
}

/** Port: number or numeric text (spec/agent.md 2.2). */
static int port_member(const json_t *body, int64_t *ret, struct ql_err *err)
{
    const json_t *port = json_object_get(body, "port");

    if (!port || json_is_null(port)) {
        *ret = 0;
        return QL_OK;
    }
    if (json_is_string(port))
        return ql_parse_i64(json_string_value(port), json_string_length(port), 1, 65535, ret, err);
    return ql_json_get_int(body, "port", 1, 65535, ret, err);
}

static int read_fields(struct registering *g, struct ql_register_job *job, struct ql_err *err)
{
    struct {
        const char *key;
        const char **at;
    } texts[] = {
        {"ek_tpm", &job->ek_tpm},           {"aik_tpm", &job->aik_tpm},       {"ekcert", &job->ekcert},
        {"iak_tpm", &job->iak_tpm},         {"idevid_tpm", &job->idevid_tpm}, {"iak_cert", &job->iak_cert},
        {"idevid_cert", &job->idevid_cert}, {"iak_attest", &job->iak_attest}, {"iak_sign", &job->iak_sign},
        {"mtls_cert", &job->mtls_cert},
    };
    const char *ip = NULL;
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(texts); i++)
        r = text_member(g->body, texts[i].key, texts[i].at, err);
    if (r == QL_OK)
        r = text_member(g->body, "ip", &ip, err);
    if (r == QL_OK)
        r = port_member(g->body, &g->row.port, err);
    if (r < 0)
        return r;
    if (ip && strlen(ip) > 255)
        return ql_fail(err, QL_ELIMIT, "ip of %zu characters, at most 255", strlen(ip));
    if (ip && !(g->row.ip = strdup(ip)))
        return ql_fail_nomem(err);
    if (job->mtls_cert && !(g->row.mtls_cert = strdup(job->mtls_cert)))
        return ql_fail_nomem(err);
    return QL_OK;
}

/* The id stands in the path, or in the body of a collection route. */
static int read_id(struct registering *g, struct ql_err *err)
{
    const char *id = ql_req_param(g->req, "agent_id");
    size_t len = id ? strlen(id) : 0;
    int r;

    if (!id) {
        r = ql_json_get_text(g->body, "agent_id", &id, &len, err);
        if (r < 0)
            return r == QL_ENOTFOUND ? ql_fail(err, r, "agent_id is missing") : r;
    }
    if (!ql_agent_id_ok(id, len))
        return ql_fail(err, QL_ERANGE, "agent_id is not 1 to %d characters out of 0-9A-Za-z._-",
                       QL_AGENT_ID_MAX);
    g->row.agent_id = strdup(id);
    return g->row.agent_id ? QL_OK : ql_fail_nomem(err);
}

/*
 * Fields come from a JSON body. Old agents send JSON without saying so, so a body of another type is taken when it is an
 * object and counts as empty when it is not.
 */
static int read_body(struct ql_http_req *req, json_t **ret, struct ql_err *err)
{
    size_t len;
    const uint8_t *body = ql_req_body(req, &len);
    int r = ql_json_parse_object((const char *)body, len, QL_REGISTER_BODY_MAX, ret, err);

    if (r < 0 && !ql_req_is_json(req)) {
        *ret = json_object();
        return *ret ? QL_OK : ql_fail_nomem(err);
    }
    return r;
}

void ql_registrar_register(struct ql_http_req *req, void *arg)
{
    struct ql_registrar *registrar = arg;
    struct registering *g = calloc(1, sizeof *g);
    struct ql_register_job job = {
        .malformed_cert_action = ql_config_string(registrar->config, "registrar", "malformed_cert_action"),
        .ek_needed = registrar->ek_needed,
        .iak_needed = registrar->iak_needed,
        .iak_ca = (const char *const *)registrar->iak_ca,
    };
    ql_auto(ql_frame_freep) struct ql_frame *frame = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!g) {
        ql_req_reply_empty(req, 503);
        return;
    }
    *g = (struct registering){.registrar = registrar, .req = req};
    ql_req_attach(req, g, registering_free);
    if (read_body(req, &g->body, &err) < 0) {
        ql_req_reply_empty(req, 400);
        return;
    }
    r = read_id(g, &err);
    if (r == QL_OK)
        r = read_fields(g, &job, &err);
    if (r < 0) {
        refuse(g, err.text);
        return;
    }
    job.agent_id = g->row.agent_id;
    frame = ql_register_job_frame(&job, &err);
    if (!frame || ql_pool_submit(registrar->pool, frame, NULL, false, checked, g, &err) < 0) {
        ql_log(QL_WARN, "register", "agent=%s: not queued: %s", g->row.agent_id, err.text);
        (void)ql_req_add_header(req, "Retry-After", "5"); /* constant text: cannot be refused */
        ql_req_reply_empty(req, 503);
        return;
    }
    frame = NULL; /* the pool has it now */
}
