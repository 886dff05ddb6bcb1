/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that come back from the store or the journal: the first byte says which. */
#include <string.h>

#include "failing.h"
#include "verifier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_loaded loaded = {.row = {.agent_id = (char *)(uintptr_t) "x"}};
    struct ql_failing *failing = NULL;
    ql_auto_free char *text = NULL, *names = NULL;
    ql_auto_free uint8_t *der = NULL;
    uint32_t mask;
    char mask_text[16];
    bool has_pcrs;
    size_t der_len;

    if (len == 0 || !(text = strndup((const char *)data + 1, len - 1)))
        return 0;
    switch (data[0] % 5) {
    case 0:
        (void)ql_tpm_policy_read(text, strlen(text), &mask, mask_text, &has_pcrs, NULL);
        break;
    case 1:
        (void)ql_needs_evidence(text, &names, NULL);
        break;
    case 2:
        (void)ql_pem_der(text, &der, &der_len, NULL);
        break;
    case 3:
        loaded.row.policies = text;
        (void)ql_loaded_refs(&loaded, NULL);
        break;
    default:
        if (ql_failing_read(text, strlen(text), NULL, &failing, NULL) == QL_OK)
            ql_failing_free(failing);
        break;
    }
    return 0;
}
