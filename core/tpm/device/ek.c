/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/*
 * The high-range templates are used through PolicyOR of two branches: PolicySecret of the endorsement hierarchy
 * (PolicyA, the one taken here) and PolicyAuthorizeNV (PolicyC). TCG EK Credential Profile for TPM 2.0, B.6.
 */
static const TPML_DIGEST OR_SHA384 = {
    .count = 2,
    .digests = {
        {.size = 48, .buffer = {0x8b, 0xbf, 0x22, 0x66, 0x53, 0x7c, 0x17, 0x1c, 0xb5, 0x6e, 0x40, 0x3c,
                                0x4d, 0xc1, 0xd4, 0xb6, 0x4f, 0x43, 0x26, 0x11, 0xdc, 0x38, 0x6e, 0x6f,
                                0x53, 0x20, 0x50, 0xc3, 0x27, 0x8c, 0x93, 0x0e, 0x14, 0x3e, 0x8b, 0xb1,
                                0x13, 0x38, 0x24, 0xcc, 0xb4, 0x31, 0x05, 0x38, 0x71, 0xc6, 0xdb, 0x53}},
        {.size = 48, .buffer = {0xd6, 0x03, 0x2c, 0xe6, 0x1f, 0x2f, 0xb3, 0xc2, 0x40, 0xeb, 0x3c, 0xf6,
                                0xa3, 0x32, 0x37, 0xef, 0x2b, 0x6a, 0x16, 0xf4, 0x29, 0x3c, 0x22, 0xb4,
                                0x55, 0xe2, 0x61, 0xcf, 0xfd, 0x21, 0x7a, 0xd5, 0xb4, 0x94, 0x7c, 0x2d,
                                0x73, 0xe6, 0x30, 0x05, 0xee, 0xd2, 0xdc, 0x2b, 0x35, 0x93, 0xd1, 0x65}}}};

static const TPML_DIGEST OR_SHA512 = {
    .count = 2,
    .digests = {
        {.size = 64, .buffer = {0x1e, 0x3b, 0x76, 0x50, 0x2c, 0x8a, 0x14, 0x25, 0xaa, 0x0b, 0x7b, 0x3f, 0xc6,
                                0x46, 0xa1, 0xb0, 0xfa, 0xe0, 0x63, 0xb0, 0x3b, 0x53, 0x68, 0xf9, 0xc4, 0xcd,
                                0xde, 0xca, 0xff, 0x08, 0x91, 0xdd, 0x68, 0x2b, 0xac, 0x1a, 0x85, 0xd4, 0xd8,
                                0x32, 0xb7, 0x81, 0xea, 0x45, 0x19, 0x15, 0xde, 0x5f, 0xc5, 0xbf, 0x0d, 0xc4,
                                0xa1, 0x91, 0x7c, 0xd4, 0x2f, 0xa0, 0x41, 0xe3, 0xf9, 0x98, 0xe0, 0xee}},
        {.size = 64, .buffer = {0x58, 0x9e, 0xe1, 0xe1, 0x46, 0x54, 0x47, 0x16, 0xe8, 0xde, 0xaf, 0xe6, 0xdb,
                                0x24, 0x7b, 0x01, 0xb8, 0x1e, 0x9f, 0x9c, 0x7d, 0xd1, 0x6b, 0x81, 0x4a, 0xa1,
                                0x59, 0x13, 0x87, 0x49, 0x10, 0x5f, 0xba, 0x53, 0x88, 0xdd, 0x1d, 0xea, 0x70,
                                0x2f, 0x35, 0x24, 0x0c, 0x18, 0x49, 0x33, 0x12, 0x1e, 0x2c, 0x61, 0xb8, 0xf5,
                                0x0d, 0x3e, 0xf9, 0x13, 0x93, 0xa4, 0x9a, 0x38, 0xc3, 0xf7, 0x3f, 0xc8}}}};

/** Do the algorithm configured and the key found at a handle fit? */
static bool fits(const struct ql_tpm_enc *enc, const TPMT_PUBLIC *p)
{
    if (p->type != enc->type)
        return false;
    return p->type == TPM2_ALG_RSA ? p->parameters.rsaDetail.keyBits == enc->rsa_bits
                                   : p->parameters.eccDetail.curveID == enc->curve;
}

static TPM2B_PUBLIC ek_template(const struct ql_tpm_enc *enc)
{
    TPM2B_PUBLIC in = {.publicArea = {.type = enc->type,
                                      .nameAlg = enc->name_alg,
                                      .objectAttributes = enc->attributes,
                                      .authPolicy = {.size = ql_tpm_hash_size(enc->name_alg)}}};
    const TPMT_SYM_DEF_OBJECT symmetric = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = enc->aes_bits, .mode.aes = TPM2_ALG_CFB};

    memcpy(in.publicArea.authPolicy.buffer, enc->policy, in.publicArea.authPolicy.size);
    if (enc->type == TPM2_ALG_RSA) {
        in.publicArea.parameters.rsaDetail = (TPMS_RSA_PARMS){
            .symmetric = symmetric, .scheme.scheme = TPM2_ALG_NULL, .keyBits = enc->rsa_bits};
        in.publicArea.unique.rsa.size = enc->unique_len;
    } else {
        in.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric = symmetric,
                                                              .scheme.scheme = TPM2_ALG_NULL,
                                                              .curveID = enc->curve,
                                                              .kdf.scheme = TPM2_ALG_NULL};
        in.publicArea.unique.ecc.x.size = in.publicArea.unique.ecc.y.size = enc->unique_len;
    }
    return in;
}

int ql_tpm_ek(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint32_t handle, uint8_t **ek, size_t *ek_len,
              struct ql_err *err)
{
    static const TPML_PCR_SELECTION no_pcrs = {0};
    ql_auto_esys TPM2B_PUBLIC *found = NULL;
    const struct ql_tpm_enc *enc = NULL;
    ESYS_TR object = ESYS_TR_NONE;
    int r = ql_tpm_enc_find(algs->enc, &enc, err);

    if (r < 0)
        return r;
    if (handle != 0) {
        r = ql_tpm_persistent(t, handle, "ek_handle", &object, &found, err);
    } else {
        const TPM2B_PUBLIC in = ek_template(enc);

        r = ql_tpm_primary(t, &in, &no_pcrs, "making the endorsement key", &object, &found, err);
    }
    if (r < 0)
        return r;
    if (!fits(enc, &found->publicArea))
        r = ql_fail(err, QL_ERANGE, "ek_handle 0x%08x holds no %s key as tpm_encryption_alg says", handle,
                    algs->enc);
    else
        r = ql_tpm_dump_public(found, ek, ek_len, err);
    if (r < 0) {
        ql_tpm_drop(t, &object, handle == 0);
        return r;
    }
    ql_tpm_ek_done(t);
    t->ek = object;
    t->ek_is_ours = handle == 0;
    t->ek_public = found->publicArea;
    return QL_OK;
}

void ql_tpm_ek_done(struct ql_tpm *t)
{
    ql_tpm_drop(t, &t->ek, t->ek_is_ours);
}

static TSS2_RC satisfy(struct ql_tpm *t, ESYS_TR session)
{
    const TPML_DIGEST *branches = NULL;
    TSS2_RC rc = Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                   ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);

    if (t->ek_public.nameAlg == TPM2_ALG_SHA384)
        branches = &OR_SHA384;
    else if (t->ek_public.nameAlg == TPM2_ALG_SHA512)
        branches = &OR_SHA512;
    if (rc == TSS2_RC_SUCCESS && branches)
        rc = Esys_PolicyOR(t->esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, branches);
    return rc;
}

int ql_tpm_ek_session(struct ql_tpm *t, ESYS_TR *ret, struct ql_err *err)
{
    const TPMT_SYM_DEF_OBJECT *ek = t->ek_public.type == TPM2_ALG_RSA
                                        ? &t->ek_public.parameters.rsaDetail.symmetric
                                        : &t->ek_public.parameters.eccDetail.symmetric;
    const TPMT_SYM_DEF symmetric = {
        .algorithm = ek->algorithm, .keyBits.aes = ek->keyBits.aes, .mode.aes = ek->mode.aes};
    /* The session is kept after its one use and flushed by name, so that failures do not leave it behind. */
    const TPMA_SESSION attributes =
        TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION;
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;

    if (t->ek == ESYS_TR_NONE)
        return ql_fail(err, QL_EINTERNAL, "TPM: the endorsement key is not loaded");
    rc = Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                               NULL, TPM2_SE_POLICY, &symmetric, t->ek_public.nameAlg, &session);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "starting a policy session for the endorsement key");
    rc = Esys_TRSess_SetAttributes(t->esys, session, attributes, 0xff);
    if (rc == TSS2_RC_SUCCESS)
        rc = satisfy(t, session);
    if (rc != TSS2_RC_SUCCESS) {
        ql_tpm_flush(t, &session);
        return ql_tpm_fail(err, rc, "satisfying the endorsement key's policy");
    }
    *ret = session;
    return QL_OK;
}
