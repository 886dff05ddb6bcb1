/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/** Values of the PCRs quoted, in ascending order. */
struct values {
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX];
    size_t count;
};

static TPML_PCR_SELECTION select_pcrs(TPM2_ALG_ID bank, uint32_t mask)
{
    return (TPML_PCR_SELECTION){
        .count = 1,
        .pcrSelections = {{.hash = bank,
                           .sizeofSelect = 3,
                           .pcrSelect = {(uint8_t)mask, (uint8_t)(mask >> 8), (uint8_t)(mask >> 16)}}}};
}

/** Bits of the bank in what a TPM says it has read. */
static uint32_t selected(const TPML_PCR_SELECTION *s, TPM2_ALG_ID bank)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < s->count && i < TPM2_NUM_PCR_BANKS; i++) {
        if (s->pcrSelections[i].hash != bank)
            continue;
        for (unsigned n = 0; n < s->pcrSelections[i].sizeofSelect && n < 3; n++)
            mask |= (uint32_t)s->pcrSelections[i].pcrSelect[n] << (8 * n);
    }
    return mask;
}

/** PCR 16 binds the payload key: it is set anew for each quote, under the same lock as the quote. */
static int bind_data(struct ql_tpm *t, TPM2_ALG_ID bank, const uint8_t *digest, struct ql_err *err)
{
    TPML_DIGEST_VALUES values = {.count = 1, .digests = {{.hashAlg = bank}}};
    TSS2_RC rc =
        Esys_PCR_Reset(t->esys, ESYS_TR_PCR0 + QL_DATA_PCR, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE);

    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "resetting PCR 16");
    memcpy(&values.digests[0].digest, digest, ql_hash_len(bank));
    rc = Esys_PCR_Extend(t->esys, ESYS_TR_PCR0 + QL_DATA_PCR, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                         &values);
    return rc == TSS2_RC_SUCCESS ? QL_OK : ql_tpm_fail(err, rc, "extending PCR 16");
}

/** Read until every PCR of @p mask was read: a TPM answers with at most eight at a time. */
static int read_pcrs(struct ql_tpm *t, TPM2_ALG_ID bank, uint32_t mask, struct values *ret,
                     struct ql_err *err)
{
    uint8_t by_number[QL_PCR_COUNT][QL_DIGEST_MAX];
    const size_t size = ql_hash_len(bank);
    uint32_t left = mask;

    while (left != 0) {
        ql_auto_esys TPML_PCR_SELECTION *got = NULL;
        ql_auto_esys TPML_DIGEST *digests = NULL;
        const TPML_PCR_SELECTION want = select_pcrs(bank, left);
        uint32_t update_counter = 0, read, at = 0;
        TSS2_RC rc = Esys_PCR_Read(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want, &update_counter,
                                   &got, &digests);

        if (rc != TSS2_RC_SUCCESS)
            return ql_tpm_fail(err, rc, "reading PCRs");
        read = selected(got, bank);
        if (read == 0 || (read & ~left) != 0)
            return ql_fail(err, QL_EIO, "TPM: bank %s does not hold all PCRs of mask 0x%x",
                           ql_hash_name(bank), mask);
        for (unsigned n = 0; n < QL_PCR_COUNT; n++) {
            if (!(read >> n & 1))
                continue;
            if (at >= digests->count || digests->digests[at].size != size)
                return ql_fail(err, QL_EIO, "TPM: PCR %u of bank %s read without its value", n,
                               ql_hash_name(bank));
            memcpy(by_number[n], digests->digests[at++].buffer, size);
        }
        left &= ~read;
    }
    ret->count = 0;
    for (unsigned n = 0; n < QL_PCR_COUNT; n++)
        if (mask >> n & 1)
            memcpy(ret->pcr[ret->count++], by_number[n], size);
    return QL_OK;
}

/** Is the digest that the TPM signed that of the values read before? */
static bool values_hold(const struct values *values, enum ql_hash bank, const TPM2B_DIGEST *signed_digest)
{
    ql_auto(ql_digester_freep) struct ql_digester *digester = NULL;
    struct ql_piece pieces[QL_PCR_COUNT];
    uint8_t digest[QL_DIGEST_MAX];
    const size_t size = ql_hash_len(bank);

    for (size_t i = 0; i < values->count; i++)
        pieces[i] = (struct ql_piece){values->pcr[i], size};
    return ql_digester_new(&digester, NULL) == 0 &&
           ql_digest(digester, bank, pieces, values->count, digest) == 0 && signed_digest->size == size &&
           memcmp(digest, signed_digest->buffer, size) == 0;
}

static int quote_once(struct ql_tpm *t, enum ql_hash bank, uint32_t mask, const TPM2B_DATA *nonce, char **ret,
                      struct ql_err *err)
{
    static const TPMT_SIG_SCHEME own_scheme = {.scheme =
                                                   TPM2_ALG_NULL}; /* the AK carries its scheme and hash */
    const TPML_PCR_SELECTION selection = select_pcrs((TPM2_ALG_ID)bank, mask);
    ql_auto_esys TPM2B_ATTEST *attest = NULL;
    ql_auto_esys TPMT_SIGNATURE *signature = NULL;
    ql_auto_free uint8_t *signature_bytes = NULL;
    size_t signature_len = 0, at = 0;
    struct values values = {.count = 0};
    TPMS_ATTEST decoded;
    TSS2_RC rc;
    int r = read_pcrs(t, (TPM2_ALG_ID)bank, mask, &values, err);

    if (r < 0)
        return r;
    rc = Esys_Quote(t->esys, t->ak, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, nonce, &own_scheme,
                    &selection, &attest, &signature);
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_MU_TPMS_ATTEST_Unmarshal(attest->attestationData, attest->size, &at, &decoded);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "quoting");
    if (!values_hold(&values, bank, &decoded.attested.quote.pcrDigest))
        return ql_fail(err, QL_EAGAIN, "TPM: PCRs of mask 0x%x changed between reading and quoting, %d times",
                       mask, QL_TPM_QUOTE_TRIES);
    r = ql_tpm_dump_signature(signature, &signature_bytes, &signature_len, err);
    if (r < 0)
        return r;
    return ql_quote_encode(attest->attestationData, attest->size, signature_bytes, signature_len, bank, mask,
                           (const uint8_t(*)[QL_DIGEST_MAX])values.pcr, values.count, ret, err);
}

int ql_tpm_quote(struct ql_tpm *t, enum ql_hash bank, uint32_t mask, const void *nonce, size_t nonce_len,
                 const uint8_t *data_digest, char **ret, struct ql_err *err)
{
    TPM2B_DATA qualifying = {.size = (UINT16)nonce_len};
    int r;

    if (t->ak == ESYS_TR_NONE)
        return ql_fail(err, QL_EINTERNAL, "TPM: the attestation key is not loaded");
    if (t->ak_hash != bank)
        return ql_fail(err, QL_ERANGE, "TPM: bank %s is not the attestation key's hash", ql_hash_name(bank));
    if (mask >> QL_PCR_COUNT != 0)
        return ql_fail(err, QL_ERANGE, "mask 0x%x names a PCR above %d", mask, QL_PCR_COUNT - 1);
    if (nonce_len > sizeof qualifying.buffer)
        return ql_fail(err, QL_ELIMIT, "nonce of %zu bytes, at most %zu", nonce_len,
                       sizeof qualifying.buffer);
    memcpy(qualifying.buffer, nonce, nonce_len);
    mask |= UINT32_C(1) << QL_DATA_PCR;

    r = bind_data(t, (TPM2_ALG_ID)bank, data_digest, err);
    if (r < 0)
        return r;
    r = QL_EAGAIN;
    for (int i = 0; i < QL_TPM_QUOTE_TRIES && r == QL_EAGAIN; i++)
        r = quote_once(t, bank, mask, &qualifying, ret, err);
    return r;
}
