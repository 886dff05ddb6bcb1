/* SPDX-License-Identifier: Apache-2.0 */
#include "loadoption.h"

#include "bytes.h"
#include "text.h"

enum {
    HEAD_LEN = 6,  /* attributes, length of the path list */
    SHORTEST = 8,  /* and the description's NUL */
    ACTIVE_BIT = 1 /* LOAD_OPTION_ACTIVE */
};

/** @return units of the description before its NUL, or as many as fit when there is none */
static size_t description_units(const uint8_t *data, size_t len)
{
    const size_t most = (len - HEAD_LEN) / 2;
    size_t n = 0;

    while (n < most && mb_u16(data + HEAD_LEN + 2 * n) != 0)
        n++;
    return n;
}

const char *mb_loadoption_check(const uint8_t *data, size_t len)
{
    if (len < SHORTEST)
        return "a boot option is cut short";
    if (description_units(data, len) == (len - HEAD_LEN) / 2)
        return "a boot option's description has no end";
    return NULL;
}

json_t *mb_loadoption_json(const uint8_t *data, size_t len)
{
    const size_t units = description_units(data, len), rest = HEAD_LEN + 2 * (units + 1);
    json_t *o = json_object();
    const bool ok = mb_put(o, "Enabled", mb_json_yes((mb_u32(data) & ACTIVE_BIT) != 0)) &&
                    mb_put(o, "FilePathListLength", json_integer(mb_u16(data + 4))) &&
                    mb_put(o, "Description", mb_json_utf16(data + HEAD_LEN, units)) &&
                    mb_put(o, "DevicePath", mb_json_hex(data + rest, len - rest));

    return mb_finish(o, ok);
}
