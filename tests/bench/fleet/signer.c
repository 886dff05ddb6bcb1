/* SPDX-License-Identifier: Apache-2.0 */
#include "signer.h"

#include <string.h>

#include "encode.h"
#include "error.h"
#include "tpm/softquote.h"

struct signer {
    bool is_rsa;
    size_t count;
    struct soft_ak aks[SIGNER_KEYS_MAX];
    char *publics[SIGNER_KEYS_MAX];
    char *pubkey;
    uint8_t data_pcr[QL_DIGEST_MAX];
};

/* PCR 16 after one extension by the payload key's text. */
static int bind_payload_key(struct signer *s, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *nk = NULL;
    uint8_t extend[2 * 32] = {0};
    int r = ql_key_generate_rsa(2048, &nk, err);

    if (r < 0)
        return r;
    s->pubkey = ql_key_public_pem(nk);
    if (!s->pubkey)
        return ql_fail_nomem(err);
    if (ql_digest_once(QL_SHA256, s->pubkey, strlen(s->pubkey), extend + 32) != QL_OK ||
        ql_digest_once(QL_SHA256, extend, sizeof extend, s->data_pcr) != QL_OK)
        return ql_fail(err, QL_ECRYPTO, "SHA-256 failed");
    return QL_OK;
}

int signer_new(bool is_rsa, unsigned keys, struct signer **ret, struct ql_err *err)
{
    ql_auto(signer_freep) struct signer *s = NULL;
    int r;

    if (keys == 0 || keys > SIGNER_KEYS_MAX)
        return ql_fail(err, QL_ERANGE, "%u keys, 1 to %d", keys, SIGNER_KEYS_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return ql_fail_nomem(err);
    s->is_rsa = is_rsa;
    r = bind_payload_key(s, err);
    if (r < 0)
        return r;
    for (; s->count < keys; s->count++) {
        struct soft_ak *ak = &s->aks[s->count];

        soft_ak_make(ak, is_rsa ? 0 : QL_P256);
        s->publics[s->count] = ql_base64_dup(ak->blob, ak->blob_len);
        if (!s->publics[s->count]) {
            soft_ak_done(ak);
            return ql_fail_nomem(err);
        }
    }
    *ret = ql_steal(s);
    return QL_OK;
}

void signer_free(struct signer *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        soft_ak_done(&s->aks[i]);
        free(s->publics[i]);
    }
    free(s->pubkey);
    free(s);
}

const char *signer_ak(const struct signer *s, size_t agent)
{
    return s->publics[agent % s->count];
}

const char *signer_pubkey(const struct signer *s)
{
    return s->pubkey;
}

const char *signer_enc_alg(const struct signer *s, unsigned api)
{
    if (api < SIGNER_API_LONG)
        return s->is_rsa ? "rsa" : "ecc";
    return s->is_rsa ? "rsa2048" : "ecc256";
}

const char *signer_sign_alg(const struct signer *s)
{
    return s->is_rsa ? "rsassa" : "ecdsa";
}

char *signer_quote(const struct signer *s, size_t agent, const char *nonce, uint32_t mask, uint64_t clock_ms)
{
    struct soft_said said;
    size_t at = 0;

    mask |= UINT32_C(1) << QL_DATA_PCR;
    said = soft_said(nonce, mask);
    said.clock.clock = clock_ms;
    for (unsigned pcr = 0; pcr < QL_PCR_COUNT; pcr++) {
        if (!(mask & UINT32_C(1) << pcr))
            continue;
        if (pcr == QL_DATA_PCR)
            memcpy(said.pcr[at], s->data_pcr, sizeof said.pcr[at]);
        else
            memset(said.pcr[at], (int)pcr + 1, 32);
        at++;
    }
    return soft_quote(&s->aks[agent % s->count], &said);
}
