/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file devpath.h
 * UEFI device paths as text: "PciRoot(0x0)/Pci(0x1f,0x2)/…/File(\EFI\BOOT\BOOTX64.EFI)", spelled as libefivar 37 does.
 *
 * The text of rare nodes differs between versions of that library: a policy should not compare it whole.
 * Source: UEFI specification, "Device Path Protocol". Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mb_text;

/**
 * Add the text of a path. It ends at the first end node, or with the bytes.
 * @param t text so far; on failure it holds a part of the path as well
 * @return false: a node's length is below 4 or leads past the end, or a file name has a character outside ASCII: such a
 *         path is shown as hex
 */
bool mb_devpath_text(const uint8_t *path, size_t len, struct mb_text *t);
