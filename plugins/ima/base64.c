/* SPDX-License-Identifier: Apache-2.0 */
#include "base64.h"

static int value_of(enum ima_base64 form, uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (form == IMA_BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (form == IMA_BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

/* Padding ends the text once it completes a group; a lone '=' elsewhere counts as any other stray character. */
bool ima_base64_decode(enum ima_base64 form, const uint8_t *text, size_t len, uint8_t *out, size_t *ret_len)
{
    uint32_t group = 0;
    unsigned symbols = 0, pads = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int v = value_of(form, text[i]);

        if (text[i] == '=' && symbols >= 2 && symbols + ++pads >= 4) {
            if (form != IMA_BASE64_LENIENT && i + 1 != len)
                return false;
            break;
        }
        if (v < 0) {
            if (form != IMA_BASE64_LENIENT && (text[i] != '=' || symbols < 2))
                return false;
            continue;
        }
        if (pads > 0 && form != IMA_BASE64_LENIENT)
            return false;
        pads = 0;
        group = group << 6 | (uint32_t)v;
        if (++symbols < 4)
            continue;
        out[n++] = (uint8_t)(group >> 16);
        out[n++] = (uint8_t)(group >> 8);
        out[n++] = (uint8_t)group;
        group = 0;
        symbols = 0;
    }
    if (symbols != 0 && (symbols < 2 || symbols + pads != 4))
        return false;
    if (symbols >= 2)
        out[n++] = (uint8_t)(group << 6 * (4 - symbols) >> 16);
    if (symbols == 3)
        out[n++] = (uint8_t)(group << 6 >> 8);
    *ret_len = n;
    return true;
}
