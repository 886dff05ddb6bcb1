/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "buf.h"
#include "cert.h"
#include "internal.h"

enum {
    CHAIN_FIRST = 0x01C00100, /* TCG EK Credential Profile 2.2.1.5: where intermediate certificates stand */
    CHAIN_LAST = 0x01C001FF,
    CHAIN_MAX = 64 * 1024 /* bytes of all of them */
};

/**
 * NV indices from @p first on.
 * @param[out] ret  room for TPM2_MAX_CAP_HANDLES
 */
static int list_indices(struct ql_tpm *t, TPM2_HANDLE first, TPML_HANDLE *ret, bool *more, struct ql_err *err)
{
    ql_auto_esys TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more_data = TPM2_NO;
    TSS2_RC rc = Esys_GetCapability(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                                    first, TPM2_MAX_CAP_HANDLES, &more_data, &data);

    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "listing NV indices");
    *ret = data->data.handles;
    *more = more_data == TPM2_YES;
    return QL_OK;
}

static TSS2_RC read_object(struct ql_tpm *t, ESYS_TR object, struct ql_buf *out)
{
    ql_auto_esys TPM2B_NV_PUBLIC *public = NULL;
    TSS2_RC rc = Esys_NV_ReadPublic(t->esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL);
    uint16_t at = 0;

    if (rc != TSS2_RC_SUCCESS)
        return rc;
    while (at < public->nvPublic.dataSize) {
        ql_auto_esys TPM2B_MAX_NV_BUFFER *piece = NULL;
        uint16_t left = (uint16_t)(public->nvPublic.dataSize - at);
        uint16_t want = left < t->nv_chunk ? left : t->nv_chunk;

        rc = Esys_NV_Read(t->esys, object, object, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, want, at,
                          &piece);
        if (rc != TSS2_RC_SUCCESS)
            return rc;
        if (piece->size != want || ql_buf_add(out, piece->buffer, want) < 0)
            return TSS2_ESYS_RC_MALFORMED_RESPONSE;
        at = (uint16_t)(at + want);
    }
    return TSS2_RC_SUCCESS;
}

static int read_index(struct ql_tpm *t, TPM2_HANDLE index, struct ql_buf *out, struct ql_err *err)
{
    ESYS_TR object = ESYS_TR_NONE;
    TSS2_RC rc = Esys_TR_FromTPMPublic(t->esys, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &object);

    if (rc == TSS2_RC_SUCCESS)
        rc = read_object(t, object, out);
    ql_tpm_drop(t, &object, false);
    if (rc == TSS2_RC_SUCCESS)
        return QL_OK;
    (void)ql_tpm_fail(err, rc, "reading it");
    return ql_fail_context(err, QL_EIO, "NV index 0x%08x", index);
}

int ql_tpm_ek_cert(struct ql_tpm *t, const struct ql_tpm_algs *algs, uint8_t **ret, size_t *ret_len,
                   struct ql_err *err)
{
    ql_auto_buf struct ql_buf bytes = ql_buf_init(QL_TPM_NV_MAX);
    const struct ql_tpm_enc *enc = NULL;
    TPML_HANDLE found = {0};
    bool more = false;
    size_t len = 0;
    int r = ql_tpm_enc_find(algs->enc, &enc, err);

    if (r == 0)
        r = list_indices(t, enc->nv_index, &found, &more, err);
    if (r < 0)
        return r;
    if (found.count == 0 || found.handle[0] != enc->nv_index)
        return ql_fail(err, QL_ENOTFOUND, "the TPM has no EK certificate (NV index 0x%08x)", enc->nv_index);
    r = read_index(t, enc->nv_index, &bytes, err);
    if (r < 0)
        return r;
    /* Many TPMs fill the index up behind the certificate; what is no DER at all is the caller's to judge. */
    if (ql_der_element_len(bytes.data, bytes.len, &len) < 0)
        len = bytes.len;
    return ql_tpm_dump(bytes.data, len, ret, ret_len, err);
}

/** Copy the certificates out of the joined contents; where an index ends in something else, go on at the next one. */
static int keep_certificates(const struct ql_buf *bytes, const size_t *ends, size_t end_count,
                             struct ql_buf *out)
{
    size_t at = 0, next = 0, count = 0, len = 0;

    while (at < bytes->len && count < QL_CERT_MAX_CHAIN) {
        ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;

        if (ql_der_element_len(bytes->data + at, bytes->len - at, &len) == 0) {
            if (ql_cert_from_der(bytes->data + at, len, &cert, NULL) == 0) {
                if (ql_buf_add(out, bytes->data + at, len) < 0)
                    return QL_ENOMEM;
                count++;
            }
            at += len;
            continue;
        }
        while (next < end_count && ends[next] <= at)
            next++;
        if (next == end_count)
            break;
        at = ends[next];
    }
    return QL_OK;
}

int ql_tpm_ek_chain(struct ql_tpm *t, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_buf struct ql_buf bytes = ql_buf_init(CHAIN_MAX), certs = ql_buf_init(CHAIN_MAX);
    size_t ends[CHAIN_LAST - CHAIN_FIRST + 1], end_count = 0;
    TPM2_HANDLE next = CHAIN_FIRST;
    bool more = true;

    while (more && next <= CHAIN_LAST) {
        TPML_HANDLE found = {0};
        int r = list_indices(t, next, &found, &more, err);

        if (r < 0)
            return r;
        if (found.count == 0)
            break;
        for (uint32_t i = 0; i < found.count && i < TPM2_MAX_CAP_HANDLES; i++) {
            /* The answer goes on with higher indices (a platform certificate, for one): they are not the chain. */
            if (found.handle[i] < next || found.handle[i] > CHAIN_LAST) {
                more = false;
                break;
            }
            r = read_index(t, found.handle[i], &bytes, err);
            if (r < 0)
                return r;
            ends[end_count++] = bytes.len;
            next = found.handle[i] + 1;
        }
    }
    if (keep_certificates(&bytes, ends, end_count, &certs) < 0)
        return ql_fail_nomem(err);
    return ql_tpm_dump(certs.data, certs.len, ret, ret_len, err);
}
