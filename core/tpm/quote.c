/* SPDX-License-Identifier: Apache-2.0 */
/* The quote check, in the order that spec/agent.md 4.6 demands. Each step returns QL_OK or says which stage failed. */
#include <string.h>

#include "buf.h"
#include "encode.h"
#include "error.h"
#include "quote.h"
#include "quote_parts.h"
#include "quote_text.h"
#include "secret.h"

/** A quote taken apart: decoded bytes and views into them. */
struct parts {
    struct ql_quote_text text;
    struct ql_attest_quote quote;
    struct ql_signature sig;
    struct ql_pcr_blob pcrs;
};

static int fail_at(enum ql_quote_stage *stage, enum ql_quote_stage at, int code)
{
    *stage = at;
    return code;
}

static int read_structures(struct parts *p, enum ql_quote_stage *stage, struct ql_err *err)
{
    int r = ql_attest_quote_read(p->text.attest, p->text.attest_len, &p->quote, err);

    if (r < 0)
        return fail_at(stage, QL_STAGE_ATTEST, r);
    r = ql_signature_read(p->text.signature, p->text.signature_len, &p->sig, err);
    if (r < 0)
        return fail_at(stage, QL_STAGE_ATTEST, r);
    r = ql_pcr_blob_read(p->text.blob, p->text.blob_len, &p->pcrs, err);
    return r < 0 ? fail_at(stage, QL_STAGE_PCR_BLOB, r) : QL_OK;
}

/* ---- algorithms ---- */

static const char *scheme_name(unsigned scheme)
{
    switch (scheme) {
    case QL_RSASSA:
        return "rsassa";
    case QL_ECDSA:
        return "ecdsa";
    default:
        return NULL; /* quotes by any other scheme are refused, whatever the lists say */
    }
}

static int check_hash(const struct ql_quote_in *in, const struct parts *p, struct ql_err *err)
{
    enum ql_hash claimed;

    if (!in->hash_alg || ql_hash_by_name(in->hash_alg, strlen(in->hash_alg), &claimed) < 0)
        return ql_fail(err, QL_EUNSUPPORTED, "hash algorithm %.40s is unknown",
                       in->hash_alg ? in->hash_alg : "(none)");
    if (!ql_accepts_hash(in->accept, in->hash_alg, strlen(in->hash_alg)))
        return ql_fail(err, QL_ERANGE, "hash algorithm %s is not accepted", in->hash_alg);
    if (p->sig.hash != (unsigned)claimed || p->pcrs.bank != (unsigned)claimed)
        return ql_fail(err, QL_ERANGE,
                       "hash 0x%04x in the signature and bank 0x%04x are not the %s that is claimed",
                       p->sig.hash, p->pcrs.bank, in->hash_alg);
    return QL_OK;
}

static int check_enc(const struct ql_quote_in *in, struct ql_err *err)
{
    const char *actual = ql_tpm_enc_alg(in->ak);

    if (!in->enc_alg)
        return QL_OK;
    if (!ql_accepts_enc(in->accept, in->enc_alg, strlen(in->enc_alg)))
        return ql_fail(err, QL_ERANGE, "key type %.40s is not accepted", in->enc_alg);
    if (!actual || !ql_same_enc(in->enc_alg, actual))
        return ql_fail(err, QL_ERANGE, "key type %.40s is claimed, the attestation key is %s", in->enc_alg,
                       actual ? actual : "of another type");
    return QL_OK;
}

static int check_sign(const struct ql_quote_in *in, const struct parts *p, struct ql_err *err)
{
    const char *actual = scheme_name(p->sig.scheme);

    if (!actual)
        return ql_fail(err, QL_EUNSUPPORTED, "signature scheme 0x%04x is not taken for quotes",
                       p->sig.scheme);
    if (!ql_accepts_sign(in->accept, actual, strlen(actual)))
        return ql_fail(err, QL_ERANGE, "signature scheme %s is not accepted", actual);
    if (in->sign_alg && strcmp(in->sign_alg, actual) != 0)
        return ql_fail(err, QL_ERANGE, "signature scheme %.40s is claimed, the quote has %s", in->sign_alg,
                       actual);
    if ((p->sig.scheme == QL_RSASSA) != in->ak->is_rsa)
        return ql_fail(err, QL_ERANGE, "signature scheme %s does not fit the attestation key", actual);
    return QL_OK;
}

static int check_algorithms(const struct ql_quote_in *in, const struct parts *p, enum ql_quote_stage *stage,
                            struct ql_err *err)
{
    int r = check_sign(in, p, err);

    if (r < 0)
        return fail_at(stage, QL_STAGE_SIGN_ALG, r);
    r = check_enc(in, err);
    if (r < 0)
        return fail_at(stage, QL_STAGE_ENC_ALG, r);
    r = check_hash(in, p, err);
    return r < 0 ? fail_at(stage, QL_STAGE_HASH_ALG, r) : QL_OK;
}

/* ---- what is signed ---- */

static int check_signed(const struct ql_quote_in *in, const struct parts *p, enum ql_quote_stage *stage,
                        struct ql_err *err)
{
    const struct ql_attest_quote *q = &p->quote;
    int r = ql_key_verify_kept(in->ak_key, in->digester, (enum ql_scheme)p->sig.scheme,
                               (enum ql_hash)p->sig.hash, p->text.attest, p->text.attest_len, p->sig.r,
                               p->sig.r_len, p->sig.s, p->sig.s_len, err);

    if (r != QL_OK)
        return fail_at(stage, QL_STAGE_SIGNATURE, r < 0 ? r : QL_ECRYPTO);
    if (q->head.magic != QL_TPM_MAGIC || q->head.type != QL_TPM_ATTEST_QUOTE)
        return fail_at(stage, QL_STAGE_MAGIC,
                       ql_fail(err, QL_EPARSE,
                               "attestation has magic 0x%08x and type 0x%04x: no quote by a TPM",
                               q->head.magic, q->head.type));
    if (in->nonce_len == 0 || q->head.extra_len != in->nonce_len ||
        !ql_equal_ct(q->head.extra, in->nonce, in->nonce_len))
        return fail_at(stage, QL_STAGE_NONCE, ql_fail(err, QL_ECRYPTO, "nonce is not the one that was sent"));
    return QL_OK;
}

/* The blob is unsigned: it may only repeat what the signed selection says. */
static int check_selection(const struct ql_quote_in *in, const struct parts *p, struct ql_err *err)
{
    const struct ql_attest_quote *q = &p->quote;
    uint32_t extra = q->mask & ~(in->mask | UINT32_C(1) << QL_DATA_PCR);

    if (q->selection_count != 1)
        return ql_fail(err, QL_EPARSE, "quote selects PCRs of %u banks, not of one", q->selection_count);
    if (q->bank != p->pcrs.bank || q->mask != p->pcrs.mask)
        return ql_fail(err, QL_EPARSE,
                       "quote signs PCRs 0x%06x of bank 0x%04x, values are sent for 0x%06x of 0x%04x",
                       q->mask, q->bank, p->pcrs.mask, p->pcrs.bank);
    if (in->exact_mask && extra != 0)
        return ql_fail(err, QL_ERANGE, "quote holds PCRs 0x%06x that were not asked for", extra);
    return QL_OK;
}

static int check_digest(const struct ql_quote_in *in, const struct parts *p, struct ql_err *err)
{
    struct ql_piece pieces[QL_PCR_COUNT];
    uint8_t digest[QL_DIGEST_MAX];

    for (size_t i = 0; i < p->pcrs.count; i++)
        pieces[i] = (struct ql_piece){p->pcrs.values[i], p->pcrs.value_len};
    if (ql_digest(in->digester, (enum ql_hash)p->pcrs.bank, pieces, p->pcrs.count, digest) != QL_OK)
        return ql_fail(err, QL_ECRYPTO, "PCR digest cannot be computed");
    if (p->quote.digest_len != p->pcrs.value_len || !ql_equal_ct(digest, p->quote.digest, p->pcrs.value_len))
        return ql_fail(err, QL_ECRYPTO, "PCR values do not hash to the signed digest");
    return QL_OK;
}

static int check_clock(const struct ql_quote_in *in, const struct ql_clock *now, bool *rebooted,
                       struct ql_err *err)
{
    const struct ql_clock *before = in->previous;

    *rebooted = false;
    if (in->any_clock)
        return QL_OK;
    if (!now->safe)
        return ql_fail(err, QL_ERANGE, "TPM clock is not safe");
    if (!before)
        return QL_OK;
    if (now->reset_count > before->reset_count) {
        *rebooted = true; /* the restart count begins anew */
        return QL_OK;
    }
    if (now->reset_count < before->reset_count || now->restart_count < before->restart_count)
        return ql_fail(err, QL_ERANGE, "TPM counts run backwards: resets %u after %u, restarts %u after %u",
                       now->reset_count, before->reset_count, now->restart_count, before->restart_count);
    if (now->restart_count == before->restart_count && now->clock <= before->clock)
        return ql_fail(err, QL_ERANGE, "TPM clock does not advance: %llu after %llu",
                       (unsigned long long)now->clock, (unsigned long long)before->clock);
    return QL_OK;
}

/* ---- PCRs asked for, and the key in PCR 16 ---- */

static const uint8_t *value_of(const struct ql_pcr_blob *b, unsigned pcr)
{
    if (!(b->mask & UINT32_C(1) << pcr))
        return NULL;
    return b->values[__builtin_popcount(b->mask & ((UINT32_C(1) << pcr) - 1))];
}

/* PCR 16 = H(zeros || H(key text)), the very bytes that were received. */
static int check_data_pcr(const struct ql_quote_in *in, const struct parts *p, struct ql_err *err)
{
    static const uint8_t zeros[QL_DIGEST_MAX];
    const uint8_t *value = value_of(&p->pcrs, QL_DATA_PCR);
    enum ql_hash bank = (enum ql_hash)p->pcrs.bank;
    size_t len = p->pcrs.value_len;
    uint8_t digest[QL_DIGEST_MAX], expected[QL_DIGEST_MAX];
    struct ql_piece key = {in->pubkey, in->pubkey_len};
    struct ql_piece extend[] = {{zeros, len}, {digest, len}};

    if (ql_digest(in->digester, bank, &key, 1, digest) != QL_OK ||
        ql_digest(in->digester, bank, extend, 2, expected) != QL_OK || !value ||
        !ql_equal_ct(value, expected, len))
        return ql_fail(err, QL_ECRYPTO, "PCR %d does not bind the agent's key", QL_DATA_PCR);
    return QL_OK;
}

static int check_pcrs(const struct ql_quote_in *in, const struct parts *p, enum ql_quote_stage *stage,
                      uint32_t *missing, struct ql_err *err)
{
    uint32_t absent = in->mask & ~p->quote.mask;
    int r;

    if (in->pubkey && !(p->quote.mask & UINT32_C(1) << QL_DATA_PCR))
        return fail_at(stage, QL_STAGE_DATA_PCR_MISSING,
                       ql_fail(err, QL_ERANGE, "PCR %d is not quoted", QL_DATA_PCR));
    if (absent != 0) {
        if (missing)
            *missing = absent;
        return fail_at(stage, QL_STAGE_PCR_MISSING,
                       ql_fail(err, QL_ERANGE, "PCRs 0x%06x are not quoted", absent));
    }
    r = in->pubkey ? check_data_pcr(in, p, err) : QL_OK;
    return r < 0 ? fail_at(stage, QL_STAGE_DATA_PCR, r) : QL_OK;
}

static void hand_over(const struct parts *p, bool rebooted, struct ql_quote *ret)
{
    size_t at = 0;

    memset(ret, 0, sizeof *ret);
    ret->bank = (enum ql_hash)p->pcrs.bank;
    ret->mask = p->quote.mask;
    ret->clock = p->quote.head.clock;
    ret->firmware_version = p->quote.head.firmware_version;
    ret->rebooted = rebooted;
    for (unsigned pcr = 0; pcr < QL_PCR_COUNT; pcr++)
        if (ret->mask & UINT32_C(1) << pcr)
            memcpy(ret->pcr[pcr], p->pcrs.values[at++], p->pcrs.value_len);
}

int ql_quote_check(const struct ql_quote_in *in, struct ql_quote *ret, enum ql_quote_stage *stage,
                   uint32_t *missing, struct ql_err *err)
{
    struct parts p;
    bool rebooted = false;
    int r;

    *stage = QL_STAGE_FORMAT;
    r = ql_quote_text_read(in->quote, in->quote_len, &p.text, err);
    if (r != QL_OK)
        return r;
    r = read_structures(&p, stage, err);
    if (r != QL_OK)
        return r;
    r = check_algorithms(in, &p, stage, err);
    if (r != QL_OK)
        return r;
    r = check_signed(in, &p, stage, err);
    if (r != QL_OK)
        return r;
    r = check_selection(in, &p, err);
    if (r != QL_OK)
        return fail_at(stage, QL_STAGE_SELECTION, r);
    r = check_digest(in, &p, err);
    if (r != QL_OK)
        return fail_at(stage, QL_STAGE_PCR_DIGEST, r);
    r = check_clock(in, &p.quote.head.clock, &rebooted, err);
    if (r != QL_OK)
        return fail_at(stage, QL_STAGE_CLOCK, r);
    r = check_pcrs(in, &p, stage, missing, err);
    if (r != QL_OK)
        return r;
    hand_over(&p, rebooted, ret);
    *stage = QL_STAGE_NONE;
    return QL_OK;
}

const char *ql_quote_stage_name(enum ql_quote_stage stage)
{
    switch (stage) {
    case QL_STAGE_NONE:
        return "none";
    case QL_STAGE_FORMAT:
        return "format";
    case QL_STAGE_PCR_BLOB:
        return "pcr_blob";
    case QL_STAGE_ATTEST:
        return "attest";
    case QL_STAGE_HASH_ALG:
        return "hash_alg";
    case QL_STAGE_ENC_ALG:
        return "enc_alg";
    case QL_STAGE_SIGN_ALG:
        return "sign_alg";
    case QL_STAGE_SIGNATURE:
        return "signature";
    case QL_STAGE_MAGIC:
        return "magic";
    case QL_STAGE_NONCE:
        return "nonce";
    case QL_STAGE_SELECTION:
        return "pcr_selection";
    case QL_STAGE_PCR_DIGEST:
        return "pcr_digest";
    case QL_STAGE_CLOCK:
        return "clock";
    case QL_STAGE_DATA_PCR_MISSING:
        return "data_pcr_missing";
    case QL_STAGE_DATA_PCR:
        return "data_pcr";
    case QL_STAGE_PCR_MISSING:
        return "pcr_missing";
    }
    return "unknown";
}

/* ---- the agent's side ---- */

static void add_list(struct ql_buf *b, const uint8_t (*pcr)[QL_DIGEST_MAX], size_t count, size_t value_len)
{
    static const uint8_t zeros[QL_DIGEST_MAX];

    (void)ql_buf_add_u32le(
        b, (uint32_t)count); /* a failed append poisons the buffer, which is checked at the end */
    for (size_t i = 0; i < 8; i++) {
        size_t len = i < count ? value_len : 0;

        (void)ql_buf_add_u16le(b, (uint16_t)len);
        (void)ql_buf_add(b, i < count ? pcr[i] : zeros, len);
        (void)ql_buf_add(b, zeros, QL_DIGEST_MAX - len);
    }
}

static void add_blob(struct ql_buf *b, enum ql_hash bank, uint32_t mask, const uint8_t (*pcr)[QL_DIGEST_MAX],
                     size_t count)
{
    static const uint8_t zeros[2 + 15 * 8];
    uint8_t select[3] = {(uint8_t)mask, (uint8_t)(mask >> 8), (uint8_t)(mask >> 16)};

    (void)ql_buf_add_u32le(b, 1); /* as above: poisoned on failure */
    (void)ql_buf_add_u16le(b, (uint16_t)bank);
    (void)ql_buf_add_u8(b, sizeof select);
    (void)ql_buf_add(b, select, sizeof select);
    (void)ql_buf_add(b, zeros, sizeof zeros);
    (void)ql_buf_add_u32le(b, (uint32_t)((count + 7) / 8));
    for (size_t at = 0; at < count; at += 8)
        add_list(b, pcr + at, count - at < 8 ? count - at : 8, ql_hash_len(bank));
}

static void add_base64(struct ql_buf *b, const void *data, size_t len)
{
    ql_auto_free char *text = ql_base64_dup(data, len);

    if (text)
        (void)ql_buf_add_text(b, text); /* as above */
    else
        b->failed = true;
}

int ql_quote_encode(const uint8_t *attest, size_t attest_len, const uint8_t *signature, size_t signature_len,
                    enum ql_hash bank, uint32_t mask, const uint8_t (*pcr)[QL_DIGEST_MAX], size_t pcr_count,
                    char **ret, struct ql_err *err)
{
    ql_auto_buf struct ql_buf blob = ql_buf_init(QL_PCR_BLOB_MAX_LEN), text = ql_buf_init(QL_QUOTE_MAX_LEN);
    char *quote;

    if (pcr_count != (size_t)__builtin_popcount(mask) || mask >> QL_PCR_COUNT || ql_hash_len(bank) == 0)
        return ql_fail(err, QL_ERANGE, "%zu PCR values for mask 0x%08x", pcr_count, mask);
    add_blob(&blob, bank, mask, pcr, pcr_count);
    if (blob.failed)
        return ql_fail_nomem(err);
    (void)ql_buf_add_text(&text, "r"); /* as above */
    add_base64(&text, attest, attest_len);
    (void)ql_buf_add_text(&text, ":");
    add_base64(&text, signature, signature_len);
    (void)ql_buf_add_text(&text, ":");
    add_base64(&text, blob.data, blob.len);
    quote = (char *)ql_buf_take(&text, NULL);
    if (!quote)
        return ql_fail_nomem(err);
    *ret = quote;
    return QL_OK;
}
