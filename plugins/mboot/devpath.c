/* SPDX-License-Identifier: Apache-2.0 */
/* One function for each form of node, found by type and subtype in a table; each node is read once, in order. */
#include "devpath.h"

#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "text.h"

enum {
    HEAD_LEN = 4,
    TYPE_END = 0x7f,
    ANY = -1 /* in the table: every other subtype */
};

/** One node's contents. */
struct node {
    uint8_t type, subtype;
    const uint8_t *data;
    size_t len;
};

/** @return false: the path cannot be shown as text */
typedef bool (*node_fn)(struct mb_text *t, const struct node *n);

/** Text that should end in NUL. */
static void add_string(struct mb_text *t, const uint8_t *p, size_t len)
{
    mb_text_utf8(t, p, strnlen((const char *)p, len));
}

static void add_separated(struct mb_text *t, char separator, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        mb_textf(t, "%.*s%02x", i > 0 ? 1 : 0, &separator, p[i]);
}

/** "NAME(12345678-…[,hex])" */
static void add_vendor(struct mb_text *t, const char *name, const struct node *n)
{
    mb_textf(t, "%s(", name);
    mb_text_guid(t, n->data);
    if (n->len > MB_GUID_LEN) {
        mb_textf(t, ",");
        mb_text_hex(t, n->data + MB_GUID_LEN, n->len - MB_GUID_LEN);
    }
    mb_textf(t, ")");
}

/** "NAME(SUBTYPE,hex)" */
static void add_other(struct mb_text *t, const char *name, const struct node *n, size_t len)
{
    mb_textf(t, "%s(%u,", name, n->subtype);
    mb_text_hex(t, n->data, len);
    mb_textf(t, ")");
}

static bool any_node(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Path(%u,%u,", n->type, n->subtype);
    mb_text_hex(t, n->data, n->len);
    mb_textf(t, ")");
    return true;
}

static bool hw_pci(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Pci(0x%x,0x%x)", n->data[1], n->data[0]);
    return true;
}

static bool hw_pccard(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "PcCard(0x%x)", n->data[0]);
    return true;
}

static bool hw_memory(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "MemoryMapped(%" PRIu32 ",0x%" PRIx64 ",0x%" PRIx64 ")", mb_u32(n->data), mb_u64(n->data + 4),
             mb_u64(n->data + 12));
    return true;
}

static bool hw_vendor(struct mb_text *t, const struct node *n)
{
    add_vendor(t, "VenHw", n);
    return true;
}

static bool hw_controller(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Ctrl(0x%" PRIx32 ")", mb_u32(n->data));
    return true;
}

static bool hw_bmc(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "BMC(%u,0x%" PRIx64 ")", n->data[0], mb_u64(n->data + 1));
    return true;
}

static bool hw_other(struct mb_text *t, const struct node *n)
{
    add_other(t, "HardwarePath", n, n->len);
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

static bool acpi_hid(struct mb_text *t, const struct node *n)
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
static bool acpi_expanded(struct mb_text *t, const struct node *n)
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

static bool acpi_adr(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "AcpiAdr(");
    for (size_t i = 0; i < n->len / 4; i++)
        mb_textf(t, "%s0x%" PRIx32, i > 0 ? "," : "", mb_u32(n->data + 4 * i));
    mb_textf(t, ")");
    return true;
}

static bool acpi_other(struct mb_text *t, const struct node *n)
{
    add_other(t, "AcpiPath", n, n->len / 2);
    return true;
}

static bool msg_ata(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Ata(%u,%u,%u)", n->data[0], n->data[1], mb_u16(n->data + 2));
    return true;
}

static bool msg_scsi(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "SCSI(%u,%u)", mb_u16(n->data), mb_u16(n->data + 2));
    return true;
}

static bool msg_fibre(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Fibre(%" PRIx64 ",%" PRIx64 ")", mb_u64(n->data + 4), mb_u64(n->data + 12));
    return true;
}

static bool msg_fibre_ex(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Fibre(%" PRIx64 ",%" PRIx64 ")", __builtin_bswap64(mb_u64(n->data + 4)),
             __builtin_bswap64(mb_u64(n->data + 12)));
    return true;
}

static bool msg_1394(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "I1394(0x%" PRIx64 ")", mb_u64(n->data + 4));
    return true;
}

static bool msg_usb(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "USB(%u,%u)", n->data[0], n->data[1]);
    return true;
}

static bool msg_i2o(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "I2O(%" PRIu32 ")", mb_u32(n->data));
    return true;
}

static bool msg_infiniband(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Infiniband(%08" PRIx32 ",%" PRIx64 "%" PRIx64 ",%" PRIx64 ",%" PRIu64 ",%" PRIu64 ")",
             mb_u32(n->data), mb_u64(n->data + 12), mb_u64(n->data + 4), mb_u64(n->data + 20),
             mb_u64(n->data + 28), mb_u64(n->data + 36));
    return true;
}

static bool msg_mac(struct mb_text *t, const struct node *n)
{
    const uint8_t type = n->data[32];

    mb_textf(t, "MAC(");
    mb_text_hex(t, n->data, type < 2 ? 6 : 32);
    mb_textf(t, ",%u)", type);
    return true;
}

static void add_ipv4(struct mb_text *t, const uint8_t *p, uint16_t port)
{
    mb_textf(t, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
    if (port > 0)
        mb_textf(t, ":%u", port);
}

static bool msg_ipv4(struct mb_text *t, const struct node *n)
{
    const uint8_t *p = n->data;

    mb_textf(t, "IPv4(");
    add_ipv4(t, p, mb_u16(p + 8));
    add_ipv4(t, p + 4, mb_u16(p + 10));
    mb_textf(t, ",%u,%u)", mb_u16(p + 12), p[14]);
    return true;
}

/** In brackets, the longest run of two or more zero groups as "::". */
static void add_ipv6(struct mb_text *t, const uint8_t *p)
{
    unsigned best = 8, best_len = 1;

    for (unsigned i = 0; i < 8; i++) {
        unsigned run = 0;

        while (i + run < 8 && p[2 * (i + run)] == 0 && p[2 * (i + run) + 1] == 0)
            run++;
        if (run > best_len) {
            best = i;
            best_len = run;
        }
    }
    mb_textf(t, "[");
    for (unsigned i = 0; i < 8; i++) {
        if (i == best) {
            mb_textf(t, "::");
            i += best_len - 1;
            continue;
        }
        mb_textf(t, "%s%x", i > 0 && i != best + best_len ? ":" : "", p[2 * i] << 8 | p[2 * i + 1]);
    }
    mb_textf(t, "]");
}

static void add_ipv6_port(struct mb_text *t, const uint8_t *p, uint16_t port)
{
    add_ipv6(t, p);
    mb_textf(t, ":");
    if (port > 0)
        mb_textf(t, "%u", port);
}

static bool msg_ipv6(struct mb_text *t, const struct node *n)
{
    const uint8_t *p = n->data;

    mb_textf(t, "IPv6(");
    add_ipv6_port(t, p, mb_u16(p + 32));
    mb_textf(t, "<->");
    add_ipv6_port(t, p + 16, mb_u16(p + 34));
    mb_textf(t, ",%x,%x)", mb_u16(p + 36), p[38]);
    return true;
}

static bool msg_uart(struct mb_text *t, const struct node *n)
{
    static const char PARITY[] = "DNEOMS";
    static const char *const STOP[] = {"D", "1", "1.5", "2"};
    const uint64_t baud = mb_u64(n->data + 4);
    const uint8_t bits = n->data[12], parity = n->data[13], stop = n->data[14];

    mb_textf(t, "Uart(%" PRIu64 ",%u,", baud > 0 ? baud : 115200, bits > 0 ? bits : 8);
    if (parity < sizeof PARITY - 1)
        mb_textf(t, "%c,", PARITY[parity]);
    else
        mb_textf(t, "%u,", parity);
    if (stop < sizeof STOP / sizeof STOP[0])
        mb_textf(t, "%s)", STOP[stop]);
    else
        mb_textf(t, "%u)", stop);
    return true;
}

static bool msg_usb_class(struct mb_text *t, const struct node *n)
{
    static const struct {
        uint8_t number;
        const char *name;
    } CLASSES[] = {
        {0x01, "UsbAudio"},     {0x02, "UsbCDCControl"},  {0x03, "UsbHID"},        {0x06, "UsbImage"},
        {0x07, "UsbPrinter"},   {0x08, "UsbMassStorage"}, {0x09, "UsbHub"},        {0x0a, "UsbCDCData"},
        {0x0b, "UsbSmartCard"}, {0x0e, "UsbVideo"},       {0xdc, "UsbDiagnostic"}, {0xe0, "UsbWireless"},
    };
    static const char *const APPLICATIONS[] = {"UsbDeviceFirmwareUpdate", "UsbIrdaBridge",
                                               "UsbTestAndMeasurement"}; /* class 0xfe, subclass 1 to 3 */
    const unsigned vendor = mb_u16(n->data), product = mb_u16(n->data + 2);
    const uint8_t number = n->data[4], subclass = n->data[5], protocol = n->data[6];

    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++)
        if (CLASSES[i].number == number) {
            mb_textf(t, "%s(0x%x,0x%x,%u,%u)", CLASSES[i].name, vendor, product, subclass, protocol);
            return true;
        }
    if (number == 0xfe && subclass >= 1 && subclass <= 3)
        mb_textf(t, "%s(0x%x,0x%x,%u)", APPLICATIONS[subclass - 1], vendor, product, protocol);
    else
        mb_textf(t, "UsbClass(%x,%x,%u,%u)", vendor, product, subclass, protocol);
    return true;
}

/**
 * UTF-16 text up to its NUL or, without one, but for its last character.
 * @return false: a character is outside ASCII
 */
static bool add_ucs2(struct mb_text *t, const uint8_t *p, size_t units)
{
    for (size_t i = 0; i + 1 < units && mb_u16(p + 2 * i) != 0; i++) {
        if (mb_u16(p + 2 * i) > 0x7f)
            return false;
        mb_text_add(t, (const char *)p + 2 * i, 1);
    }
    return true;
}

static bool msg_usb_wwid(struct mb_text *t, const struct node *n)
{
    bool ok;

    mb_textf(t, "UsbWwid(%x,%x,%u,", mb_u16(n->data + 2), mb_u16(n->data + 4), mb_u16(n->data));
    ok = add_ucs2(t, n->data + 6, (n->len - 6) / 2);
    mb_textf(t, ")");
    return ok;
}

static bool msg_unit(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Unit(%u)", n->data[0]);
    return true;
}

static bool msg_sata(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Sata(%u,%u,%u)", mb_u16(n->data), mb_u16(n->data + 2), mb_u16(n->data + 4));
    return true;
}

static bool msg_iscsi(struct mb_text *t, const struct node *n)
{
    const unsigned options = mb_u16(n->data + 2);
    const char *auth = options >> 10 & 2 ? "None" : options >> 12 & 1 ? "CHAP_UNI" : "CHAP_BI";

    mb_textf(t, "iSCSI(");
    add_string(t, n->data + 14, n->len - 14);
    mb_textf(t, ",%u,0x%" PRIx64 ",%s,%s,%s,%s)", mb_u16(n->data + 12),
             __builtin_bswap64(mb_u64(n->data + 4)), options & 2 ? "CRC32" : "None",
             options >> 2 & 2 ? "CRC32" : "None", auth, mb_u16(n->data) == 0 ? "TCP" : "Unknown");
    return true;
}

static bool msg_vlan(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Vlan(%u)", mb_u16(n->data));
    return true;
}

static bool msg_nvme(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "NVMe(0x%" PRIx32 ",", mb_u32(n->data));
    add_separated(t, '-', n->data + 4, 8);
    mb_textf(t, ")");
    return true;
}

static bool msg_uri(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Uri(");
    add_string(t, n->data, n->len);
    mb_textf(t, ")");
    return true;
}

static bool msg_ufs(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "UFS(%u,0x%02x)", n->data[0], n->data[1]);
    return true;
}

static bool msg_sd(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "%s(%u)", n->subtype == 26 ? "SD" : "eMMC", n->data[0]);
    return true;
}

static bool msg_bluetooth(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Bluetooth(");
    add_separated(t, ':', n->data, 6);
    mb_textf(t, ")");
    return true;
}

static bool msg_bluetooth_le(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "BluetoothLE(");
    add_separated(t, ':', n->data, 6);
    mb_textf(t, ",%u)", n->data[6]);
    return true;
}

static bool msg_wifi(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Wi-Fi(");
    add_separated(t, ':', n->data, 32);
    mb_textf(t, ")");
    return true;
}

static bool msg_dns(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Dns(");
    for (size_t at = 1; n->len - at >= 16; at += 16) {
        if (at > 1)
            mb_textf(t, ",");
        if (n->data[0])
            add_ipv6(t, n->data + at);
        else
            add_ipv4(t, n->data + at, 0);
    }
    mb_textf(t, ")");
    return true;
}

static bool msg_nvdimm(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "NVDIMM(");
    mb_text_guid(t, n->data);
    mb_textf(t, ")");
    return true;
}

/** Serial attached SCSI: reserved u32, address, unit, topology u16, port u16. */
static bool add_sas(struct mb_text *t, const uint8_t *p)
{
    const uint8_t topology = p[20], device = topology >> 4 & 3;
    const unsigned more = topology & 15;
    const char *kind = more == 0 ? "NoTopology" : device < 2 ? "SAS" : "SATA";

    mb_textf(t, "SAS(%" PRIx64 ",%" PRIx64 ",%x,%s", mb_u64(p + 4), mb_u64(p + 12), mb_u16(p + 22), kind);
    if (more > 0)
        mb_textf(t, ",%s,%s", device < 2 ? "Internal" : "External",
                 topology >> 6 == 0 ? "Direct" : "Expanded");
    if (more == 2)
        mb_textf(t, ",%u", p[21] + 1U);
    mb_textf(t, ")");
    return true;
}

static bool msg_vendor(struct mb_text *t, const struct node *n)
{
    static const struct {
        uint8_t guid[MB_GUID_LEN];
        const char *name;
    } TERMINALS[] = {
        {{0x53, 0x47, 0xc1, 0xe0, 0xbe, 0xf9, 0xd2, 0x11, 0x9a, 0x0c, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d},
         "VenPcAnsi"},
        {{0x65, 0x60, 0xa6, 0xdf, 0x19, 0xb4, 0xd3, 0x11, 0x9a, 0x2d, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d},
         "VenVt100"},
        {{0x15, 0xb0, 0xec, 0x7b, 0x5c, 0xf6, 0xd5, 0x11, 0x9b, 0x9b, 0x00, 0xc0, 0x4f, 0xb9, 0x25, 0xd0},
         "VenVt100Plus"},
    };
    static const uint8_t SAS[MB_GUID_LEN] = {0xb4, 0xdd, 0x87, 0xd4, 0x8b, 0x00, 0xd9, 0x11,
                                             0xaf, 0xdc, 0x00, 0x10, 0x83, 0xff, 0xca, 0x4d};

    if (n->len >= MB_GUID_LEN + 24 && memcmp(n->data, SAS, MB_GUID_LEN) == 0)
        return add_sas(t, n->data + MB_GUID_LEN);
    for (size_t i = 0; i < sizeof TERMINALS / sizeof TERMINALS[0]; i++)
        if (memcmp(n->data, TERMINALS[i].guid, MB_GUID_LEN) == 0) {
            mb_textf(t, "%s(", TERMINALS[i].name);
            mb_text_hex(t, n->data + MB_GUID_LEN, n->len - MB_GUID_LEN);
            mb_textf(t, ")");
            return true;
        }
    add_vendor(t, "VenMsg", n);
    return true;
}

static bool msg_other(struct mb_text *t, const struct node *n)
{
    add_other(t, "Msg", n, n->len);
    return true;
}

static bool media_disk(struct mb_text *t, const struct node *n)
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

static bool media_cdrom(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "CDROM(%" PRIu32 ",0x%" PRIx64 ",0x%" PRIx64 ")", mb_u32(n->data), mb_u64(n->data + 4),
             mb_u64(n->data + 12));
    return true;
}

static bool media_vendor(struct mb_text *t, const struct node *n)
{
    add_vendor(t, "VenMedia", n);
    return true;
}

static bool media_file(struct mb_text *t, const struct node *n)
{
    bool ok;

    mb_textf(t, "File(");
    ok = add_ucs2(t, n->data, n->len / 2);
    mb_textf(t, ")");
    return ok;
}

/** Protocol, firmware file and firmware volume: a GUID alone counts. */
static bool media_guid(struct mb_text *t, const struct node *n)
{
    static const char *const NAMES[] = {"Media(", "FvFile(", "FvVol("}; /* subtype 5 to 7 */

    mb_textf(t, "%s", NAMES[n->subtype - 5]);
    mb_text_guid(t, n->data);
    mb_textf(t, ")");
    return true;
}

static bool media_offset(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "Offset(0x%" PRIx64 ",0x%" PRIx64 ")", mb_u64(n->data + 4), mb_u64(n->data + 12));
    return true;
}

static bool media_ramdisk(struct mb_text *t, const struct node *n)
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

static bool media_other(struct mb_text *t, const struct node *n)
{
    mb_textf(t, "MediaPath(%u,", n->subtype);
    mb_text_hex(t, n->data, n->len / 2);
    mb_textf(t, ")");
    return true;
}

static bool bios_boot(struct mb_text *t, const struct node *n)
{
    static const char *const TYPES[] = {"Floppy", "HD", "CDROM", "PCMCIA", "USB", "Network"};
    const unsigned type = mb_u16(n->data);

    if (type >= 1 && type <= 6)
        mb_textf(t, "BBS(%s,", TYPES[type - 1]);
    else
        mb_textf(t, "BBS(%u,", type);
    add_string(t, n->data + 4, n->len - 4);
    mb_textf(t, ",0x%x)", mb_u16(n->data + 2));
    return true;
}

static bool bios_other(struct mb_text *t, const struct node *n)
{
    add_other(t, "BbsPath", n, n->len);
    return true;
}

/** A node shorter than its form is shown as any_node() shows it. Within a type, ANY comes last. */
static const struct row {
    uint8_t type;
    int16_t subtype;
    uint8_t shortest; /* bytes of data */
    node_fn text;
} ROWS[] = {
    {1, 1, 2, hw_pci},
    {1, 2, 1, hw_pccard},
    {1, 3, 20, hw_memory},
    {1, 4, MB_GUID_LEN, hw_vendor},
    {1, 5, 4, hw_controller},
    {1, 6, 9, hw_bmc},
    {1, ANY, 0, hw_other},
    {2, 1, 8, acpi_hid},
    {2, 2, 12, acpi_expanded},
    {2, 3, 4, acpi_adr},
    {2, ANY, 0, acpi_other},
    {3, 1, 4, msg_ata},
    {3, 2, 4, msg_scsi},
    {3, 3, 20, msg_fibre},
    {3, 4, 12, msg_1394},
    {3, 5, 2, msg_usb},
    {3, 6, 4, msg_i2o},
    {3, 9, 44, msg_infiniband},
    {3, 10, MB_GUID_LEN, msg_vendor},
    {3, 11, 33, msg_mac},
    {3, 12, 15, msg_ipv4},
    {3, 13, 39, msg_ipv6},
    {3, 14, 15, msg_uart},
    {3, 15, 7, msg_usb_class},
    {3, 16, 6, msg_usb_wwid},
    {3, 17, 1, msg_unit},
    {3, 18, 6, msg_sata},
    {3, 19, 14, msg_iscsi},
    {3, 20, 2, msg_vlan},
    {3, 21, 20, msg_fibre_ex},
    {3, 23, 12, msg_nvme},
    {3, 24, 0, msg_uri},
    {3, 25, 2, msg_ufs},
    {3, 26, 1, msg_sd},
    {3, 27, 6, msg_bluetooth},
    {3, 28, 32, msg_wifi},
    {3, 29, 1, msg_sd},
    {3, 30, 7, msg_bluetooth_le},
    {3, 31, 1, msg_dns},
    {3, 32, MB_GUID_LEN, msg_nvdimm},
    {3, ANY, 0, msg_other},
    {4, 1, 38, media_disk},
    {4, 2, 20, media_cdrom},
    {4, 3, MB_GUID_LEN, media_vendor},
    {4, 4, 0, media_file},
    {4, 5, MB_GUID_LEN, media_guid},
    {4, 6, MB_GUID_LEN, media_guid},
    {4, 7, MB_GUID_LEN, media_guid},
    {4, 8, 20, media_offset},
    {4, 9, 34, media_ramdisk},
    {4, ANY, 0, media_other},
    {5, 1, 4, bios_boot},
    {5, ANY, 0, bios_other},
};

static node_fn find_form(const struct node *n)
{
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        if (ROWS[i].type == n->type && (ROWS[i].subtype == n->subtype || ROWS[i].subtype == ANY))
            return n->len >= ROWS[i].shortest ? ROWS[i].text : any_node;
    return any_node;
}

bool mb_devpath_text(const uint8_t *path, size_t len, struct mb_text *t)
{
    bool is_first = true;

    while (len > 0) {
        struct node n;
        size_t node_len;

        if (len < HEAD_LEN)
            return false;
        node_len = mb_u16(path + 2);
        if (node_len < HEAD_LEN || node_len > len)
            return false;
        n = (struct node){
            .type = path[0], .subtype = path[1], .data = path + HEAD_LEN, .len = node_len - HEAD_LEN};
        if (n.type == TYPE_END)
            return true;
        if (!is_first)
            mb_text_add(t, "/", 1);
        is_first = false;
        if (!find_form(&n)(t, &n))
            return false;
        path += node_len;
        len -= node_len;
    }
    return true;
}
