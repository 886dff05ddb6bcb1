/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

enum {
    AK_ATTRIBUTES = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT
};

static int ak_template(const struct ql_tpm_algs *algs, TPM2B_PUBLIC *ret, struct ql_err *err)
{
    const struct ql_tpm_enc *enc = NULL;
    TPM2_ALG_ID hash = 0, sign = 0;
    TPMT_PUBLIC p = {.objectAttributes = AK_ATTRIBUTES};
    bool sign_is_rsa;
    int r = ql_tpm_enc_find(algs->enc, &enc, err);

    if (r == 0)
        r = ql_tpm_hash_find(algs->hash, &hash, err);
    if (r == 0)
        r = ql_tpm_sign_find(algs->sign, &sign, err);
    if (r < 0)
        return r;
    sign_is_rsa = sign == TPM2_ALG_RSASSA || sign == TPM2_ALG_RSAPSS;
    if (sign_is_rsa != (enc->type == TPM2_ALG_RSA))
        return ql_fail(err, QL_ERANGE, "tpm_signing_alg %s does not fit tpm_encryption_alg %s", algs->sign,
                       algs->enc);

    p.type = enc->type;
    p.nameAlg = hash;
    if (enc->type == TPM2_ALG_RSA)
        p.parameters.rsaDetail = (TPMS_RSA_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                                                  .scheme = {.scheme = sign, .details.anySig.hashAlg = hash},
                                                  .keyBits = enc->rsa_bits};
    else
        p.parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                                                  .scheme = {.scheme = sign, .details.anySig.hashAlg = hash},
                                                  .curveID = enc->curve,
                                                  .kdf.scheme = TPM2_ALG_NULL};
    *ret = (TPM2B_PUBLIC){.publicArea = p};
    return QL_OK;
}

int ql_tpm_ak_create(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint8_t **public_area,
                     size_t *public_len, uint8_t **private_area, size_t *private_len, struct ql_err *err)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION no_pcrs = {0};
    ql_auto_esys TPM2B_PUBLIC *made = NULL;
    ql_auto_esys TPM2B_PRIVATE *private = NULL;
    ql_auto_free uint8_t *public_copy = NULL;
    uint8_t bytes[sizeof(TPMT_PUBLIC)];
    ESYS_TR session = ESYS_TR_NONE;
    size_t at = 0, copy_len = 0;
    TPM2B_PUBLIC in;
    TSS2_RC rc;
    int r = ak_template(algs, &in, err);

    if (r == 0)
        r = ql_tpm_ek_session(t, &session, err);
    if (r < 0)
        return r;
    rc = Esys_Create(t->esys, t->ek, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &in, &outside, &no_pcrs,
                     &private, &made, NULL, NULL, NULL);
    ql_tpm_flush(t, &session);
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_MU_TPMT_PUBLIC_Marshal(&made->publicArea, bytes, sizeof bytes, &at);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "making the attestation key");
    r = ql_tpm_dump(bytes, at, &public_copy, &copy_len, err);
    if (r == 0)
        r = ql_tpm_dump(private->buffer, private->size, private_area, private_len, err);
    if (r < 0)
        return r;
    *public_area = ql_steal(public_copy);
    *public_len = copy_len;
    return QL_OK;
}

int ql_tpm_ak_load(struct ql_tpm *t, const uint8_t *public_area, size_t public_len,
                   const uint8_t *private_area, size_t private_len, uint8_t **ak, size_t *ak_len,
                   struct ql_err *err)
{
    TPM2B_PUBLIC public = {0};
    TPM2B_PRIVATE private = {.size = (UINT16)private_len};
    ESYS_TR session = ESYS_TR_NONE, object = ESYS_TR_NONE;
    TPM2_HANDLE handle = 0;
    size_t at = 0;
    TSS2_RC rc = Tss2_MU_TPMT_PUBLIC_Unmarshal(public_area, public_len, &at, &public.publicArea);
    int r;

    if (rc != TSS2_RC_SUCCESS || at != public_len)
        return ql_fail(err, QL_EPARSE, "the attestation key's public area is no TPMT_PUBLIC (%zu bytes)",
                       public_len);
    if (private_len > sizeof private.buffer)
        return ql_fail(err, QL_ELIMIT, "the attestation key's private area has %zu bytes, at most %zu",
                       private_len, sizeof private.buffer);
    memcpy(private.buffer, private_area, private_len);
    r = ql_tpm_ek_session(t, &session, err);
    if (r < 0)
        return r;
    rc = Esys_Load(t->esys, t->ek, session, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public, &object);
    ql_tpm_flush(t, &session);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "loading the attestation key");
    rc = Esys_TR_GetTpmHandle(t->esys, object, &handle);
    r = rc == TSS2_RC_SUCCESS ? ql_tpm_dump_public(&public, ak, ak_len, err)
                              : ql_tpm_fail(err, rc, "loading the attestation key");
    if (r < 0) {
        ql_tpm_flush(t, &object);
        return r;
    }
    ql_tpm_flush(t, &t->ak);
    t->ak = object;
    t->ak_handle = handle;
    t->ak_hash = public.publicArea.type == TPM2_ALG_RSA
                     ? public.publicArea.parameters.rsaDetail.scheme.details.anySig.hashAlg
                     : public.publicArea.parameters.eccDetail.scheme.details.anySig.hashAlg;
    return QL_OK;
}

uint32_t ql_tpm_ak_handle(const struct ql_tpm *t)
{
    return t->ak_handle;
}

int ql_tpm_activate(struct ql_tpm *t, const uint8_t *id_object, size_t id_object_len, const uint8_t *secret,
                    size_t secret_len, struct ql_secret **ret, struct ql_err *err)
{
    TPM2B_ID_OBJECT credential = {.size = (UINT16)id_object_len};
    TPM2B_ENCRYPTED_SECRET encrypted = {.size = (UINT16)secret_len};
    TPM2B_DIGEST *result = NULL;
    ESYS_TR session = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    if (t->ak == ESYS_TR_NONE)
        return ql_fail(err, QL_EINTERNAL, "TPM: the attestation key is not loaded");
    if (id_object_len > sizeof credential.credential || secret_len > sizeof encrypted.secret)
        return ql_fail(err, QL_ELIMIT, "credential of %zu and %zu bytes, at most %zu and %zu", id_object_len,
                       secret_len, sizeof credential.credential, sizeof encrypted.secret);
    memcpy(credential.credential, id_object, id_object_len);
    memcpy(encrypted.secret, secret, secret_len);
    r = ql_tpm_ek_session(t, &session, err);
    if (r < 0)
        return r;
    rc = Esys_ActivateCredential(t->esys, t->ak, t->ek, ESYS_TR_PASSWORD, session, ESYS_TR_NONE, &credential,
                                 &encrypted, &result);
    ql_tpm_flush(t, &session);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "activating the credential");
    r = ql_secret_new(result->buffer, result->size, ret, err);
    ql_wipe(result, sizeof *result);
    Esys_Free(result);
    return r;
}
