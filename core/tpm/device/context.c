/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <tss2/tss2_rc.h>
#include <unistd.h>

#include "internal.h"

static const char *default_tcti(void)
{
    const char *env = getenv("TCTI");

    if (env && *env != '\0')
        return env;
    return access("/dev/tpmrm0", F_OK) == 0 ? "device:/dev/tpmrm0" : "device:/dev/tpm0";
}

/** One TPM_PT value. */
static TSS2_RC property(struct ql_tpm *t, TPM2_PT which, uint32_t *ret)
{
    ql_auto_esys TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more;
    TSS2_RC rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    TPM2_CAP_TPM_PROPERTIES, which, 1, &more, &data);

    if (rc != TSS2_RC_SUCCESS)
        return rc;
    if (data->data.tpmProperties.count < 1 || data->data.tpmProperties.tpmProperty[0].property != which)
        return TSS2_ESYS_RC_BAD_VALUE;
    *ret = data->data.tpmProperties.tpmProperty[0].value;
    return rc;
}

static int read_properties(struct ql_tpm *t, struct ql_err *err)
{
    uint32_t value = 0;
    size_t at = 0;

    for (TPM2_PT pt = TPM2_PT_VENDOR_STRING_1; pt <= TPM2_PT_VENDOR_STRING_4; pt++) {
        TSS2_RC rc = property(t, pt, &value);

        if (rc != TSS2_RC_SUCCESS)
            return ql_tpm_fail(err, rc, "reading the TPM's properties");
        for (int shift = 24; shift >= 0; shift -= 8) {
            char c = (char)(value >> shift & 0xff);

            if (c > ' ' && c < 0x7f)
                t->vendor[at++] = c;
        }
    }
    /* A TPM that does not say takes the smallest buffer that the profile allows. */
    t->nv_chunk = 512;
    if (property(t, TPM2_PT_NV_BUFFER_MAX, &value) == TSS2_RC_SUCCESS && value > 0)
        t->nv_chunk = (uint16_t)(value < TPM2_MAX_NV_BUFFER_SIZE ? value : TPM2_MAX_NV_BUFFER_SIZE);
    return QL_OK;
}

int ql_tpm_fail(struct ql_err *err, TSS2_RC rc, const char *what)
{
    /* Format-one codes carry the number of the handle, session or parameter: 0xBF keeps format and error alone. */
    TSS2_RC base = (rc & 0x80) ? (rc & 0xBF) : (rc & 0xFFFF);
    int code = QL_EIO;

    if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TPM_RC_LAYER) {
        if (base == TPM2_RC_AUTH_FAIL || base == TPM2_RC_BAD_AUTH || base == TPM2_RC_LOCKOUT)
            code = QL_EACCES;
        else if (base == TPM2_RC_COMMAND_CODE || base == TPM2_RC_CURVE || base == TPM2_RC_HASH ||
                 base == TPM2_RC_SCHEME || base == TPM2_RC_ASYMMETRIC || base == TPM2_RC_VALUE)
            code = QL_EUNSUPPORTED;
    }
    return ql_fail(err, code, "TPM: %s: %s (0x%x)", what, Tss2_RC_Decode(rc), rc);
}

int ql_tpm_open(const char *tcti, struct ql_tpm **ret, struct ql_err *err)
{
    ql_auto(ql_tpm_closep) struct ql_tpm *t = calloc(1, sizeof *t);
    TSS2_RC rc;
    int r;

    if (!t)
        return ql_fail_nomem(err);
    t->ek = t->ak = t->iak = ESYS_TR_NONE;
    if (!tcti || *tcti == '\0')
        tcti = default_tcti();
    rc = Tss2_TctiLdr_Initialize(tcti, &t->tcti);
    if (rc != TSS2_RC_SUCCESS)
        return ql_fail(err, QL_EIO, "TPM: cannot open %s: %s (0x%x)", tcti, Tss2_RC_Decode(rc), rc);
    rc = Esys_Initialize(&t->esys, t->tcti, NULL);
    if (rc != TSS2_RC_SUCCESS)
        return ql_fail(err, QL_EIO, "TPM: cannot talk to %s: %s (0x%x)", tcti, Tss2_RC_Decode(rc), rc);
    r = read_properties(t, err);
    if (r < 0)
        return r;
    *ret = ql_steal(t);
    return QL_OK;
}

void ql_tpm_close(struct ql_tpm *t)
{
    if (!t)
        return;
    if (t->esys) {
        ql_tpm_flush(t, &t->ak);
        ql_tpm_drop(t, &t->iak, t->iak_is_ours);
        ql_tpm_ek_done(t);
        Esys_Finalize(&t->esys);
    }
    if (t->tcti)
        Tss2_TctiLdr_Finalize(&t->tcti);
    free(t);
}

const char *ql_tpm_vendor(const struct ql_tpm *t)
{
    return t->vendor;
}

int ql_tpm_set_owner_auth(struct ql_tpm *t, const struct ql_secret *auth, struct ql_err *err)
{
    TPM2B_AUTH value = {0};
    size_t len = auth ? ql_secret_len(auth) : 0;
    TSS2_RC rc;

    if (len > sizeof value.buffer)
        return ql_fail(err, QL_ELIMIT, "tpm_ownerpassword of %zu bytes, at most %zu", len,
                       sizeof value.buffer);
    value.size = (UINT16)len;
    if (len > 0)
        memcpy(value.buffer, ql_secret_data(auth), len);
    rc = Esys_TR_SetAuth(t->esys, ESYS_TR_RH_ENDORSEMENT, &value);
    ql_wipe(&value, sizeof value);
    return rc == TSS2_RC_SUCCESS ? QL_OK : ql_tpm_fail(err, rc, "setting the endorsement authorisation");
}

void ql_tpm_flush(struct ql_tpm *t, ESYS_TR *object)
{
    if (*object == ESYS_TR_NONE)
        return;
    /* A TPM that refuses to flush is gone or reset: there is nothing left to free. */
    (void)Esys_FlushContext(t->esys, *object);
    *object = ESYS_TR_NONE;
}

void ql_tpm_drop(struct ql_tpm *t, ESYS_TR *object, bool ours)
{
    if (ours) {
        ql_tpm_flush(t, object);
    } else if (*object != ESYS_TR_NONE) {
        (void)Esys_TR_Close(t->esys, object); /* frees memory of ESYS only */
        *object = ESYS_TR_NONE;
    }
}

int ql_tpm_persistent(struct ql_tpm *t, TPM2_HANDLE handle, const char *what, ESYS_TR *ret,
                      TPM2B_PUBLIC **ret_public, struct ql_err *err)
{
    ESYS_TR object = ESYS_TR_NONE;
    TSS2_RC rc;

    if (handle >> 24 != TPM2_HT_PERSISTENT)
        return ql_fail(err, QL_ERANGE, "%s 0x%08x is not a persistent handle (0x81......)", what, handle);
    rc = Esys_TR_FromTPMPublic(t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object);
    if (rc == TSS2_RC_SUCCESS)
        rc = Esys_ReadPublic(t->esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ret_public, NULL,
                             NULL);
    if (rc != TSS2_RC_SUCCESS) {
        ql_tpm_drop(t, &object, false);
        (void)ql_tpm_fail(err, rc, "reading the key");
        return ql_fail_context(err, QL_EIO, "%s 0x%08x", what, handle);
    }
    *ret = object;
    return QL_OK;
}

int ql_tpm_primary(struct ql_tpm *t, const TPM2B_PUBLIC *in, const TPML_PCR_SELECTION *pcrs, const char *what,
                   ESYS_TR *ret, TPM2B_PUBLIC **ret_public, struct ql_err *err)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    TSS2_RC rc =
        Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                           &sensitive, in, &outside, pcrs, ret, ret_public, NULL, NULL, NULL);

    return rc == TSS2_RC_SUCCESS ? QL_OK : ql_tpm_fail(err, rc, what);
}

int ql_tpm_dump(const void *data, size_t len, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    if (!copy)
        return ql_fail_nomem(err);
    if (len > 0)
        memcpy(copy, data, len);
    *ret = copy;
    *ret_len = len;
    return QL_OK;
}

int ql_tpm_dump_public(const TPM2B_PUBLIC *in, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    uint8_t bytes[sizeof(TPM2B_PUBLIC)];
    size_t at = 0;
    TSS2_RC rc = Tss2_MU_TPM2B_PUBLIC_Marshal(in, bytes, sizeof bytes, &at);

    return rc == TSS2_RC_SUCCESS ? ql_tpm_dump(bytes, at, ret, ret_len, err)
                                 : ql_tpm_fail(err, rc, "encoding a public area");
}

int ql_tpm_dump_signature(const TPMT_SIGNATURE *in, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    uint8_t bytes[sizeof(TPMT_SIGNATURE)];
    size_t at = 0;
    TSS2_RC rc = Tss2_MU_TPMT_SIGNATURE_Marshal(in, bytes, sizeof bytes, &at);

    return rc == TSS2_RC_SUCCESS ? ql_tpm_dump(bytes, at, ret, ret_len, err)
                                 : ql_tpm_fail(err, rc, "encoding a signature");
}
