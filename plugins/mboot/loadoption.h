/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file loadoption.h
 * Boot options: the value of the variables Boot0000 and so on. Source: UEFI specification, "EFI_LOAD_OPTION".
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/** @return NULL: well formed; else what is wrong, a text without object */
const char *mb_loadoption_check(const uint8_t *data, size_t len);

/**
 * {Enabled, FilePathListLength, Description, DevicePath}; DevicePath is hex of all that follows the description.
 * @param data passed mb_loadoption_check()
 * @return NULL: no memory
 */
json_t *mb_loadoption_json(const uint8_t *data, size_t len);
