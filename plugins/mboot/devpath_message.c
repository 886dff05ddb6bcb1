/* SPDX-License-Identifier: Apache-2.0 */
/* Device path nodes of type 3: buses and networks. */
#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "devpath_nodes.h"

static void add_separated(struct mb_text *t, char separator, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        mb_textf(t, "%.*s%02x", i > 0 ? 1 : 0, &separator, p[i]);
}

static bool msg_ata(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Ata(%u,%u,%u)", n->data[0], n->data[1], mb_u16(n->data + 2));
    return true;
}

static bool msg_scsi(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "SCSI(%u,%u)", mb_u16(n->data), mb_u16(n->data + 2));
    return true;
}

static bool msg_fibre(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Fibre(%" PRIx64 ",%" PRIx64 ")", mb_u64(n->data + 4), mb_u64(n->data + 12));
    return true;
}

static bool msg_fibre_ex(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Fibre(%" PRIx64 ",%" PRIx64 ")", __builtin_bswap64(mb_u64(n->data + 4)),
             __builtin_bswap64(mb_u64(n->data + 12)));
    return true;
}

static bool msg_1394(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "I1394(0x%" PRIx64 ")", mb_u64(n->data + 4));
    return true;
}

static bool msg_usb(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "USB(%u,%u)", n->data[0], n->data[1]);
    return true;
}

static bool msg_i2o(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "I2O(%" PRIu32 ")", mb_u32(n->data));
    return true;
}

static bool msg_infiniband(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Infiniband(%08" PRIx32 ",%" PRIx64 "%" PRIx64 ",%" PRIx64 ",%" PRIu64 ",%" PRIu64 ")",
             mb_u32(n->data), mb_u64(n->data + 12), mb_u64(n->data + 4), mb_u64(n->data + 20),
             mb_u64(n->data + 28), mb_u64(n->data + 36));
    return true;
}

static bool msg_mac(struct mb_text *t, const struct mb_node *n)
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

static bool msg_ipv4(struct mb_text *t, const struct mb_node *n)
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
    size_t best = 8, best_len = 1;

    for (size_t i = 0; i < 8; i++) {
        size_t run = 0;

        while (i + run < 8 && p[2 * (i + run)] == 0 && p[2 * (i + run) + 1] == 0)
            run++;
        if (run > best_len) {
            best = i;
            best_len = run;
        }
    }
    mb_textf(t, "[");
    for (size_t i = 0; i < 8; i++) {
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

static bool msg_ipv6(struct mb_text *t, const struct mb_node *n)
{
    const uint8_t *p = n->data;

    mb_textf(t, "IPv6(");
    add_ipv6_port(t, p, mb_u16(p + 32));
    mb_textf(t, "<->");
    add_ipv6_port(t, p + 16, mb_u16(p + 34));
    mb_textf(t, ",%x,%x)", mb_u16(p + 36), p[38]);
    return true;
}

static bool msg_uart(struct mb_text *t, const struct mb_node *n)
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

static bool msg_usb_class(struct mb_text *t, const struct mb_node *n)
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

static bool msg_usb_wwid(struct mb_text *t, const struct mb_node *n)
{
    bool ok;

    mb_textf(t, "UsbWwid(%x,%x,%u,", mb_u16(n->data + 2), mb_u16(n->data + 4), mb_u16(n->data));
    ok = mb_node_ucs2(t, n->data + 6, (n->len - 6) / 2);
    mb_textf(t, ")");
    return ok;
}

static bool msg_unit(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Unit(%u)", n->data[0]);
    return true;
}

static bool msg_sata(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Sata(%u,%u,%u)", mb_u16(n->data), mb_u16(n->data + 2), mb_u16(n->data + 4));
    return true;
}

static bool msg_iscsi(struct mb_text *t, const struct mb_node *n)
{
    const unsigned options = mb_u16(n->data + 2);
    const char *auth = options >> 10 & 2 ? "None" : options >> 12 & 1 ? "CHAP_UNI" : "CHAP_BI";

    mb_textf(t, "iSCSI(");
    mb_node_string(t, n->data + 14, n->len - 14);
    mb_textf(t, ",%u,0x%" PRIx64 ",%s,%s,%s,%s)", mb_u16(n->data + 12),
             __builtin_bswap64(mb_u64(n->data + 4)), options & 2 ? "CRC32" : "None",
             options >> 2 & 2 ? "CRC32" : "None", auth, mb_u16(n->data) == 0 ? "TCP" : "Unknown");
    return true;
}

static bool msg_vlan(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Vlan(%u)", mb_u16(n->data));
    return true;
}

static bool msg_nvme(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "NVMe(0x%" PRIx32 ",", mb_u32(n->data));
    add_separated(t, '-', n->data + 4, 8);
    mb_textf(t, ")");
    return true;
}

static bool msg_uri(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Uri(");
    mb_node_string(t, n->data, n->len);
    mb_textf(t, ")");
    return true;
}

static bool msg_ufs(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "UFS(%u,0x%02x)", n->data[0], n->data[1]);
    return true;
}

static bool msg_sd(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "%s(%u)", n->subtype == 26 ? "SD" : "eMMC", n->data[0]);
    return true;
}

static bool msg_bluetooth(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Bluetooth(");
    add_separated(t, ':', n->data, 6);
    mb_textf(t, ")");
    return true;
}

static bool msg_bluetooth_le(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "BluetoothLE(");
    add_separated(t, ':', n->data, 6);
    mb_textf(t, ",%u)", n->data[6]);
    return true;
}

static bool msg_wifi(struct mb_text *t, const struct mb_node *n)
{
    mb_textf(t, "Wi-Fi(");
    add_separated(t, ':', n->data, 32);
    mb_textf(t, ")");
    return true;
}

static bool msg_dns(struct mb_text *t, const struct mb_node *n)
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

static bool msg_nvdimm(struct mb_text *t, const struct mb_node *n)
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

static bool msg_vendor(struct mb_text *t, const struct mb_node *n)
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
    mb_node_vendor(t, "VenMsg", n);
    return true;
}

static bool msg_other(struct mb_text *t, const struct mb_node *n)
{
    mb_node_other(t, "Msg", n, n->len);
    return true;
}

const struct mb_node_form mb_message_forms[] = {
    {1, 4, msg_ata},
    {2, 4, msg_scsi},
    {3, 20, msg_fibre},
    {4, 12, msg_1394},
    {5, 2, msg_usb},
    {6, 4, msg_i2o},
    {9, 44, msg_infiniband},
    {10, MB_GUID_LEN, msg_vendor},
    {11, 33, msg_mac},
    {12, 15, msg_ipv4},
    {13, 39, msg_ipv6},
    {14, 15, msg_uart},
    {15, 7, msg_usb_class},
    {16, 6, msg_usb_wwid},
    {17, 1, msg_unit},
    {18, 6, msg_sata},
    {19, 14, msg_iscsi},
    {20, 2, msg_vlan},
    {21, 20, msg_fibre_ex},
    {23, 12, msg_nvme},
    {24, 0, msg_uri},
    {25, 2, msg_ufs},
    {26, 1, msg_sd},
    {27, 6, msg_bluetooth},
    {28, 32, msg_wifi},
    {29, 1, msg_sd},
    {30, 7, msg_bluetooth_le},
    {31, 1, msg_dns},
    {32, MB_GUID_LEN, msg_nvdimm},
    {MB_NODE_ANY, 0, msg_other},
};
