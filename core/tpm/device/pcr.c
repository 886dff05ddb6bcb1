/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

int ql_tpm_pcr_read(struct ql_tpm *t, enum ql_hash bank, unsigned pcr, uint8_t *ret, struct ql_err *err)
{
    TPML_PCR_SELECTION want = {.count = 1, .pcrSelections = {{.hash = (TPM2_ALG_ID)bank, .sizeofSelect = 3}}};
    ql_auto_esys TPML_PCR_SELECTION *got = NULL;
    ql_auto_esys TPML_DIGEST *digests = NULL;
    uint32_t counter = 0;
    TSS2_RC rc;

    if (pcr >= QL_PCR_COUNT)
        return ql_fail(err, QL_ERANGE, "PCR %u does not exist", pcr);
    want.pcrSelections[0].pcrSelect[pcr / 8] = (BYTE)(1u << pcr % 8);
    rc = Esys_PCR_Read(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &want, &counter, &got, &digests);
    if (rc != TSS2_RC_SUCCESS)
        return ql_tpm_fail(err, rc, "reading a PCR");
    if (digests->count != 1 || digests->digests[0].size != ql_hash_len(bank))
        return ql_fail(err, QL_EUNSUPPORTED, "TPM: bank %s is not active", ql_hash_name(bank));
    memcpy(ret, digests->digests[0].buffer, ql_hash_len(bank));
    return QL_OK;
}

int ql_tpm_pcr_extend(struct ql_tpm *t, unsigned pcr, const struct ql_pcr_value *values, size_t count,
                      struct ql_err *err)
{
    TPML_DIGEST_VALUES list = {.count = (uint32_t)count};
    TSS2_RC rc;

    if (pcr >= QL_PCR_COUNT || count == 0 || count > QL_PCR_BANKS)
        return ql_fail(err, QL_ERANGE, "PCR %u in %zu banks", pcr, count);
    for (size_t i = 0; i < count; i++) {
        list.digests[i].hashAlg = (TPM2_ALG_ID)values[i].bank;
        memcpy(&list.digests[i].digest, values[i].digest, ql_hash_len(values[i].bank));
    }
    rc = Esys_PCR_Extend(t->esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &list);
    return rc == TSS2_RC_SUCCESS ? QL_OK : ql_tpm_fail(err, rc, "extending a PCR");
}
