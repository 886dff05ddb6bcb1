/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"

#include <inttypes.h>
#include <string.h>

#include "bytes.h"
#include "devpath.h"
#include "handoff.h"
#include "payload.h"
#include "tag.h"
#include "variable.h"

enum {
    IMAGE_HEAD_LEN = 32,
    SHOWN_MAX = 200, /* bytes of a foreign text */
    STUB_PCR = 11,   /* systemd-stub: sections of a unified kernel image */
    FILE_PCR = 9,    /* GRUB: files that it read */
    MOK_PCR = 14     /* shim: its lists of keys */
};

/** Is it text in UTF-16 that is nearly all ASCII, as boot loaders write it? */
static bool looks_utf16(const uint8_t *p, size_t len)
{
    if (len < 4 || len % 2 != 0)
        return false;
    for (size_t i = 0; i < 4; i += 2)
        if (p[i] < 0x20 || p[i + 1] != 0)
            return false;
    return true;
}

/** A foreign text in quotes. */
static void add_quoted(struct mb_text *t, const uint8_t *p, size_t len)
{
    const size_t shown = len < SHOWN_MAX ? len : SHOWN_MAX;

    mb_text_add(t, "\"", 1);
    if (looks_utf16(p, len))
        (void)mb_text_utf16(t, p, shown / 2); /* up to the NUL, if there is one */
    else
        mb_text_utf8(t, p, strnlen((const char *)p, shown));
    mb_text_add(t, "\"", 1);
}

static void describe_variable(const struct mb_event *e, struct mb_text *t)
{
    struct mb_variable v;

    if (mb_variable_read(e->payload, e->payload_len, &v)) {
        mb_textf(t, "a variable");
        return;
    }
    mb_textf(t, e->type == MB_EV_EFI_VARIABLE_AUTHORITY ? "authority " : "variable ");
    (void)mb_text_utf16(t, v.name, v.name_units < SHOWN_MAX ? v.name_units : SHOWN_MAX);
    if (mb_variable_is(&v, "SecureBoot") || mb_variable_is(&v, "MokListTrusted"))
        mb_textf(t, ": %s", v.data_len > 0 && v.data[0] != 0 ? "on" : "off");
    else if (mb_variable_is(&v, "SbatLevel")) {
        mb_textf(t, ": ");
        add_quoted(t, v.data, v.data_len);
    } else {
        mb_textf(t, " of %zu bytes", v.data_len);
    }
}

static void describe_image(const struct mb_event *e, struct mb_text *t)
{
    struct mb_text path;

    mb_textf(t, e->type == MB_EV_EFI_BOOT_SERVICES_APPLICATION ? "application" : "driver");
    if (e->payload_len < IMAGE_HEAD_LEN)
        return;
    mb_text_init(&path);
    if (mb_devpath_text(e->payload + IMAGE_HEAD_LEN, e->payload_len - IMAGE_HEAD_LEN, &path) &&
        !path.failed && path.len > 0) {
        mb_textf(t, " said to come from ");
        mb_text_add(t, path.p, path.len);
    }
    mb_text_done(&path);
}

static void describe_ipl(const struct mb_event *e, struct mb_text *t)
{
    switch (e->pcr) {
    case MOK_PCR:
        mb_textf(t, "shim's ");
        break;
    case STUB_PCR:
        mb_textf(t, "section of the unified kernel image ");
        break;
    case FILE_PCR:
        mb_textf(t, "file ");
        break;
    default:
        mb_textf(t, "text ");
        break;
    }
    add_quoted(t, e->payload, e->payload_len);
}

static void describe_tag(const struct mb_event *e, struct mb_text *t)
{
    struct mb_tag tag;
    const char *name;

    if (!mb_tag_read(e->payload, e->payload_len, &tag)) {
        mb_textf(t, "a tagged event that is cut short");
        return;
    }
    name = mb_tag_name(tag.id);
    if (name)
        mb_textf(t, "%s", name);
    else
        mb_textf(t, "tag 0x%08" PRIx32, tag.id);
    if (tag.data_len > 0) {
        mb_textf(t, " ");
        add_quoted(t, tag.data, tag.data_len);
    }
}

static void describe_handoff(const struct mb_event *e, struct mb_text *t)
{
    struct mb_handoff h;

    if (!mb_handoff_read(e->type == MB_EV_EFI_HANDOFF_TABLES2, e->payload, e->payload_len, &h)) {
        mb_textf(t, "tables for the system, in no known form");
        return;
    }
    mb_textf(t, "tables for the system:");
    if (h.text_len > 0) {
        mb_textf(t, " ");
        add_quoted(t, h.text, h.text_len);
    }
    for (size_t i = 0; i < h.count && i < 8; i++) {
        const uint8_t *guid = h.entries + i * MB_HANDOFF_ENTRY_LEN;
        const char *name = mb_handoff_name(guid);

        mb_textf(t, "%s ", i > 0 ? "," : "");
        if (name)
            mb_textf(t, "%s", name);
        else
            mb_text_guid(t, guid);
    }
}

static void describe_separator(const struct mb_event *e, struct mb_text *t)
{
    const bool is_usual =
        e->payload_len == 4 && (mb_u32(e->payload) == 0 || mb_u32(e->payload) == UINT32_C(0xffffffff));

    mb_textf(t, is_usual ? "separator" : "separator of a firmware that failed");
}

static void describe_no_action(const struct mb_event *e, struct mb_text *t)
{
    uint8_t locality;

    if (mb_startup_locality(e->payload, e->payload_len, &locality))
        mb_textf(t, "the TPM was started from locality %u", locality);
    else
        mb_textf(t, "a note that extends nothing");
}

static void describe_payload(const struct mb_event *e, struct mb_text *t)
{
    switch (e->type) {
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
    case MB_EV_EFI_VARIABLE_BOOT:
    case MB_EV_EFI_VARIABLE_BOOT2:
    case MB_EV_EFI_VARIABLE_AUTHORITY:
        describe_variable(e, t);
        return;
    case MB_EV_EFI_BOOT_SERVICES_APPLICATION:
    case MB_EV_EFI_BOOT_SERVICES_DRIVER:
    case MB_EV_EFI_RUNTIME_SERVICES_DRIVER:
        describe_image(e, t);
        return;
    case MB_EV_IPL:
        describe_ipl(e, t);
        return;
    case MB_EV_EVENT_TAG:
        describe_tag(e, t);
        return;
    case MB_EV_EFI_HANDOFF_TABLES:
    case MB_EV_EFI_HANDOFF_TABLES2:
        describe_handoff(e, t);
        return;
    case MB_EV_SEPARATOR:
        describe_separator(e, t);
        return;
    case MB_EV_NO_ACTION:
        describe_no_action(e, t);
        return;
    case MB_EV_S_CRTM_VERSION:
        mb_textf(t, "firmware version ");
        add_quoted(t, e->payload, e->payload_len);
        return;
    case MB_EV_ACTION:
    case MB_EV_EFI_ACTION:
        mb_textf(t, "action ");
        add_quoted(t, e->payload, e->payload_len);
        return;
    case MB_EV_EFI_GPT_EVENT:
        mb_textf(t, "partition table");
        return;
    case MB_EV_S_CRTM_CONTENTS:
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB:
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB2:
        mb_textf(t, "firmware volume");
        return;
    default:
        mb_textf(t, "%s of %" PRIu32 " bytes", mb_event_type_name(e->type), e->payload_len);
        return;
    }
}

/** Blanks for what a terminal would obey: C0, DEL, and C1 (two bytes from 0xc2 on). */
static void blank_controls(char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)p[i], next = i + 1 < len ? (unsigned char)p[i + 1] : 0;

        if (c < 0x20 || c == 0x7f)
            p[i] = ' ';
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            p[i] = p[i + 1] = ' ';
    }
}

/** Cut at a whole character. */
static size_t cut(const struct mb_text *t, size_t most)
{
    size_t len = most;

    while (len > 0 && ((unsigned char)t->p[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void mb_event_describe(const struct mb_log *log, const struct mb_event *e, struct mb_text *t)
{
    struct mb_text words;
    size_t len;

    mb_text_init(&words);
    if (e->index == 0 && !log->is_sha1_format) {
        mb_textf(&words, "the log's header");
    } else {
        if (e->pcr == MB_PCR_NONE)
            mb_textf(&words, "no PCR, ");
        else
            mb_textf(&words, "PCR %" PRIu32 ", ", e->pcr);
        describe_payload(e, &words);
    }
    blank_controls(words.p, words.len);
    len = words.len <= MB_DESCRIPTION_MAX ? words.len : cut(&words, MB_DESCRIPTION_MAX - 3);
    mb_text_add(t, words.p, len);
    if (len < words.len)
        mb_text_add(t, "…", 3);
    t->failed |= words.failed;
    mb_text_done(&words);
}
