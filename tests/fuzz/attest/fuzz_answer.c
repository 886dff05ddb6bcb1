/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "../../unit/attest/tree.h"
#include "answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/*
 * The walk accepts what jansson accepts and finds the same values; the reader of answers survives whatever it
 * is given.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_answer a;

    if (tree_compare((const char *)data, len) == -2)
        abort();
    (void)ql_answer_read((const char *)data, len, true, &a, NULL); /* the result does not matter here */
    (void)ql_answer_read((const char *)data, len, false, &a, NULL);
    return 0;
}
