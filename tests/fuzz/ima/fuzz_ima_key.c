/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring.h"
#include "toolhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a measured buffer, an operator's key file, and the text of a keyring. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ima_keyring *ring = NULL;

    for (unsigned is_measured = 0; is_measured < 2; is_measured++) {
        struct ima_key *key = NULL;

        if (ima_key_read(data, size, is_measured, &key) == IMA_KEY_OK &&
            ima_keyring_new(&ql_tool_host, &ring, NULL) == 0) {
            (void)ima_keyring_add(ring, key, 0, NULL); /* an empty ring takes any */
            json_decref(ima_keyring_write(ring));
            ima_keyring_free(ring);
            ring = NULL;
        }
        ima_key_unref(key);
    }
    if (ima_keyring_read(&ql_tool_host, (const char *)data, size, &ring, NULL) == 0)
        ima_keyring_free(ring);
    return 0;
}
