/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "pcr_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ql_pcr_values v = {.digest_len = 1};
    const int r = ql_pcr_text_read((const char *)data, size, "sha256", &v, NULL);

    if (r == QL_OK ? v.digest_len != 32 || v.present >> QL_PCR_TEXT_PCRS != 0 : v.digest_len != 1)
        __builtin_trap();
    return 0;
}
