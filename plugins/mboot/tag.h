/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tag.h
 * EV_EVENT_TAG payloads: a number that says who measured what, and data. The digest is of what the tag names, mostly not of the
 * payload: a tag alone proves nothing.
 *
 * Source: TCG PC Client Platform Firmware Profile, "TCG_PCClientTaggedEvent"; numbers of Linux, systemd-boot, systemd-stub.
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One tagged event; data leads into the payload. */
struct mb_tag {
    uint32_t id;
    const uint8_t *data;
    uint32_t data_len;
};

/** @return false: the payload is shorter than it says */
bool mb_tag_read(const uint8_t *payload, size_t len, struct mb_tag *ret);
/** @return what a known number stands for ("initrd loaded by the kernel's EFI stub"), or NULL */
const char *mb_tag_name(uint32_t id);
