/* SPDX-License-Identifier: Apache-2.0 */
/* Routes below /keys (spec/agent.md 3.2, 5.2). */
#include <string.h>

#include "agent.h"
#include "encode.h"
#include "error.h"
#include "log.h"
#include "payload.h"

void ql_agent_get_pubkey(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;

    ql_req_reply(req, 200, NULL, json_pack("{s:s}", "pubkey", a->nk_pem));
}

void ql_agent_get_verify(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;
    const char *challenge = ql_agent_query(req, "challenge");
    char hmac[2 * QL_BOOTSTRAP_TAG_LEN + 1], echo[128];
    int r;

    if (!challenge)
        return;
    if (*challenge == '\0') {
        ql_req_replyf(req, 400, "No challenge provided.");
        return;
    }
    if (!ql_alnum_ok(challenge)) {
        ql_req_replyf(req, 400, "Parameters should be strictly alphanumeric: %s",
                      ql_agent_echo(challenge, echo));
        return;
    }
    r = ql_bootstrap_verify(a->bootstrap, challenge, hmac);
    if (r == QL_ENOTFOUND)
        ql_req_replyf(req, 400, "Bootstrap key not yet available.");
    else if (r < 0)
        ql_req_replyf(req, 500, "Unable to verify");
    else
        ql_req_reply(req, 200, NULL, json_pack("{s:s}", "hmac", hmac));
}

/** The request's JSON object; NULL: answered. */
static json_t *body_of(struct ql_http_req *req)
{
    struct ql_err err = QL_ERR_INIT;
    json_t *object = NULL;
    size_t len = 0;
    const uint8_t *body = ql_req_body(req, &len);

    if (!ql_req_is_json(req)) {
        ql_req_replyf(req, 400, "Json deserialize error: Content-Type is not application/json");
        return NULL;
    }
    if (ql_json_parse_object((const char *)body, len, QL_AGENT_BODY_MAX, &object, &err) < 0) {
        ql_req_replyf(req, 400, "Json deserialize error: %s", err.text);
        return NULL;
    }
    return object;
}

/** encrypted_key, opened; NULL: answered. */
static struct ql_secret *half_of(struct ql_http_req *req, const struct ql_agent *a, const json_t *body)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_secret *key = NULL;
    const char *text = NULL;
    size_t len = 0;

    if (ql_json_get_text(body, "encrypted_key", &text, &len, NULL) < 0) {
        ql_req_replyf(req, 400, "Json deserialize error: missing field `encrypted_key`");
        return NULL;
    }
    if (ql_bootstrap_open_key(a->nk, text, len, &key, &err) < 0) {
        ql_log(QL_WARN, "keys", "peer=%s: %s", ql_req_peer(req), err.text);
        ql_req_replyf(req, 400, "%s", err.text);
        return NULL;
    }
    return key;
}

/** A K was found: say what becomes of the payload. */
static void combined(const struct ql_agent *a)
{
    size_t len = 0;
    const uint8_t *payload = ql_bootstrap_payload(a->bootstrap, &len);

    if (!payload)
        ql_log(QL_INFO, "keys", "bootstrap key derived; no payload came with it");
    else if (!a->payload_allowed)
        ql_log(QL_WARN, "keys", "bootstrap key derived; its payload of %zu bytes is not used without mTLS",
               len);
    else if (len < QL_PAYLOAD_MIN)
        ql_log(QL_WARN, "keys",
               "bootstrap key derived; its payload of %zu bytes is shorter than IV and tag (%d)", len,
               QL_PAYLOAD_MIN);
    else {
        ql_log(QL_INFO, "keys", "bootstrap key derived; a payload of %zu bytes came with it", len);
        ql_payload_take(a->payload, ql_bootstrap_key(a->bootstrap), payload, len);
    }
}

void ql_agent_post_ukey(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;
    ql_auto_json json_t *body = body_of(req);
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    ql_auto_free uint8_t *payload = NULL;
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN];
    struct ql_err err = QL_ERR_INIT;
    const char *text = NULL;
    size_t len = 0, payload_len = 0;
    int r;

    if (!body)
        return;
    if (ql_json_get_text(body, "auth_tag", &text, &len, NULL) < 0) {
        ql_req_replyf(req, 400, "Json deserialize error: missing field `auth_tag`");
        return;
    }
    if (len != sizeof tag * 2) {
        ql_req_replyf(req, 400, "Invalid length of auth_tag: %zu characters, %zu are needed", len,
                      sizeof tag * 2);
        return;
    }
    if (ql_hex_decode(text, len, tag, sizeof tag, &err) < 0) {
        ql_req_replyf(req, 400, "Invalid hex encoding in auth_tag: %s", err.text);
        return;
    }
    r = ql_json_get_text(body, "payload", &text, &len, &err);
    if (r == 0)
        r = ql_base64_decode_dup(text, len, QL_PAYLOAD_MAX, &payload, &payload_len, &err);
    if (r < 0 && r != QL_ENOTFOUND) {
        ql_req_replyf(req, 400, "Invalid base64 encoding in payload: %s", err.text);
        return;
    }
    key = half_of(req, a, body);
    if (!key)
        return;
    if (ql_bootstrap_add_u(a->bootstrap, ql_steal(key), tag, ql_steal(payload), payload_len))
        combined(a);
    else
        ql_log(QL_INFO, "keys", "U received; no V fits it yet");
    ql_req_reply(req, 200, NULL, json_null());
}

void ql_agent_post_vkey(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;
    ql_auto_json json_t *body = body_of(req);
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;

    if (!body)
        return;
    key = half_of(req, a, body);
    if (!key)
        return;
    if (ql_bootstrap_add_v(a->bootstrap, ql_steal(key)))
        combined(a);
    else
        ql_log(QL_INFO, "keys", "V received; no U fits it yet");
    ql_req_reply(req, 200, NULL, json_null());
}
