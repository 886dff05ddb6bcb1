/* SPDX-License-Identifier: Apache-2.0 */
/* Certifications of an attestation key: which of the fixed keys (r, e), u16 length, TPMS_ATTEST, TPMT_SIGNATURE. */
#include <stdlib.h>

#include "certify.h"
#include "fixed_keys.h"
#include "reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct ql_tpm_public iak[2], ak;
    struct ql_reader r = ql_reader_of(data, len);
    size_t which = ql_reader_u8(&r) == 'e', attest_len;
    const uint8_t *attest = ql_reader_tpm2b(&r, &attest_len);

    if (ak.name_len == 0 && (ql_tpm_public_parse(fixed_iak_rsa, sizeof fixed_iak_rsa, &iak[0], NULL) < 0 ||
                             ql_tpm_public_parse(fixed_iak_ecc, sizeof fixed_iak_ecc, &iak[1], NULL) < 0 ||
                             ql_tpm_public_parse(fixed_certified, sizeof fixed_certified, &ak, NULL) < 0))
        abort();
    if (!r.failed)
        (void)ql_certify_check(&iak[which], &ak, attest, attest_len, r.at, r.left,
                               "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91", NULL); /* any verdict, but no crash */
    return 0;
}
