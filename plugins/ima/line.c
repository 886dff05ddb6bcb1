/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <endian.h>
#include <string.h>

/* Value of a hex digit and 1; 0: none. */
static const uint8_t DIGITS[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* Value of a digit; 0xff: none, and the high bit of two ORed shows either. */
static inline uint8_t digit(uint8_t c)
{
    return (uint8_t)(DIGITS[c] - 1);
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight digits at once. @return false: one of them is none */
static inline bool eight_digits(const uint8_t *text, uint8_t out[4])
{
    uint64_t v, small, low, is_digit, is_letter;
    uint32_t four;

    memcpy(&v, text, sizeof v);
    v = le64toh(v);
    small = v & EACH(0x7f);
    low = small | EACH(0x20);
    /* The high bit of a byte tells whether it is in a range: bytes below 0x80 carry into no other one. */
    is_digit = (small + EACH(0x80 - '0')) & ~(small + EACH(0x80 - '9' - 1));
    is_letter = (low + EACH(0x80 - 'a')) & ~(low + EACH(0x80 - 'f' - 1));
    if (((is_digit | is_letter) & ~v & EACH(0x80)) != EACH(0x80))
        return false;
    v = (v & EACH(0x0f)) + 9 * (v >> 6 & EACH(0x01));
    v = (v << 4 | v >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v | v >> 8) & UINT64_C(0x0000ffff0000ffff);
    four = htole32((uint32_t)(v | v >> 16));
    memcpy(out, &four, sizeof four);
    return true;
}

bool ima_hex_decode(const uint8_t *text, size_t len, uint8_t *out)
{
    uint8_t wrong = 0;

    if (len % 2 != 0)
        return false;
    for (; len >= 8; text += 8, out += 4, len -= 8)
        if (!eight_digits(text, out))
            return false;
    for (size_t i = 0; i < len / 2; i++) {
        const uint8_t high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        wrong |= high | low;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return !(wrong & 0x80);
}

struct ima_lines ima_lines_of(const uint8_t *list, size_t len)
{
    while (len > 0 && list[len - 1] == '\n')
        len--;
    while (len > 0 && *list == '\n') {
        list++;
        len--;
    }
    return (struct ima_lines){.at = list, .end = list + len, .done = len == 0};
}

bool ima_lines_next(struct ima_lines *l, struct ima_bytes *ret)
{
    const uint8_t *feed;

    if (l->done)
        return false;
    feed = memchr(l->at, '\n', (size_t)(l->end - l->at));
    *ret = (struct ima_bytes){l->at, (size_t)((feed ? feed : l->end) - l->at)};
    l->done = !feed;
    l->at = feed ? feed + 1 : l->end;
    l->number++;
    return true;
}

bool ima_cut(struct ima_bytes *rest, struct ima_bytes *ret)
{
    const uint8_t *space = rest->len > 0 ? memchr(rest->at, ' ', rest->len) : NULL;

    if (!space)
        return false;
    *ret = (struct ima_bytes){rest->at, (size_t)(space - rest->at)};
    rest->len -= ret->len + 1;
    rest->at = space + 1;
    return true;
}

bool ima_bytes_are(struct ima_bytes b, const char *text)
{
    const size_t len = strlen(text);

    return b.len == len && memcmp(b.at, text, len) == 0;
}

bool ima_columns_read(struct ima_bytes line, struct ima_columns *ret)
{
    struct ima_bytes hash;

    if (line.len > IMA_LINE_MAX || !ima_cut(&line, &ret->pcr) || !ima_cut(&line, &hash) ||
        !ima_cut(&line, &ret->name))
        return false;
    ret->rest = line;
    ret->hash_len = hash.len / 2;
    if (hash.len <= 2 * sizeof ret->hash)
        return ima_hex_decode(hash.at, hash.len, ret->hash);
    /* Longer than any hash: an entry, but one whose hash cannot be right. */
    if (!ima_hex_decode(hash.at, 2 * sizeof ret->hash, ret->hash))
        return false;
    for (size_t i = 0; i < hash.len; i++)
        if (digit(hash.at[i]) & 0x80)
            return false;
    return hash.len % 2 == 0;
}
