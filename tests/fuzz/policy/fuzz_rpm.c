/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "rpm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ql_draft d;
    size_t need = ql_rpm_need(data, size);

    ql_draft_init(&d);
    if (ql_rpm_read(data, size, &d, NULL) == QL_OK && (need == 0 || need > size))
        abort(); /* what can be read is what was said to be enough */
    ql_draft_done(&d);
    return 0;
}
