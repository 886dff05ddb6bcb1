/* SPDX-License-Identifier: Apache-2.0 */
/* The identity quote: the agent's key is bound to its TPM before anything is entrusted to it. */
#include <string.h>

#include "digest.h"
#include "error.h"
#include "quote.h"
#include "server.h"
#include "tenant.h"

enum {
    NONCE_LEN = 20
};

static int add_names(struct ql_tenant *t, const char *option, int (*add)(struct ql_accept *, const char *),
                     struct ql_accept *accept, struct ql_err *err)
{
    for (size_t i = 0; i < ql_config_count(t->config, "tenant", option); i++) {
        const char *name = ql_config_item(t->config, "tenant", option, i);

        if (add(accept, name) < 0)
            return ql_fail(err, QL_ERANGE, "%s: unknown algorithm %s", option, name);
    }
    return QL_OK;
}

static int accepted(struct ql_tenant *t, struct ql_accept *ret, struct ql_err *err)
{
    struct ql_accept accept = {0};
    int r = add_names(t, "accept_tpm_hash_algs", ql_accept_hash, &accept, err);

    if (r == QL_OK)
        r = add_names(t, "accept_tpm_encryption_algs", ql_accept_enc, &accept, err);
    if (r == QL_OK)
        r = add_names(t, "accept_tpm_signing_algs", ql_accept_sign, &accept, err);
    *ret = accept;
    return r;
}

static int judge(struct ql_tenant *t, const struct ql_registered *reg, const json_t *results,
                 const char *nonce, struct ql_key **nk, struct ql_err *err)
{
    ql_auto(ql_digester_freep) struct ql_digester *digester = NULL;
    ql_auto(ql_key_freep) struct ql_key *ak_key = NULL;
    struct ql_accept accept = {0};
    struct ql_quote_in in = {
        .ak = &reg->aik,
        .accept = &accept,
        .nonce = (const uint8_t *)nonce,
        .nonce_len = strlen(nonce),
        .mask = UINT32_C(1) << QL_DATA_PCR,
        .exact_mask = true,
    };
    enum ql_quote_stage stage;
    struct ql_quote quote;
    size_t len;
    int r = ql_json_get_text(results, "quote", &in.quote, &in.quote_len, err);

    if (r == QL_OK)
        r = ql_json_get_text(results, "pubkey", &in.pubkey, &in.pubkey_len, err);
    if (r == QL_OK)
        r = ql_json_get_text(results, "hash_alg", &in.hash_alg, &len, err);
    if (r == QL_OK)
        r = ql_json_get_text(results, "enc_alg", &in.enc_alg, &len, err);
    if (r == QL_OK)
        r = ql_json_get_text(results, "sign_alg", &in.sign_alg, &len, err);
    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "a member of the answer is missing") : r;
    r = accepted(t, &accept, err);
    if (r == QL_OK)
        r = ql_digester_new(&digester, err);
    if (r == QL_OK)
        r = ql_tpm_public_key(&reg->aik, &ak_key, err);
    if (r < 0)
        return r;
    in.ak_key = ak_key;
    in.digester = digester;
    r = ql_quote_check(&in, &quote, &stage, NULL, err);
    return r == QL_OK ? ql_key_from_pem(in.pubkey, in.pubkey_len, nk, err) : r;
}

bool ql_identity_check(struct ql_tenant *t, const struct ql_registered *reg, struct ql_key **nk)
{
    char nonce[NONCE_LEN + 1];
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;
    int r;

    ql_random_alnum(nonce, NONCE_LEN);
    r = ql_link_callf(t, &t->agent, QL_GET, NULL, &reply, &err, "/quotes/identity?nonce=%s", nonce);
    if (r < 0) {
        ql_say_error("Agent at %s does not answer: %s", t->agent_name, err.text);
        return false;
    }
    if (reply.status != 200 || !reply.body) {
        ql_say_error("Status command response: %d Unexpected response from Agent %s", reply.status,
                     t->agent_name);
        ql_reply_done(&reply);
        return false;
    }
    ql_say_python(reply.body);
    r = judge(t, reg, json_object_get(reply.body, "results"), nonce, nk, &err);
    ql_reply_done(&reply);
    if (r < 0) {
        if (reg->regcount > 1)
            ql_say_error(
                "WARNING: This UUID had more than one ek-ekcert registered to it! This might indicate that "
                "your system is misconfigured or a malicious host is present. Run 'regdelete' for this agent "
                "and restart");
        ql_say_error("TPM Quote from Agent %s is invalid for nonce: %s: %s", t->agent_name, nonce, err.text);
        return false;
    }
    return true;
}
