/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each form of node, found by type and subtype in a table; each node is read once, in order. */
#include "devpath.h"

#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "devpath_nodes.h"

enum {
    HEAD_LEN = 4,
    TYPE_END = 0x7f
};

void mb_node_string(struct mb_text *t, const uint8_t *p, size_t len)
{
    mb_text_utf8(t, p, strnlen((const char *)p, len));
}

void mb_node_vendor(struct mb_text *t, const char *name, const struct mb_node *n)
{
    mb_textf(t, "%s(", name);
    mb_text_guid(t, n->data);
    if (n->len > MB_GUID_LEN) {
        mb_textf(t, ",");
        mb_text_hex(t, n->data + MB_GUID_LEN, n->len - MB_GUID_LEN);
    }
    mb_textf(t, ")");
}

void mb_node_other(struct mb_text *t, const char *name, const struct mb_node *n, size_t len)
{
    mb_textf(t, "%s(%u,", name, n->subtype);
    mb_text_hex(t, n->data, len);
    mb_textf(t, ")");
}

bool mb_node_ucs2(struct mb_text *t, const uint8_t *p, size_t units)
{
    for (size_t i = 0; i + 1 < units && mb_u16(p + 2 * i) != 0; i++) {
        if (mb_u16(p + 2 * i) > 0x7f)
            return false;
        mb_text_add(t, (const char *)p + 2 * i, 1);
    }
    return true;
}

static bool any_node(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Path(%u,%u,", n->type, n->subtype);
    mb_text_hex(t, n->data, n->len);
    mb_textf(t, ")");
    return true;
}

static bool hw_pci(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Pci(0x%x,0x%x)", n->data[1], n->data[0]);
    return true;
}

static bool hw_pccard(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "PcCard(0x%x)", n->data[0]);
    return true;
}

static bool hw_memory(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "MemoryMapped(%" PRIu32 ",0x%" PRIx64 ",0x%" PRIx64 ")", mb_u32(n->data), mb_u64(n->data + 4),
             mb_u64(n->data + 12));
    return true;
}

static bool hw_vendor(struct mb_text *t, const struct mb_node *n)
{
    mb_node_vendor(t, "VenHw", n);
    return true;
}

static bool hw_controller(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Ctrl(0x%" PRIx32 ")", mb_u32(n->data));
    return true;
}

static bool hw_bmc(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "BMC(%u,0x%" PRIx64 ")", n->data[0], mb_u64(n->data + 1));
    return true;
}

static bool hw_other(struct mb_text *t, const struct mb_node *n)
{
    mb_node_other(t, "HardwarePath", n, n->len);
    return true;
}

/** ACPI devices that have a name of their own, by compressed EISA id. */
static const struct acpi_row {
    uint32_t hid;
    const char *name;
    bool has_uid;
} ACPI[] = {
    {0x0a0341d0, "PciRoot", true},        {0x0a0841d0, "PcieRoot", true},
    {0x0a0541d0, "AcpiContainer", false}, {0x0a0641d0, "AcpiContainer", false},
    {0x060441d0, "Floppy", true},         {0x030141d0, "Keyboard", true},
    {0x050141d0, "Serial", true},         {0x0c0941d0, "EmbeddedController", false},
};

static const struct acpi_row *find_acpi(uint32_t hid)
{
    for (size_t i = 0; i < sizeof ACPI / sizeof ACPI[0]; i++)
        if (ACPI[i].hid == hid)
            return &ACPI[i];
    return NULL;
}

static bool acpi_hid(struct mb_text *t, const struct mb_node *n)
{
    const uint32_t hid = mb_u32(n->data), uid = mb_u32(n->data + 4);
    const struct acpi_row *row = find_acpi(hid);

    if (!row)
        mb_textf(t, "Acpi(0x%08" PRIx32 ",0x%" PRIx32 ")", hid, uid);
    else if (row->has_uid)
        mb_textf(t, "%s(0x%" PRIx32 ")", row->name, uid);
    else
        mb_textf(t, "%s()", row->name);
    return true;
}

/** hid, uid, cid, then three texts in that order, each with a NUL. */
static bool acpi_expanded(struct mb_text *t, const struct mb_node *n)
{
    const uint32_t hid = mb_u32(n->data);
    const struct acpi_row *row = find_acpi(hid);
    struct {
        const uint8_t *p;
        size_t len;
    } texts[3] = {{0}};
    size_t at = 12;

    for (size_t i = 0; i < 3; i++) {
        texts[i].p = n->data + at;
        texts[i].len = strnlen((const char *)n->data + at, n->len - at);
        at += texts[i].len;
        if (at < n->len)
            at++;
    }
    if (row) {
        mb_textf(t, "%s(", row->name);
    } else {
        mb_textf(t, "AcpiEx(");
        mb_text_utf8(t, texts[0].p, texts[0].len);
        mb_textf(t, ",");
        mb_text_utf8(t, texts[2].p, texts[2].len);
        mb_textf(t, ",");
    }
    mb_text_utf8(t, texts[1].p, texts[1].len);
    mb_textf(t, ")");
    return true;
}

static bool acpi_adr(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "AcpiAdr(");
    for (size_t i = 0; i < n->len / 4; i++)
        mb_textf(t, "%s0x%" PRIx32, i > 0 ? "," : "", mb_u32(n->data + 4 * i));
    mb_textf(t, ")");
    return true;
}

static bool acpi_other(struct mb_text *t, const struct mb_node *n)
{
    mb_node_other(t, "AcpiPath", n, n->len / 2);
    return true;
}

static bool media_disk(struct mb_text *t, const struct mb_node *n)
{
    const uint8_t *p = n->data, *signature = p + 20;
    const uint8_t kind = p[37];

    mb_textf(t, "HD(%" PRIu32 ",", mb_u32(p));
    if (kind == 1) {
        mb_textf(t, "MBR,0x%" PRIx32, mb_u32(signature));
    } else if (kind == 2) {
        mb_textf(t, "GPT,");
        mb_text_guid(t, signature);
    } else {
        mb_textf(t, "%u,", kind);
        mb_text_hex(t, signature, 16);
    }
    mb_textf(t, ",0x%" PRIx64 ",0x%" PRIx64 ")", mb_u64(p + 4), mb_u64(p + 12));
    return true;
}

static bool media_cdrom(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "CDROM(%" PRIu32 ",0x%" PRIx64 ",0x%" PRIx64 ")", mb_u32(n->data), mb_u64(n->data + 4),
             mb_u64(n->data + 12));
    return true;
}

static bool media_vendor(struct mb_text *t, const struct mb_node *n)
{
    mb_node_vendor(t, "VenMedia", n);
    return true;
}

static bool media_file(struct mb_text *t, const struct mb_node *n)
{
    bool ok;

    mb_textf(t, "File(");
    ok = mb_node_ucs2(t, n->data, n->len / 2);
    mb_textf(t, ")");
    return ok;
}

/** Protocol, firmware file and firmware volume: a GUID alone counts. */
static bool media_guid(struct mb_text *t, const struct mb_node *n)
{
    static const char *const NAMES[] = {"Media(", "FvFile(", "FvVol("}; /* subtype 5 to 7 */

    mb_textf(t, "%s", NAMES[n->subtype - 5]);
    mb_text_guid(t, n->data);
    mb_textf(t, ")");
    return true;
}

static bool media_offset(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Offset(0x%" PRIx64 ",0x%" PRIx64 ")", mb_u64(n->data + 4), mb_u64(n->data + 12));
    return true;
}

static bool media_ramdisk(struct mb_text *t, const struct mb_node *n)
{
    static const struct {
        uint8_t guid[MB_GUID_LEN];
        const char *name;
    } DISKS[] = {
        {{0x5a, 0x53, 0xab, 0x77, 0xfc, 0x45, 0x4b, 0x62, 0x55, 0x60, 0xf7, 0xb2, 0x81, 0xd1, 0xf9, 0x6e},
         "VirtualDisk"},
        {{0x30, 0xbd, 0x5a, 0x3d, 0x41, 0x75, 0x87, 0x4e, 0x64, 0xd1, 0x93, 0xd6, 0x99, 0x66, 0x33, 0xb7},
         "VirtualCD"},
        {{0xb6, 0x9d, 0xea, 0x5c, 0x3f, 0x26, 0xa1, 0x4b, 0x7d, 0x43, 0xdd, 0x96, 0x9e, 0xe6, 0x46, 0xd8},
         "PersistentVirtualDisk"},
    };
    const uint8_t *p = n->data, *guid = p + 16;
    const uint64_t start = mb_u64(p), end = mb_u64(p + 8);
    const unsigned instance = mb_u16(p + 32);

    for (size_t i = 0; i < sizeof DISKS / sizeof DISKS[0]; i++)
        if (memcmp(guid, DISKS[i].guid, MB_GUID_LEN) == 0) {
            mb_textf(t, "%s(0x%" PRIx64 ",0x%" PRIx64 ",%u)", DISKS[i].name, start, end, instance);
            return true;
        }
    mb_textf(t, "Ramdisk(0x%" PRIx64 ",0x%" PRIx64 ",%u,", start, end, instance);
    mb_text_guid(t, guid);
    mb_textf(t, ")");
    return true;
}

static bool media_other(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "MediaPath(%u,", n->subtype);
    mb_text_hex(t, n->data, n->len / 2);
    mb_textf(t, ")");
    return true;
}

static bool bios_boot(struct mb_text *t, const struct mb_node *n)
{
    static const char *const TYPES[] = {"Floppy", "HD", "CDROM", "PCMCIA", "USB", "Network"};
    const unsigned type = mb_u16(n->data);

    if (type >= 1 && type <= 6)
        mb_textf(t, "BBS(%s,", TYPES[type - 1]);
    else
        mb_textf(t, "BBS(%u,", type);
    mb_node_string(t, n->data + 4, n->len - 4);
    mb_textf(t, ",0x%x)", mb_u16(n->data + 2));
    return true;
}

static bool bios_other(struct mb_text *t, const struct mb_node *n)
{
    mb_node_other(t, "BbsPath", n, n->len);
    return true;
}

static const struct mb_node_form HARDWARE[] = {
    {1, 2, hw_pci},        {2, 1, hw_pccard}, {3, 20, hw_memory},         {4, MB_GUID_LEN, hw_vendor},
    {5, 4, hw_controller}, {6, 9, hw_bmc},    {MB_NODE_ANY, 0, hw_other},
};

static const struct mb_node_form ACPI_FORMS[] = {
    {1, 8, acpi_hid},
    {2, 12, acpi_expanded},
    {3, 4, acpi_adr},
    {MB_NODE_ANY, 0, acpi_other},
};

static const struct mb_node_form MEDIA[] = {
    {1, 38, media_disk},
    {2, 20, media_cdrom},
    {3, MB_GUID_LEN, media_vendor},
    {4, 0, media_file},
    {5, MB_GUID_LEN, media_guid},
    {6, MB_GUID_LEN, media_guid},
    {7, MB_GUID_LEN, media_guid},
    {8, 20, media_offset},
    {9, 34, media_ramdisk},
    {MB_NODE_ANY, 0, media_other},
};

static const struct mb_node_form BIOS[] = {
    {1, 4, bios_boot},
    {MB_NODE_ANY, 0, bios_other},
};

/** By type. */
static const struct mb_node_form *const FORMS[] = {NULL, HARDWARE, ACPI_FORMS, mb_message_forms, MEDIA, BIOS};

static bool add_node(struct mb_text *t, const struct mb_node *n)
{
    const struct mb_node_form *form = n->type < sizeof FORMS / sizeof FORMS[0] ? FORMS[n->type] : NULL;

    if (!form)
        return any_node(t, n);
    while (form->subtype != n->subtype && form->subtype != MB_NODE_ANY)
        form++;
    return n->len >= form->shortest ? form->text(t, n) : any_node(t, n);
}

bool mb_devpath_text(const uint8_t *path, size_t len, struct mb_text *t)
{
    bool is_first = true;

    while (len > 0) {
        struct mb_node n;
        size_t node_len;

        if (len < HEAD_LEN)
            return false;
        node_len = mb_u16(path + 2);
        if (node_len < HEAD_LEN || node_len > len)
            return false;
        n = (struct mb_node){
            .type = path[0], .subtype = path[1], .data = path + HEAD_LEN, .len = node_len - HEAD_LEN};
        if (n.type == TYPE_END)
            return true;
        if (!is_first)
            mb_text_add(t, "/", 1);
        is_first = false;
        if (!add_node(t, &n))
            return false;
        path += node_len;
        len -= node_len;
    }
    return true;
}
