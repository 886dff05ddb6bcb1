/* SPDX-License-Identifier: Apache-2.0 */
/*
 * V, the verifier's half of the payload key: encrypted to the key that the quote has just proven, on the helper thread,
 * and sent. The key is built here from modulus and exponent; V never enters a worker (decision 12).
 */
#include <string.h>

#include "encode.h"
#include "error.h"
#include "key.h"
#include "log.h"
#include "verifier.h"
#include "version.h"

enum {
    MODULUS_MAX = 512
};

/** One encryption on its way to the helper thread and back. */
struct ql_sending {
    const struct ql_seal *seal;
    uint8_t *v;
    size_t v_len;
    uint8_t n[MODULUS_MAX];
    size_t n_len;
    uint32_t e;
    uint8_t key_digest[32];
    char body[sizeof "{\"encrypted_key\": \"\"}" + QL_BASE64_LEN(MODULUS_MAX)];
    int result;
    struct ql_err err;
};

void ql_sending_free(struct ql_sending *s)
{
    if (!s)
        return;
    free(s->v);
    free(s);
}
QL_DEFINE_CLEANUP(struct ql_sending, ql_sending_free)

static void digest_of(const char *pubkey, uint8_t out[32])
{
    if (ql_digest_once(QL_SHA256, pubkey, strlen(pubkey), out) < 0)
        memset(out, 0, 32); /* no key has that digest: V is sent again */
}

bool ql_vkey_due(const struct ql_agent *a)
{
    uint8_t digest[32];

    if (!a->v || !a->pubkey)
        return false;
    digest_of(a->pubkey, digest);
    return !a->v_sent || memcmp(digest, a->v_sent_to, sizeof digest) != 0;
}

/* On the helper thread. */
static void encrypt(void *arg)
{
    struct ql_sending *s = ((struct ql_op *)arg)->sending;
    ql_auto(ql_secret_freep) struct ql_secret *v = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    uint8_t sealed[MODULUS_MAX];
    char text[QL_BASE64_LEN(MODULUS_MAX) + 1];
    size_t len = 0;

    s->result = ql_seal_unwrap(s->seal, s->v, s->v_len, &v, &s->err);
    if (s->result == QL_OK)
        s->result = ql_key_from_rsa(s->n, s->n_len, s->e, &key, &s->err);
    if (s->result == QL_OK)
        s->result = ql_oaep_encrypt(key, QL_SHA1, NULL, 0, ql_secret_data(v), ql_secret_len(v), sealed,
                                    sizeof sealed, &len, &s->err);
    if (s->result < 0)
        return;
    ql_base64_encode(sealed, len, text);
    (void)snprintf(s->body, sizeof s->body, "{\"encrypted_key\": \"%s\"}", text); /* fits */
}

static void on_sent(struct ql_http_result *r, void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;
    char why[256];

    if (a && r->error == QL_OK && r->status == 200) {
        a->v_sent = true;
        memcpy(a->v_sent_to, op->sending->key_digest, sizeof a->v_sent_to);
        free(a->nk_n);
        a->nk_n = NULL;
        a->retries = 0;
        a->state = QL_STATE_GET_QUOTE;
        ql_op_free(op);
        ql_agent_progress(a, false, false, false);
        ql_schedule_next(a);
        return;
    }
    ql_op_free(op);
    if (!a)
        return;
    (void)snprintf(why, sizeof why, "V not delivered: %s %d %s", ql_err_name(r->error), r->status,
                   r->error_text ? r->error_text : ""); /* cut short is fine */
    if (r->error != QL_OK || r->status == 408 || r->status == 500 || r->status == 599)
        ql_poll_retry(a, QL_FAIL_CONTACT_V, "internal.verifier.not_reachable_v", why);
    else
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.no_v", "%s", why);
}

static void encrypted(void *arg)
{
    struct ql_op *op = arg;
    struct ql_agent *a = op->agent;
    char path[32], version[8];
    struct ql_call call = {.method = QL_POST, .path = path, .content_type = "application/json"};

    if (!a) {
        ql_op_free(op);
        return;
    }
    if (op->sending->result < 0) {
        ql_log(QL_ERROR, "vkey", "agent=%s: V cannot be encrypted: %s", a->id, op->sending->err.text);
        ql_op_free(op);
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.no_v", "V cannot be encrypted for the agent");
        return;
    }
    (void)snprintf(path, sizeof path, "/v%s/keys/vkey", ql_api_text(a->api, version)); /* fits */
    call.deadline_ms = a->verifier->poll.request_ms;
    call.body = op->sending->body;
    call.body_len = strlen(op->sending->body);
    ql_poll_call(op, &call, on_sent);
}

static int make_sending(const struct ql_agent *a, struct ql_sending **ret, struct ql_err *err)
{
    ql_auto(ql_sending_freep) struct ql_sending *s = calloc(1, sizeof *s);

    if (!s || !(s->v = malloc(a->v_len)))
        return ql_fail_nomem(err);
    memcpy(s->v, a->v, a->v_len);
    s->v_len = a->v_len;
    s->seal = a->verifier->seal;
    s->err = (struct ql_err)QL_ERR_INIT;
    if (!a->nk_n || a->nk_n_len > sizeof s->n)
        return ql_fail(err, QL_EUNSUPPORTED, "the agent's key is not RSA: V cannot be encrypted for it");
    memcpy(s->n, a->nk_n, a->nk_n_len);
    s->n_len = a->nk_n_len;
    s->e = a->nk_e;
    digest_of(a->pubkey, s->key_digest);
    *ret = ql_steal(s);
    return QL_OK;
}

void ql_vkey_provide(struct ql_agent *a)
{
    struct ql_sending *s = NULL;
    struct ql_err err = QL_ERR_INIT;
    struct ql_op *op;
    int r = make_sending(a, &s, &err);

    if (r == QL_EUNSUPPORTED) {
        ql_agent_failf(a, QL_FAIL_INTERNAL, "internal.verifier.no_v", "%s", err.text);
        return;
    }
    op = r == QL_OK ? ql_op_new(a, "vkey") : NULL;
    if (!op) {
        ql_sending_free(s);
        ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", "out of memory");
        return;
    }
    op->sending = s;
    r = ql_offload_submit(a->verifier->offload, encrypt, encrypted, op, &err);
    if (r < 0) {
        ql_op_free(op);
        ql_poll_retry(a, QL_FAIL_INTERNAL, "internal.verifier.exception", err.text);
    }
}
