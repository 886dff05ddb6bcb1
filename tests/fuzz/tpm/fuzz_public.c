/* SPDX-License-Identifier: Apache-2.0 */
/* Public areas as bytes and as text; the rules; and a credential for what may be an endorsement key. */
#include <stdlib.h>
#include <string.h>

#include "credential.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void use(const struct ql_tpm_public *p)
{
    static const char challenge[QL_CHALLENGE_LEN + 1] = "0123456789abcdefghij0123456789ab";
    struct ql_key *key = NULL;
    const uint8_t *id, *secret;
    uint8_t *blob = NULL;
    size_t blob_len, id_len, secret_len;

    (void)ql_tpm_enc_alg(p); /* any answer is fine here and below: it must not crash */
    if (ql_tpm_check_ak(p, NULL) == QL_OK && ql_tpm_check_ek(p, NULL) == QL_OK)
        abort(); /* nothing may be both */
    if (ql_tpm_public_key(p, &key, NULL) == QL_OK)
        ql_key_free(key);
    if (ql_make_credential(p, p->name, p->name_len, challenge, QL_CHALLENGE_LEN, &blob, &blob_len, NULL) !=
        QL_OK)
        return;
    if (ql_credential_split(blob, blob_len, &id, &id_len, &secret, &secret_len, NULL) != QL_OK)
        abort();
    free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_tpm_public p;
    uint8_t *raw = NULL;
    size_t raw_len;

    if (ql_tpm_public_parse(data, len, &p, NULL) == QL_OK)
        use(&p);
    if (ql_tpm_public_from_text((const char *)data, len, &p, &raw, &raw_len, NULL) == QL_OK) {
        use(&p);
        free(raw);
    }
    return 0;
}
