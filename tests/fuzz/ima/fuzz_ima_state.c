/* SPDX-License-Identifier: Apache-2.0 */
/* State between two quotes: what is read is written back as it was, and the keyrings in it can be asked. */
#include "rings.h"
#include "state.h"
#include "toolhost.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ima_rings *rings = NULL;
    struct ima_key *key = NULL;
    struct ima_state s;
    uint8_t *again = NULL;
    size_t len = 0;

    if (!ima_state_read(IMA_STATE_VERSION, data, size, &s))
        return 0;
    if (ima_state_write(&ql_tool_host, &s, &again, &len, NULL) == QL_OK &&
        (len != size || memcmp(again, data, len) != 0))
        abort();
    free(again);
    if (ima_rings_new(&ql_tool_host, NULL, NULL, s.rings, &rings, NULL) < 0)
        return 0;
    (void)ima_rings_find(rings, 1, &key, NULL); /* the answer is the text's */
    ima_rings_free(rings);
    return 0;
}
