/* SPDX-License-Identifier: Apache-2.0 */
/* Payload keys: K encrypts the payload, U goes to the agent, V to the verifier, and only both together give K. */
#include <string.h>

#include "credential.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "server.h"
#include "tenant.h"

enum {
    KEY_LEN = 32,
    CHALLENGE_LEN = 20,
    KEY_FILE_MAX = 4096,
    TAG_LEN = 48
};

void ql_payload_done(struct ql_payload *p)
{
    ql_secret_free(p->k);
    ql_secret_free(p->u);
    ql_secret_free(p->v);
    free(p->encrypted);
    ql_secret_free(p->revocation_key);
    free(p->metadata);
    *p = (struct ql_payload){0};
}

static int fresh_keys(struct ql_payload *p, struct ql_err *err)
{
    uint8_t k[KEY_LEN], u[KEY_LEN], v[KEY_LEN];
    int r;

    ql_random(k, sizeof k);
    ql_random(v, sizeof v);
    for (size_t i = 0; i < sizeof u; i++)
        u[i] = k[i] ^ v[i];
    r = ql_secret_new(k, sizeof k, &p->k, err);
    if (r == QL_OK)
        r = ql_secret_new(u, sizeof u, &p->u, err);
    if (r == QL_OK)
        r = ql_secret_new(v, sizeof v, &p->v, err);
    ql_wipe(k, sizeof k);
    ql_wipe(u, sizeof u);
    ql_wipe(v, sizeof v);
    return r;
}

static int check_size(struct ql_tenant *t, size_t encoded_len, struct ql_err *err)
{
    int64_t max = ql_config_int(t->config, "tenant", "max_payload_size");

    if (encoded_len > (size_t)max)
        return ql_fail(err, QL_ELIMIT, "payload of %zu characters is larger than max_payload_size %lld",
                       encoded_len, (long long)max);
    return QL_OK;
}

/* Encrypted here under a fresh key. */
static int encrypt(struct ql_tenant *t, const void *data, size_t len, struct ql_payload *p,
                   struct ql_err *err)
{
    ql_auto_free uint8_t *sealed = NULL;
    size_t sealed_len = 0;
    int r = fresh_keys(p, err);

    if (r == QL_OK)
        r = ql_gcm_seal(p->k, data, len, &sealed, &sealed_len, err);
    if (r == QL_OK)
        r = check_size(t, QL_BASE64_LEN(sealed_len), err);
    if (r < 0)
        return r;
    p->encrypted = ql_base64_dup(sealed, sealed_len);
    return p->encrypted ? QL_OK : ql_fail_nomem(err);
}

/* -f FILE */
static int encrypt_file(struct ql_tenant *t, const char *path, struct ql_payload *p, struct ql_err *err)
{
    uint8_t *data = NULL;
    size_t len = 0;
    int r =
        ql_file_read(path, (size_t)ql_config_int(t->config, "tenant", "max_payload_size"), &data, &len, err);

    if (r == QL_OK)
        r = encrypt(t, data, len, p, err);
    if (data)
        ql_wipe(data, len);
    free(data);
    return r;
}

/* --cert DIR */
static int encrypt_package(struct ql_tenant *t, struct ql_payload *p, struct ql_err *err)
{
    struct ql_package package;
    int r = ql_package_make(t, &package, err);

    if (r < 0)
        return r;
    r = encrypt(t, ql_secret_data(package.zip), ql_secret_len(package.zip), p, err);
    p->revocation_key = ql_steal(package.revocation_key);
    p->metadata = ql_steal(package.metadata);
    ql_package_done(&package);
    return r;
}

static int read_key_line(const char **at, struct ql_secret **ret, struct ql_err *err)
{
    size_t len = strcspn(*at, "\r\n"), key_len = 0;
    uint8_t key[KEY_LEN];
    int r = ql_base64_decode(*at, len, key, sizeof key, &key_len, err);

    if (r == QL_OK && key_len != sizeof key)
        r = ql_fail(err, QL_EPARSE, "a key of %zu bytes, not %d", key_len, KEY_LEN);
    if (r == QL_OK)
        r = ql_secret_new(key, sizeof key, ret, err);
    ql_wipe(key, sizeof key);
    *at += len;
    *at += strspn(*at, "\r\n");
    return r;
}

/* -k FILE: base64 of K, U and V, a line each; -p FILE: what was encrypted with K. */
static int read_key_file(struct ql_tenant *t, const char *path, const char *payload, struct ql_payload *p,
                         struct ql_err *err)
{
    uint8_t *text = NULL;
    const char *at;
    size_t len, encrypted_len;
    int r = ql_file_read(path, KEY_FILE_MAX, &text, &len, err);

    if (r == QL_OK) {
        at = (const char *)text;
        r = read_key_line(&at, &p->k, err);
        if (r == QL_OK)
            r = read_key_line(&at, &p->u, err);
        if (r == QL_OK)
            r = read_key_line(&at, &p->v, err);
        ql_wipe(text, len);
        free(text);
        if (r < 0)
            return ql_fail_context(err, r, "%s", path);
    }
    if (r < 0 || !payload)
        return r;
    r = ql_file_read(payload, (size_t)ql_config_int(t->config, "tenant", "max_payload_size"),
                     (uint8_t **)&p->encrypted, &encrypted_len, err);
    return r;
}

int ql_payload_read(struct ql_tenant *t, struct ql_payload *ret, struct ql_err *err)
{
    const char *file = ql_arg(t->args, QL_ARG_FILE), *key = ql_arg(t->args, QL_ARG_KEY),
               *cert = ql_arg(t->args, QL_ARG_CERT);
    struct ql_payload p = {0};
    int r = QL_OK;

    if (ql_arg_given(t->args, QL_ARG_INCLUDE) && !cert)
        return ql_fail(err, QL_ERANGE, "--include option is only valid when used with --cert");
    if ((file && key) || (cert && (file || key)))
        return ql_fail(
            err, QL_ERANGE,
            "You must specify one of -k, -f, or --cert to specify the key/contents to be securely delivered "
            "to the agent");
    if (!file && !key && !cert && ql_arg_given(t->args, QL_ARG_VERIFY))
        return ql_fail(err, QL_ERANGE,
                       "--verify only works when a payload is provided to the agent via -k, -f, or --cert");
    if (file)
        r = encrypt_file(t, file, &p, err);
    else if (cert)
        r = encrypt_package(t, &p, err);
    else if (key)
        r = read_key_file(t, key, ql_arg(t->args, QL_ARG_PAYLOAD), &p, err);
    if (r < 0) {
        ql_payload_done(&p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

static int tag_hex(const struct ql_payload *p, const char *text, char *out, struct ql_err *err)
{
    struct ql_piece piece = {text, strlen(text)};
    uint8_t tag[QL_DIGEST_MAX];

    if (ql_hmac(QL_SHA384, ql_secret_data(p->k), ql_secret_len(p->k), &piece, 1, tag) < 0)
        return ql_fail(err, QL_ECRYPTO, "HMAC cannot be computed");
    ql_hex_encode(tag, TAG_LEN, out);
    return QL_OK;
}

int ql_payload_deliver(struct ql_tenant *t, const struct ql_payload *p, const struct ql_key *nk,
                       struct ql_err *err)
{
    ql_auto_json json_t *body = NULL;
    ql_auto_free char *encoded = NULL;
    struct ql_reply reply = {0};
    uint8_t sealed[512];
    char tag[2 * TAG_LEN + 1];
    size_t len;
    int r;

    if (!p->u)
        return QL_OK;
    r = ql_oaep_encrypt(nk, QL_SHA1, NULL, 0, ql_secret_data(p->u), ql_secret_len(p->u), sealed,
                        sizeof sealed, &len, err);
    if (r == QL_OK)
        r = tag_hex(p, t->agent_id, tag, err);
    if (r < 0)
        return r;
    encoded = ql_base64_dup(sealed, len);
    body = encoded ? json_pack("{s:s, s:s}", "encrypted_key", encoded, "auth_tag", tag) : NULL;
    if (!body || (p->encrypted && json_object_set_new(body, "payload", json_string(p->encrypted)) != 0))
        return ql_fail_nomem(err);
    r = ql_link_callf(t, &t->agent, QL_POST, body, &reply, err, "/keys/ukey");
    if (r == QL_OK && reply.status != 200)
        r = ql_fail(err, QL_EIO, "Posting of Encrypted U to the Agent %s failed with response code %d",
                    t->agent_name, reply.status);
    ql_reply_done(&reply);
    return r;
}

/* One question: does the agent hold K? @return 1 yes, 0 not yet, negative: no answer */
static int ask_hmac(struct ql_tenant *t, const struct ql_payload *p, struct ql_err *err)
{
    char challenge[CHALLENGE_LEN + 1], expected[2 * TAG_LEN + 1];
    struct ql_reply reply = {0};
    const char *hmac = NULL;
    size_t len = 0;
    int r;

    ql_random_alnum(challenge, CHALLENGE_LEN);
    r = tag_hex(p, challenge, expected, err);
    if (r == QL_OK)
        r = ql_link_callf(t, &t->agent, QL_GET, NULL, &reply, err, "/keys/verify?challenge=%s", challenge);
    if (r < 0)
        return r;
    r = reply.status == 200 &&
        ql_json_get_text(json_object_get(reply.body, "results"), "hmac", &hmac, &len, NULL) == QL_OK &&
        len == 2 * TAG_LEN && ql_equal_ct(hmac, expected, len);
    ql_reply_done(&reply);
    return r;
}

int ql_payload_verify(struct ql_tenant *t, const struct ql_payload *p, struct ql_err *err)
{
    struct ql_reply reply = {0};

    for (unsigned tries = 0;; tries++) {
        int r = ask_hmac(t, p, err);

        if (r == 1) {
            ql_say_info("Successful key derivation for Agent %s", t->agent_name);
            return QL_OK;
        }
        ql_say_info("Key derivation not yet complete (retry %u)", tries + 1);
        if (!ql_tenant_wait(t, tries + 1))
            break;
    }
    /* The node never proved that it holds the key: stop trusting it. */
    if (ql_link_callf(t, &t->verifier, QL_PUT, NULL, &reply, err, "/agents/%s/stop", t->agent_id) < 0)
        ql_say_error("the verifier could not be told to stop: %s", err->text);
    ql_reply_done(&reply);
    return ql_fail(err, QL_ECRYPTO, "Agent %s failed key derivation", t->agent_name);
}
