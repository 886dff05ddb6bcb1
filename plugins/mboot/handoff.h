/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file handoff.h
 * EV_EFI_HANDOFF_TABLES and EV_EFI_HANDOFF_TABLES2: which tables the firmware hands to the system (ACPI, SMBIOS …), and where
 * they lie. The digest is of the tables themselves.
 *
 * Source: TCG PC Client Platform Firmware Profile, "UEFI_HANDOFF_TABLE_POINTERS", "UEFI_HANDOFF_TABLE_POINTERS2".
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MB_HANDOFF_ENTRY_LEN = 24 /**< GUID and address */
};

/** The tables; pointers lead into the payload. */
struct mb_handoff {
    const uint8_t *text; /**< description, text_len bytes; the older form has none */
    size_t text_len;
    const uint8_t *entries; /**< count times GUID and u64 address */
    size_t count;
};

/** @param is_second EV_EFI_HANDOFF_TABLES2 @return false: sizes do not agree with the payload's */
bool mb_handoff_read(bool is_second, const uint8_t *payload, size_t len, struct mb_handoff *ret);
/** @return name of a table ("ACPI 2.0") by the GUID of its entry, or NULL */
const char *mb_handoff_name(const uint8_t *guid);
