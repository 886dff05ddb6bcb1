/* SPDX-License-Identifier: Apache-2.0 */
#include "rpm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ql_draft d;

    ql_draft_init(&d);
    (void)ql_rpm_read(data, size, &d, NULL); /* any answer will do */
    ql_draft_done(&d);
    return 0;
}
