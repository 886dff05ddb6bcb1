/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole quote check. Input: "KMASK HASH ENC SIGN NONCE\nQUOTE", K one of r, e (which of the fixed keys), MASK in hex.
 * What passes must be what was asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixed_keys.h"
#include "quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** The fixed keys, imported once. */
static struct {
    struct ql_digester *digester;
    struct ql_tpm_public area[2];
    struct ql_key *key[2];
} fixed;

static void set_up(void)
{
    if (fixed.digester)
        return;
    if (ql_digester_new(&fixed.digester, NULL) < 0 ||
        ql_tpm_public_parse(fixed_ak_rsa, sizeof fixed_ak_rsa, &fixed.area[0], NULL) < 0 ||
        ql_tpm_public_parse(fixed_ak_ecc, sizeof fixed_ak_ecc, &fixed.area[1], NULL) < 0 ||
        ql_tpm_public_key(&fixed.area[0], &fixed.key[0], NULL) < 0 ||
        ql_tpm_public_key(&fixed.area[1], &fixed.key[1], NULL) < 0)
        abort();
}

static void check(const struct ql_quote_in *in)
{
    enum ql_quote_stage stage = QL_STAGE_NONE;
    struct ql_err err = QL_ERR_INIT;
    struct ql_quote quote;
    uint32_t missing = 0;
    int r = ql_quote_check(in, &quote, &stage, &missing, &err);

    if ((r == QL_OK) != (stage == QL_STAGE_NONE) || (r != QL_OK && err.text[0] == '\0'))
        abort();
    if (r == QL_OK && (in->mask & ~quote.mask) != 0)
        abort();
    if (r == QL_OK && in->exact_mask && (quote.mask & ~(in->mask | UINT32_C(1) << QL_DATA_PCR)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct ql_accept all = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    static const struct ql_clock before = {.clock = 1, .safe = true};
    const uint8_t *line = memchr(data, '\n', len < 200 ? len : 200);
    char head[201], hash[16], enc[16], sign[16], nonce[80], *quote;
    struct ql_quote_in in = {.accept = &all};
    unsigned mask;
    size_t which;

    set_up();
    if (!line)
        return 0;
    memcpy(head, data, (size_t)(line - data));
    head[line - data] = '\0';
    if (sscanf(head + 1, "%6x %15s %15s %15s %79s", &mask, hash, enc, sign, nonce) != 5)
        return 0;
    which = head[0] == 'e';
    in.ak = &fixed.area[which];
    in.ak_key = fixed.key[which];
    in.digester = fixed.digester;
    in.hash_alg = hash;
    in.enc_alg = enc;
    in.sign_alg = sign;
    in.nonce = (const uint8_t *)nonce;
    in.nonce_len = strlen(nonce);
    in.mask = mask;
    in.quote_len = len - (size_t)(line + 1 - data);
    quote = malloc(in.quote_len + 1); /* exactly as long as it is, for the sanitizer */
    if (!quote)
        abort();
    memcpy(quote, line + 1, in.quote_len);
    in.quote = quote;
    check(&in);
    in.exact_mask = true;
    in.previous = &before;
    in.pubkey = fixed_nk;
    in.pubkey_len = strlen(fixed_nk);
    check(&in);
    free(quote);
    return 0;
}
