/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file signer.h
 * What a fleet's TPMs say: a few attestation keys in software, shared by many agents, and quotes by them in the shape of
 * spec/agent.md 4, with PCR 16 bound to a payload key.
 *
 * PCR n (but 16) holds 32 bytes of n + 1, so that a policy may name it.
 */
#pragma once
#include <stdint.h>

#include "key.h"

enum {
    SIGNER_KEYS_MAX = 64,   /**< an RSA key takes about 50 ms to make */
    SIGNER_API_LONG = 0x205 /**< API 2.5: enc_alg names the key's size from here on */
};

struct signer;

/** @param is_rsa RSA-2048 with RSASSA, else P-256 with ECDSA; SHA-256 */
int signer_new(bool is_rsa, unsigned keys, struct signer **ret, struct ql_err *err);
void signer_free(struct signer *s);
QL_DEFINE_CLEANUP(struct signer, signer_free)

/** TPM2B_PUBLIC in base64; borrowed. Agents beyond the number of keys share them in turn. */
const char *signer_ak(const struct signer *s, size_t agent);
/** Payload key, PEM, as PCR 16 binds it; borrowed. */
const char *signer_pubkey(const struct signer *s);
/** As agents say it: "rsa" or "rsa2048", "ecc" or "ecc256"; static. @param api QL_API(…) of the request */
const char *signer_enc_alg(const struct signer *s, unsigned api);
const char *signer_sign_alg(const struct signer *s);

/** Wire text of a quote of PCR 16 and those of @p mask; caller frees. @param clock_ms of the TPM */
char *signer_quote(const struct signer *s, size_t agent, const char *nonce, uint32_t mask, uint64_t clock_ms);
