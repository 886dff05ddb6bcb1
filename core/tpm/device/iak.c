/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/* Policies and unique values: TCG TPM 2.0 Keys for Device Identity and Attestation, 7.3.6. */
static const uint8_t IDEVID_SHA256[] = {0xad, 0x6b, 0x3a, 0x22, 0x84, 0xfd, 0x69, 0x8a, 0x07, 0x10, 0xbf,
                                        0x5c, 0xc1, 0xb9, 0xbd, 0xf1, 0x5e, 0x25, 0x32, 0xe3, 0xf6, 0x01,
                                        0xfa, 0x4b, 0x93, 0xa6, 0xa8, 0xfa, 0x8d, 0xe5, 0x79, 0xea};

static const uint8_t IDEVID_SHA384[] = {
    0x4d, 0xb1, 0xaa, 0x83, 0x6d, 0x0b, 0x56, 0x15, 0xdf, 0x6e, 0xe5, 0x3a, 0x40, 0xef, 0x70, 0xc6,
    0x1c, 0x21, 0x7f, 0x43, 0x03, 0xd4, 0x46, 0x95, 0x92, 0x59, 0x72, 0xbc, 0x92, 0x70, 0x06, 0xcf,
    0xa5, 0xcb, 0xdf, 0x6d, 0xc1, 0x8c, 0x4d, 0xbe, 0x32, 0x9b, 0x2f, 0x15, 0x42, 0xc3, 0xdd, 0x33};

static const uint8_t IDEVID_SHA512[] = {
    0x7d, 0xd7, 0x50, 0x0f, 0xd6, 0xc1, 0xb9, 0x4f, 0x97, 0xa6, 0xaf, 0x91, 0x0d, 0xa1, 0x47, 0x30,
    0x1e, 0xf2, 0x8f, 0x66, 0x2f, 0xee, 0x06, 0xf2, 0x25, 0xa4, 0xcc, 0xad, 0xda, 0x3b, 0x4e, 0x6b,
    0x38, 0xe6, 0x6b, 0x2f, 0x3a, 0xd5, 0xde, 0xe1, 0xa0, 0x50, 0x3c, 0xd2, 0xda, 0xed, 0xb1, 0xe6,
    0x8c, 0xfe, 0x4f, 0x84, 0xb0, 0x3a, 0x8c, 0xd2, 0x2b, 0xb6, 0xa9, 0x76, 0xf0, 0x71, 0xa7, 0x2f};

static const uint8_t IAK_SHA256[] = {0x54, 0x37, 0x18, 0x23, 0x26, 0xe4, 0x14, 0xfc, 0xa7, 0x97, 0xd5,
                                     0xf1, 0x74, 0x61, 0x5a, 0x16, 0x41, 0xf6, 0x12, 0x55, 0x79, 0x7c,
                                     0x3a, 0x2b, 0x22, 0xc2, 0x1d, 0x12, 0x0b, 0x2d, 0x1e, 0x07};

static const uint8_t IAK_SHA384[] = {0x12, 0x9d, 0x94, 0xeb, 0xf8, 0x45, 0x56, 0x65, 0x2c, 0x6e, 0xef, 0x43,
                                     0xbb, 0xb7, 0x57, 0x51, 0x2a, 0xc8, 0x7e, 0x52, 0xbe, 0x7b, 0x34, 0x9c,
                                     0xa6, 0xce, 0x4d, 0x82, 0x6f, 0x74, 0x9f, 0xcf, 0x67, 0x2f, 0x51, 0x71,
                                     0x6c, 0x5c, 0xbb, 0x60, 0x5f, 0x31, 0x3b, 0xf3, 0x45, 0xaa, 0xb3, 0x12};

static const uint8_t IAK_SHA512[] = {
    0x80, 0x60, 0xd1, 0xfb, 0x31, 0x71, 0x6a, 0x29, 0xe4, 0x8a, 0x6e, 0x5f, 0xec, 0xe0, 0x88, 0xbc,
    0xfc, 0x1b, 0x27, 0x8f, 0xc1, 0x62, 0x25, 0x5e, 0x81, 0xc3, 0xec, 0xa3, 0x54, 0x4c, 0xd4, 0x4a,
    0xf9, 0x44, 0x10, 0xc3, 0x71, 0x5d, 0x56, 0x1c, 0xcc, 0xd9, 0xe3, 0x9a, 0x6c, 0xb2, 0x64, 0x6d,
    0x43, 0x53, 0x5b, 0xb5, 0x4e, 0xa8, 0x87, 0x10, 0xde, 0xb5, 0xf7, 0x83, 0x6b, 0xd9, 0xb5, 0x86};

enum {
    IDEVID_ATTRIBUTES = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                        TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_SIGN_ENCRYPT,
    IAK_ATTRIBUTES = IDEVID_ATTRIBUTES | TPMA_OBJECT_RESTRICTED
};

/** What the name hash decides. */
struct key_row {
    const char *template; /* NULL: only by "manual" */
    const char *enc;      /* "rsa" or "ecc", as iak_idevid_asymmetric_alg says */
    const char *hash;
    TPM2_ALG_ID name_alg;
    uint16_t rsa_bits;
    TPM2_ECC_CURVE curve;
    const uint8_t *iak_policy, *idevid_policy;
};

static const struct key_row ROWS[] = {
    {"H-1", "rsa", "sha256", TPM2_ALG_SHA256, 2048, 0, IAK_SHA256, IDEVID_SHA256},
    {"H-2", "ecc", "sha256", TPM2_ALG_SHA256, 0, TPM2_ECC_NIST_P256, IAK_SHA256, IDEVID_SHA256},
    {"H-3", "ecc", "sha384", TPM2_ALG_SHA384, 0, TPM2_ECC_NIST_P384, IAK_SHA384, IDEVID_SHA384},
    {"H-4", "ecc", "sha512", TPM2_ALG_SHA512, 0, TPM2_ECC_NIST_P521, IAK_SHA512, IDEVID_SHA512},
    {NULL, "rsa", "sha384", TPM2_ALG_SHA384, 3072, 0, IAK_SHA384, IDEVID_SHA384},
    {NULL, "rsa", "sha512", TPM2_ALG_SHA512, 4096, 0, IAK_SHA512, IDEVID_SHA512},
};

static const struct key_row *find_row(const struct ql_iak_template *tmpl)
{
    bool manual = strcmp(tmpl->name, "manual") == 0;

    for (size_t i = 0; i < QL_ARRAY_LEN(ROWS); i++) {
        const struct key_row *row = &ROWS[i];

        if (manual ? strcmp(row->enc, tmpl->enc) == 0 && strcmp(row->hash, tmpl->hash) == 0
                   : row->template && strcmp(row->template, tmpl->name) == 0)
            return row;
    }
    return NULL;
}

static TPM2B_PUBLIC key_template(const struct key_row *row, bool is_iak)
{
    const char *unique = is_iak ? "IAK" : "IDEVID";
    const uint16_t unique_len = (uint16_t)strlen(unique);
    TPM2B_PUBLIC in = {.publicArea = {.type = row->rsa_bits ? TPM2_ALG_RSA : TPM2_ALG_ECC,
                                      .nameAlg = row->name_alg,
                                      .objectAttributes = is_iak ? IAK_ATTRIBUTES : IDEVID_ATTRIBUTES,
                                      .authPolicy = {.size = ql_tpm_hash_size(row->name_alg)}}};
    TPMT_PUBLIC *p = &in.publicArea;

    memcpy(p->authPolicy.buffer, is_iak ? row->iak_policy : row->idevid_policy, p->authPolicy.size);
    if (row->rsa_bits) {
        p->parameters.rsaDetail = (TPMS_RSA_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                                                   .scheme.scheme = is_iak ? TPM2_ALG_RSAPSS : TPM2_ALG_NULL,
                                                   .keyBits = row->rsa_bits};
        if (is_iak)
            p->parameters.rsaDetail.scheme.details.rsapss.hashAlg = row->name_alg;
        p->unique.rsa.size = unique_len;
        memcpy(p->unique.rsa.buffer, unique, unique_len);
    } else {
        p->parameters.eccDetail =
            (TPMS_ECC_PARMS){.symmetric.algorithm = TPM2_ALG_NULL,
                             .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = row->name_alg},
                             .curveID = row->curve,
                             .kdf.scheme = TPM2_ALG_NULL};
        p->unique.ecc.x.size = p->unique.ecc.y.size = unique_len;
        memcpy(p->unique.ecc.x.buffer, unique, unique_len);
        memcpy(p->unique.ecc.y.buffer, unique, unique_len);
    }
    return in;
}

static int set_password(struct ql_tpm *t, ESYS_TR object, const struct ql_secret *password,
                        struct ql_err *err)
{
    TPM2B_AUTH value = {0};
    size_t len = password ? ql_secret_len(password) : 0;
    TSS2_RC rc;

    if (len > sizeof value.buffer)
        return ql_fail(err, QL_ELIMIT, "password of %zu bytes, at most %zu", len, sizeof value.buffer);
    value.size = (UINT16)len;
    if (len > 0)
        memcpy(value.buffer, ql_secret_data(password), len);
    rc = Esys_TR_SetAuth(t->esys, object, &value);
    ql_wipe(&value, sizeof value);
    return rc == TSS2_RC_SUCCESS ? QL_OK : ql_tpm_fail(err, rc, "setting a key's authorisation");
}

/** One of the two keys, by handle or from the template. */
static int open_key(struct ql_tpm *t, const struct ql_iak_template *tmpl, bool is_iak, ESYS_TR *ret,
                    TPM2B_PUBLIC **ret_public, struct ql_err *err)
{
    /* The profile names these PCRs for creation data; they do not change the key. */
    static const TPML_PCR_SELECTION pcrs = {
        .count = 1, .pcrSelections = {{.hash = TPM2_ALG_SHA256, .sizeofSelect = 3, .pcrSelect = {0xff}}}};
    const uint32_t handle = is_iak ? tmpl->iak_handle : tmpl->idevid_handle;
    const struct key_row *row;
    TPM2B_PUBLIC in;

    if (handle != 0)
        return ql_tpm_persistent(t, handle, is_iak ? "iak_handle" : "idevid_handle", ret, ret_public, err);
    row = find_row(tmpl);
    if (!row)
        return ql_fail(err, QL_EUNSUPPORTED, "iak_idevid_template %s (%s, %s): no such template here",
                       tmpl->name, tmpl->enc ? tmpl->enc : "", tmpl->hash ? tmpl->hash : "");
    in = key_template(row, is_iak);
    return ql_tpm_primary(t, &in, &pcrs, is_iak ? "making the IAK" : "making the IDevID key", ret, ret_public,
                          err);
}

int ql_tpm_iak(struct ql_tpm *t, const struct ql_iak_template *tmpl, uint8_t **iak, size_t *iak_len,
               uint8_t **idevid, size_t *idevid_len, struct ql_err *err)
{
    ql_auto_esys TPM2B_PUBLIC *iak_public = NULL, *idevid_public = NULL;
    ql_auto_free uint8_t *idevid_copy = NULL;
    ESYS_TR object = ESYS_TR_NONE;
    size_t copy_len = 0;
    int r = open_key(t, tmpl, false, &object, &idevid_public, err);

    if (r < 0)
        return r;
    ql_tpm_drop(t, &object, tmpl->idevid_handle == 0); /* only its public part is needed */
    r = ql_tpm_dump_public(idevid_public, &idevid_copy, &copy_len, err);
    if (r == 0)
        r = open_key(t, tmpl, true, &object, &iak_public, err);
    if (r < 0)
        return r;
    r = set_password(t, object, tmpl->iak_password, err);
    if (r == 0)
        r = ql_tpm_dump_public(iak_public, iak, iak_len, err);
    if (r < 0) {
        ql_tpm_drop(t, &object, tmpl->iak_handle == 0);
        return r;
    }
    ql_tpm_drop(t, &t->iak, t->iak_is_ours);
    t->iak = object;
    t->iak_is_ours = tmpl->iak_handle == 0;
    *idevid = ql_steal(idevid_copy);
    *idevid_len = copy_len;
    return QL_OK;
}

int ql_tpm_certify(struct ql_tpm *t, const void *qualifying, size_t qualifying_len, uint8_t **attest,
                   size_t *attest_len, uint8_t **signature, size_t *signature_len, struct ql_err *err)
{
    static const TPMT_SIG_SCHEME own_scheme = {.scheme = TPM2_ALG_NULL};
    TPM2B_DATA data = {.size = (UINT16)qualifying_len};
    ql_auto_esys TPM2B_ATTEST *made = NULL;
    ql_auto_esys TPMT_SIGNATURE *signed_by = NULL;
    ql_auto_free uint8_t *attest_copy = NULL;
    size_t copy_len = 0;
    TSS2_RC rc;
    int r;

    if (t->ak == ESYS_TR_NONE || t->iak == ESYS_TR_NONE)
        return ql_fail(err, QL_EINTERNAL, "TPM: AK and IAK are not both loaded");
    if (qualifying_len > sizeof data.buffer)
        return ql_fail(err, QL_ELIMIT, "qualifying data of %zu bytes, at most %zu", qualifying_len,
                       sizeof data.buffer);
    memcpy(data.buffer, qualifying, qualifying_len);
    rc = Esys_Certify(t->esys, t->ak, t->iak, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE, &data,
                      &own_scheme, &made, &signed_by);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "certifying the attestation key by the IAK");
    r = ql_tpm_dump(made->attestationData, made->size, &attest_copy, &copy_len, err);
    if (r == 0)
        r = ql_tpm_dump_signature(signed_by, signature, signature_len, err);
    if (r < 0)
        return r;
    *attest = ql_steal(attest_copy);
    *attest_len = copy_len;
    return QL_OK;
}
