/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "detached.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *out = NULL;
    size_t len = 0;

    if (ql_openpgp_dearmour((struct ql_span){data, size}, &out, &len, NULL) == QL_OK && len > size)
        abort(); /* armour only adds */
    free(out);
    return 0;
}
