/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope.h"
#include "base64.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(const uint8_t *text, size_t len, uint8_t *out)
{
    if (len == 0 || len % 2 != 0)
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int ima_envelope_payload(const struct ql_host *host, const uint8_t *text, size_t len, uint8_t **ret,
                         size_t *ret_len, struct ql_err *err)
{
    uint8_t *out = host->alloc(host, len / 4 * 3 + 4);
    size_t n = len / 2;

    if (!out)
        return host->fail(err, QL_ENOMEM, "no memory for a payload of %zu characters", len);
    if (!unhex(text, len, out) && !ima_base64_decode(IMA_BASE64_STRICT, text, len, out, &n) &&
        !ima_base64_decode(IMA_BASE64_URL, text, len, out, &n)) {
        host->free(host, out);
        return host->fail(err, QL_EPARSE, "payload is neither hex nor base64");
    }
    *ret = out;
    *ret_len = n;
    return QL_OK;
}
