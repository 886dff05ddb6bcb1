/* SPDX-License-Identifier: Apache-2.0 */
#include "registration.h"

#include <string.h>

#include "agent.h"
#include "backoff.h"
#include "clock.h"
#include "credential.h"
#include "encode.h"
#include "error.h"
#include "json.h"
#include "log.h"
#include "version.h"

enum {
    ANSWER_MAX = 64 * 1024, /* bytes of a registrar's answer: a blob has at most 3 KiB of base64 */
    CALL_MS = 30000
};

/** TPM work under way: outlives a registration that is freed meanwhile. */
struct tpm_job {
    struct ql_registration *owner; /* loop thread; NULL: gone */
    bool use_hash;                 /* TPM2_Certify over SHA-256 of the id */
    char *id;
    uint8_t *blob;
    size_t blob_len;
    uint8_t *attest, *signature;
    size_t attest_len, signature_len;
    char tag[QL_AUTH_TAG_LEN + 1];
    int result;
    struct ql_err err;
};

struct ql_registration {
    struct ql_agent *agent;
    ql_registration_done done;
    void *arg;
    struct ql_http_client *client;
    struct ql_peer *peer;
    struct event *timer;
    void (*step)(struct ql_registration *r); /* what the timer repeats */
    struct ql_backoff backoff;
    unsigned version;
    bool version_known;  /* /version was answered */
    unsigned fallback;   /* index into versions while it was not */
    struct tpm_job *job; /* NULL: none */
    char *attest, *signature;
    char tag[QL_AUTH_TAG_LEN + 1];
    bool ended;
};

static void step_version(struct ql_registration *r);
static void step_certify(struct ql_registration *r);
static void step_register(struct ql_registration *r);
static void step_activate(struct ql_registration *r);

static void end(struct ql_registration *r, int code, const char *text)
{
    if (r->ended)
        return;
    r->ended = true;
    r->done(r->arg, code, text); /* may free r */
}

static void next_step(struct ql_registration *r, void (*step)(struct ql_registration *))
{
    r->backoff.tries = 0;
    r->step = step;
    step(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct ql_registration *r = arg;

    (void)fd;
    (void)what;
    r->step(r);
}

/** Repeat the step later, or give up. */
static void retry(struct ql_registration *r, const char *retry_after, const char *why)
{
    const int64_t delay = ql_backoff_next(&r->backoff, retry_after);
    struct timeval tv;
    char text[512];

    if (delay < 0) {
        snprintf(text, sizeof text, "registrar: %s (given up after %u tries)", why, r->backoff.tries + 1);
        end(r, QL_EIO, text);
        return;
    }
    ql_log(QL_WARN, "registration", "registrar: %s; next try in %lld ms (%u of %u)", why, (long long)delay,
           r->backoff.tries, r->backoff.max_tries);
    tv = ql_timeval(delay * QL_NS_PER_MS);
    if (event_add(r->timer, &tv) < 0)
        end(r, QL_ENOMEM, "registrar: no timer");
}

/** The status text of an envelope, for the log. @p out has room for 200 */
static const char *status_of(const struct ql_http_result *result, char *out)
{
    ql_auto_json json_t *object = NULL;
    const char *text = NULL;
    size_t len = 0;

    if (ql_json_parse_object((const char *)result->body, result->body_len, ANSWER_MAX, &object, NULL) == 0)
        (void)ql_json_get_text(object, "status", &text, &len, NULL); /* many answers have none */
    snprintf(out, 200, "HTTP %d%s%.150s", result->status, text ? ": " : "", text ? text : "");
    return out;
}

/** What all answers have in common. @return true: 2xx; else it was dealt with, unless *ret_other */
static bool accepted(struct ql_registration *r, const struct ql_http_result *result, const char *what,
                     bool *ret_other)
{
    char text[400], status[200];

    if (ret_other)
        *ret_other = false;
    if (result->error == QL_ECLOSED && r->ended)
        return false;
    if (result->error != QL_OK) {
        snprintf(text, sizeof text, "%s: %.300s", what,
                 result->error_text ? result->error_text : "no answer");
        if (result->error == QL_EIO || result->error == QL_ETIMEOUT || result->error == QL_ECLOSED)
            retry(r, NULL, text);
        else
            end(r, result->error, text);
        return false;
    }
    if (result->status >= 200 && result->status <= 299)
        return true;
    snprintf(text, sizeof text, "%s: %s", what, status_of(result, status));
    if (result->status == 403)
        end(r, QL_EACCES, text);
    else if (ql_backoff_status(result->status))
        retry(r, ql_result_header(result, "Retry-After"), text);
    else if (ret_other)
        *ret_other = true;
    else
        end(r, QL_ERANGE, text);
    return false;
}

static int results_of(const struct ql_http_result *result, json_t **ret, struct ql_err *err)
{
    ql_auto_json json_t *object = NULL;
    json_t *results;
    int e = ql_json_parse_object((const char *)result->body, result->body_len, ANSWER_MAX, &object, err);

    if (e < 0)
        return e;
    results = json_object_get(object, "results");
    if (!json_is_object(results))
        return ql_fail(err, QL_EPARSE, "no results object");
    *ret = json_incref(results);
    return QL_OK;
}

static void call(struct ql_registration *r, unsigned method, const char *path, json_t *body,
                 ql_call_done done)
{
    ql_auto_free char *text = body ? ql_json_text(body) : NULL;
    const struct ql_call c = {.method = method,
                              .path = path,
                              .body = text,
                              .body_len = text ? strlen(text) : 0,
                              .content_type = text ? "application/json" : NULL,
                              .deadline_ms = CALL_MS,
                              .response_max = ANSWER_MAX};
    struct ql_err err = QL_ERR_INIT;

    json_decref(body);
    if (method != QL_GET && !text)
        end(r, QL_ENOMEM, "registrar: out of memory");
    else if (ql_peer_call(r->peer, &c, done, r, &err) < 0)
        end(r, err.code, err.text);
}

static void job_free(struct tpm_job *j)
{
    free(j->id);
    free(j->blob);
    free(j->attest);
    free(j->signature);
    free(j);
}

static struct tpm_job *job_new(struct ql_registration *r)
{
    struct tpm_job *j = calloc(1, sizeof *j);

    if (j)
        j->id = strdup(r->agent->id);
    if (!j || !j->id) {
        free(j);
        end(r, QL_ENOMEM, "registration: out of memory");
        return NULL;
    }
    j->owner = r;
    j->err.size = sizeof j->err;
    return j;
}

static void submit(struct ql_registration *r, struct tpm_job *j, ql_tpm_work work, ql_tpm_done done)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_tpm_thread_submit(r->agent->tpm, work, done, j, &err) < 0) {
        job_free(j);
        end(r, err.code, err.text);
        return;
    }
    r->job = j;
}

/* ---- 1: which API version ---- */

static void on_version(struct ql_http_result *result, void *arg)
{
    struct ql_registration *r = arg;
    ql_auto_json json_t *results = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *current = NULL;
    size_t len = 0;
    bool other = false;
    unsigned version = 0;

    if (!accepted(r, result, "GET /version", &other)) {
        /* A registrar without /version: try the enabled versions, newest first; the first that it takes is kept. */
        if (other) {
            while (r->agent->versions[r->fallback + 1] != 0)
                r->fallback++;
            r->version = r->agent->versions[r->fallback];
            next_step(r, step_certify);
        }
        return;
    }
    if (results_of(result, &results, &err) < 0) {
        end(r, err.code, err.text);
        return;
    }
    if (ql_json_get_text(results, "current_version", &current, &len, NULL) == 0 &&
        ql_api_parse(current, len, &version, NULL) == 0)
        for (const unsigned *v = r->agent->versions; *v != 0; v++)
            if (*v == version)
                r->version = version;
    if (r->version == 0 && ql_api_negotiate(r->agent->versions, results, 2, &r->version, &err) < 0) {
        end(r, err.code, err.text);
        return;
    }
    r->version_known = true;
    next_step(r, step_certify);
}

static void step_version(struct ql_registration *r)
{
    call(r, QL_GET, "/version", NULL, on_version);
}

/* ---- 2: the IAK vouches for the AK ---- */

static void certify_work(struct ql_tpm *tpm, void *arg)
{
    struct tpm_job *j = arg;
    uint8_t digest[QL_DIGEST_MAX];
    const void *data = j->id;
    size_t len = strlen(j->id);

    if (j->use_hash) {
        if (ql_digest_once(QL_SHA256, j->id, len, digest) < 0) {
            j->result = ql_fail(&j->err, QL_ECRYPTO, "SHA-256 failed");
            return;
        }
        data = digest;
        len = ql_hash_len(QL_SHA256);
    }
    j->result =
        ql_tpm_certify(tpm, data, len, &j->attest, &j->attest_len, &j->signature, &j->signature_len, &j->err);
}

static void certify_done(void *arg, bool ran)
{
    struct tpm_job *j = arg;
    struct ql_registration *r = j->owner;

    if (!r || !ran) {
        if (r)
            r->job = NULL;
        job_free(j);
        return;
    }
    r->job = NULL;
    if (j->result == QL_OK) {
        free(r->attest);
        free(r->signature);
        r->attest = ql_base64_dup(j->attest, j->attest_len);
        r->signature = ql_base64_dup(j->signature, j->signature_len);
        if (r->attest && r->signature)
            next_step(r, step_register);
        else
            end(r, QL_ENOMEM, "registration: out of memory");
    } else {
        end(r, j->result, j->err.text);
    }
    job_free(j);
}

static void step_certify(struct ql_registration *r)
{
    struct tpm_job *j;

    if (!r->agent->iak) {
        next_step(r, step_register);
        return;
    }
    j = job_new(r);
    if (!j)
        return;
    j->use_hash = r->version >= QL_API(2, 6);
    submit(r, j, certify_work, certify_done);
}

/* ---- 3: register; the answer is a credential for this EK and AK ---- */

static void activate_work(struct ql_tpm *tpm, void *arg)
{
    struct tpm_job *j = arg;
    ql_auto(ql_secret_freep) struct ql_secret *challenge = NULL, *key = NULL;
    const uint8_t *id_object = NULL, *secret = NULL;
    size_t id_object_len = 0, secret_len = 0;

    j->result =
        ql_credential_split(j->blob, j->blob_len, &id_object, &id_object_len, &secret, &secret_len, &j->err);
    if (j->result == 0)
        j->result = ql_tpm_activate(tpm, id_object, id_object_len, secret, secret_len, &challenge, &j->err);
    if (j->result == 0 && ql_secret_len(challenge) != QL_CHALLENGE_LEN)
        j->result = ql_fail(&j->err, QL_ERANGE, "the registrar's challenge has %zu bytes, %d are expected",
                            ql_secret_len(challenge), QL_CHALLENGE_LEN);
    if (j->result == 0)
        j->result = ql_secret_new_empty(QL_CHALLENGE_KEY_LEN + 1, &key, &j->err);
    if (j->result < 0)
        return;
    ql_base64_encode(ql_secret_data(challenge), QL_CHALLENGE_LEN, (char *)ql_secret_writable(key));
    if (ql_auth_tag((const char *)ql_secret_data(key), j->id, j->tag) < 0)
        j->result = ql_fail(&j->err, QL_ECRYPTO, "HMAC-SHA384 failed");
    else
        ql_tpm_ek_done(tpm); /* its last use */
}

static void activate_done(void *arg, bool ran)
{
    struct tpm_job *j = arg;
    struct ql_registration *r = j->owner;

    if (r)
        r->job = NULL;
    if (r && ran) {
        if (j->result == QL_OK) {
            memcpy(r->tag, j->tag, sizeof r->tag);
            next_step(r, step_activate);
        } else {
            end(r, j->result, j->err.text);
        }
    }
    job_free(j);
}

static void on_register(struct ql_http_result *result, void *arg)
{
    struct ql_registration *r = arg;
    ql_auto_json json_t *results = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *blob = NULL;
    struct tpm_job *j;
    size_t len = 0;
    bool other = false;

    if (!accepted(r, result, "registering", &other)) {
        char text[200];

        if (other && !r->version_known && r->fallback > 0) {
            r->version = r->agent->versions[--r->fallback];
            next_step(r, step_certify);
        } else if (other) {
            end(r, QL_ERANGE, status_of(result, text));
        }
        return;
    }
    if (results_of(result, &results, &err) < 0 || ql_json_get_text(results, "blob", &blob, &len, &err) < 0) {
        (void)ql_fail_context(&err, err.code, "registrar's answer");
        end(r, err.code, err.text);
        return;
    }
    j = job_new(r);
    if (!j)
        return;
    if (ql_base64_decode_dup(blob, len, QL_CREDENTIAL_MAX_LEN, &j->blob, &j->blob_len, &err) < 0) {
        job_free(j);
        (void)ql_fail_context(&err, err.code, "registrar's blob");
        end(r, err.code, err.text);
        return;
    }
    submit(r, j, activate_work, activate_done);
}

/** base64 of bytes, or null. */
static json_t *base64(const uint8_t *data, size_t len)
{
    ql_auto_free char *text = data ? ql_base64_dup(data, len) : NULL;

    return data ? json_string(text) : json_null();
}

static int add(json_t *body, const char *key, json_t *value)
{
    return json_object_set_new(body, key, value);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *ql_registration_body(const struct ql_agent *a, uint16_t port, const char *attest,
                             const char *signature)
{
    ql_auto_json json_t *body = json_object();
    const bool with_iak = a->iak && attest && signature;

    if (!body || add(body, "aik_tpm", base64(a->ak, a->ak_len)) < 0 ||
        add(body, "ek_tpm", base64(a->ek, a->ek_len)) < 0 ||
        (a->ekcert && add(body, "ekcert", json_string(a->ekcert)) < 0) ||
        (with_iak && add(body, "iak_attest", json_string(attest)) < 0) ||
        add(body, "iak_cert", text_or_null(a->iak_cert)) < 0 ||
        (with_iak && (add(body, "iak_sign", json_string(signature)) < 0 ||
                      add(body, "iak_tpm", base64(a->iak, a->iak_len)) < 0)) ||
        add(body, "idevid_cert", text_or_null(a->idevid_cert)) < 0 ||
        (with_iak && add(body, "idevid_tpm", base64(a->idevid, a->idevid_len)) < 0) ||
        add(body, "ip", json_string(a->host)) < 0 || add(body, "mtls_cert", json_string(a->mtls_cert)) < 0 ||
        add(body, "port", json_integer(port)) < 0)
        return NULL;
    return ql_steal(body);
}

static char *agent_path(const struct ql_registration *r)
{
    char version[16];
    char *path = NULL;

    if (asprintf(&path, "/v%s/agents/%s", ql_api_text(r->version, version), r->agent->id) < 0)
        return NULL;
    return path;
}

static void step_register(struct ql_registration *r)
{
    ql_auto_free char *path = agent_path(r);
    const int64_t port = ql_config_int(r->agent->config, "agent", "contact_port");
    json_t *body = ql_registration_body(r->agent, (uint16_t)port, r->attest, r->signature);

    if (!path || !body) {
        json_decref(body);
        end(r, QL_ENOMEM, "registration: out of memory");
        return;
    }
    call(r, QL_POST, path, body, on_register);
}

/* ---- 4: the proof ---- */

static void on_activate(struct ql_http_result *result, void *arg)
{
    struct ql_registration *r = arg;
    char version[16], text[128];

    if (!accepted(r, result, "activating", NULL))
        return;
    snprintf(text, sizeof text, "API %s", ql_api_text(r->version, version));
    end(r, QL_OK, text);
}

static void step_activate(struct ql_registration *r)
{
    ql_auto_free char *path = agent_path(r);
    json_t *body = json_pack("{s:s}", "auth_tag", r->tag);

    if (!path || !body) {
        json_decref(body);
        end(r, QL_ENOMEM, "registration: out of memory");
        return;
    }
    call(r, QL_PUT, path, body, on_activate);
}

int ql_registration_new(struct ql_agent *a, ql_registration_done done, void *arg,
                        struct ql_registration **ret, struct ql_err *err)
{
    const struct ql_config *c = a->config;
    const struct ql_http_client_config client = {.base = a->base};
    const struct ql_peer_config peer = {.host = ql_config_string(c, "agent", "registrar_ip"),
                                        .port = (uint16_t)ql_config_int(c, "agent", "registrar_port")};
    const struct timeval now = {0};
    struct ql_registration *r = calloc(1, sizeof *r);
    int e;

    if (!r)
        return ql_fail_nomem(err);
    r->agent = a;
    r->done = done;
    r->arg = arg;
    r->step = step_version;
    r->backoff = (struct ql_backoff){
        .initial_ms = (uint64_t)ql_config_int(c, "agent", "exponential_backoff_initial_delay"),
        .max_ms = (uint64_t)ql_config_int(c, "agent", "exponential_backoff_max_delay"),
        .max_tries = (unsigned)ql_config_int(c, "agent", "exponential_backoff_max_retries")};
    r->timer = evtimer_new(a->base, on_timer, r);
    e = r->timer ? ql_http_client_new(&client, &r->client, err) : ql_fail_nomem(err);
    if (e == 0)
        e = ql_peer_new(r->client, &peer, &r->peer, err);
    if (e == 0 && event_add(r->timer, &now) < 0)
        e = ql_fail_nomem(err);
    if (e < 0) {
        ql_registration_free(r);
        return e;
    }
    *ret = r;
    return QL_OK;
}

void ql_registration_free(struct ql_registration *r)
{
    if (!r)
        return;
    r->ended = true;
    if (r->job)
        r->job->owner = NULL;
    ql_peer_free(r->peer);
    ql_http_client_free(r->client);
    if (r->timer)
        event_free(r->timer);
    free(r->attest);
    free(r->signature);
    free(r);
}
