/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "evidence_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_evidence_asked asked = {0};
    char *text = malloc(len + 1);

    if (!text)
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (ql_evidence_asked_parse(text, &asked, NULL) == 0 &&
        (asked.count == 0 || asked.count > QL_EVIDENCE_ASKED_MAX))
        abort();
    free(text);
    return 0;
}
