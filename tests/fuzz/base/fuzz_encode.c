/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 and hex: what decodes encodes back to the same text. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_base64(const char *text, size_t len)
{
    uint8_t *bytes = NULL;
    size_t bytes_len = 0;
    char *back;

    if (ql_base64_decode_dup(text, len, 1 << 16, &bytes, &bytes_len, NULL) < 0)
        return;
    back = ql_base64_dup(bytes, bytes_len);
    if (!back || strlen(back) != len || memcmp(back, text, len) != 0)
        abort();
    free(back);
    free(bytes);
}

static void check_hex(const char *text, size_t len)
{
    uint8_t bytes[512];
    size_t bytes_len = 0;
    char *back;

    if (ql_hex_decode_upto(text, len, bytes, sizeof bytes, &bytes_len, NULL) < 0)
        return;
    back = ql_hex_dup(bytes, bytes_len);
    if (!back || strlen(back) != len || strncasecmp(back, text, len) != 0)
        abort();
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;

    check_base64(text, len);
    check_hex(text, len);
    if (len < 4096) { /* and the other way: any bytes survive */
        char *encoded = ql_base64_dup(data, len);
        uint8_t *decoded = NULL;
        size_t decoded_len = 0;

        if (!encoded ||
            ql_base64_decode_dup(encoded, strlen(encoded), len, &decoded, &decoded_len, NULL) < 0 ||
            decoded_len != len || (len > 0 && memcmp(decoded, data, len) != 0))
            abort();
        free(encoded);
        free(decoded);
    }
    return 0;
}
