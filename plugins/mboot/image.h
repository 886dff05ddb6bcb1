/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file image.h
 * Loaded images and firmware volumes: where they lie in memory and, for an image, the path that it says it came from.
 * The digest of such an event is that of the image: neither address nor path is measured.
 * Source: TCG PC Client Platform Firmware Profile, "UEFI_IMAGE_LOAD_EVENT", "UEFI_PLATFORM_FIRMWARE_BLOB", "…BLOB2".
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/** @return NULL: well formed; else what is wrong, a text without object */
const char *mb_image_check(const uint8_t *payload, size_t len);
const char *mb_blob_check(const uint8_t *payload, size_t len);
const char *mb_blob2_check(const uint8_t *payload, size_t len);

/**
 * {ImageLocationInMemory, ImageLengthInMemory, ImageLinkTimeAddress, LengthOfDevicePath, DevicePath}; DevicePath is text,
 * or hex of all that follows the fixed part when a node is malformed.
 * @param payload passed the check @return NULL: no memory
 */
json_t *mb_image_json(const uint8_t *payload, size_t len);
/** {BlobBase, BlobLength} */
json_t *mb_blob_json(const uint8_t *payload, size_t len);
/** {BlobDescriptionSize, BlobDescription, BlobBase, BlobLength} */
json_t *mb_blob2_json(const uint8_t *payload, size_t len);
