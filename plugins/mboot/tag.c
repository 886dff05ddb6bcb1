/* SPDX-License-Identifier: Apache-2.0 */
#include "tag.h"

#include "bytes.h"

enum {
    HEAD_LEN = 8
};

static const struct {
    uint32_t id;
    const char *name;
} TAGS[] = {
    {0x8f3b22ec, "initrd, by the kernel's EFI stub"},
    {0x8f3b22ed, "load options, by the kernel's EFI stub"},
    {0xf5bc582a, "loader.conf, by systemd-boot"},
    {0x6c46f751, "device tree addon, by systemd-stub"},
    {0x49dffe0f, "initrd addon, by systemd-stub"},
    {0xdac08e1a, "microcode addon, by systemd-stub"},
    {0xd5cb7cbc, "SMBIOS system information, by systemd-stub"},
    {0xe0d47bc8, "SMBIOS baseboard information, by systemd-stub"},
    {0xc0b3bd23, "SMBIOS vendor strings, by systemd-stub"},
};

bool mb_tag_read(const uint8_t *payload, size_t len, struct mb_tag *ret)
{
    uint32_t data_len;

    if (len < HEAD_LEN)
        return false;
    data_len = mb_u32(payload + 4);
    if (data_len > len - HEAD_LEN)
        return false;
    *ret = (struct mb_tag){.id = mb_u32(payload), .data = payload + HEAD_LEN, .data_len = data_len};
    return true;
}

const char *mb_tag_name(uint32_t id)
{
    for (size_t i = 0; i < sizeof TAGS / sizeof TAGS[0]; i++)
        if (TAGS[i].id == id)
            return TAGS[i].name;
    return NULL;
}
