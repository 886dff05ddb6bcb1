/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = NULL;
    volatile uint8_t sum = 0;

    if (ql_frame_parse(data, len, NULL, 0, &f, NULL) != QL_OK)
        return 0;
    for (size_t i = 0; i < f->count; i++)
        for (size_t k = 0; k < f->items[i].len; k++)
            sum = (uint8_t)(sum + f->items[i].data[k]);
    return 0;
}
