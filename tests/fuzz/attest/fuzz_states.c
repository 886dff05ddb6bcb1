/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "states.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is read is written back as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_kept_state states[QL_POLICIES_MAX];
    ql_auto_free uint8_t *again = NULL;
    size_t count = 0, again_len = 0;

    if (len == 0 || ql_states_read(data, len, states, &count, NULL) != QL_OK)
        return 0;
    if (ql_states_write(states, count, &again, &again_len, NULL) != QL_OK || again_len != len ||
        memcmp(again, data, len) != 0)
        abort();
    return 0;
}
