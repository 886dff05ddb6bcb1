/* SPDX-License-Identifier: Apache-2.0 */
/** @file must.h  What the fuzz targets of measured boot share. */
#pragma once
#include <stdint.h>
#include <stdlib.h>

#include "toolhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** What must hold. */
static inline void must(int holds)
{
    if (!holds)
        abort();
}
