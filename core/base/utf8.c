/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "utf8.h"

size_t ql_utf8_step(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t least, value;
    size_t len;

    if (left == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
        least = 0x80;
        value = p[0] & 0x1fu;
    } else if ((p[0] & 0xf0) == 0xe0) {
        len = 3;
        least = 0x800;
        value = p[0] & 0x0fu;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        least = 0x10000;
        value = p[0] & 0x07u;
    } else {
        return 0;
    }
    if (left < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    return len;
}
