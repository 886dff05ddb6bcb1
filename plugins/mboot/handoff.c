/* SPDX-License-Identifier: Apache-2.0 */
#include "handoff.h"

#include <string.h>

#include "bytes.h"
#include "text.h"

static const struct {
    uint8_t guid[MB_GUID_LEN];
    const char *name;
} TABLES[] = {
    {{0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11, 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81},
     "ACPI 2.0"},
    {{0x30, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d},
     "ACPI 1.0"},
    {{0x31, 0x2d, 0x9d, 0xeb, 0x88, 0x2d, 0xd3, 0x11, 0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d},
     "SMBIOS"},
    {{0x44, 0x15, 0xfd, 0xf2, 0x94, 0x97, 0x2c, 0x4a, 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94},
     "SMBIOS 3"},
};

bool mb_handoff_read(bool is_second, const uint8_t *payload, size_t len, struct mb_handoff *ret)
{
    struct mb_handoff h = {0};
    size_t at = 0;

    if (is_second) {
        if (len < 1 || payload[0] > len - 1)
            return false;
        h.text = payload + 1;
        h.text_len = payload[0];
        at = 1 + h.text_len;
    }
    if (len - at < 8 || (len - at - 8) % MB_HANDOFF_ENTRY_LEN != 0)
        return false;
    h.count = (len - at - 8) / MB_HANDOFF_ENTRY_LEN;
    h.entries = payload + at + 8;
    if (mb_u64(payload + at) != h.count)
        return false;
    *ret = h;
    return true;
}

const char *mb_handoff_name(const uint8_t *guid)
{
    for (size_t i = 0; i < sizeof TABLES / sizeof TABLES[0]; i++)
        if (memcmp(TABLES[i].guid, guid, MB_GUID_LEN) == 0)
            return TABLES[i].name;
    return NULL;
}
