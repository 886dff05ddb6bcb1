/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gpt.h
 * The partition table as EV_EFI_GPT_EVENT measures it. Source: TCG PC Client Platform Firmware Profile, "UEFI_GPT_DATA".
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/** @return NULL: well formed; else what is wrong, a text without object */
const char *mb_gpt_check(const uint8_t *payload, size_t len);

/** {Header, NumberOfPartitions, Partitions}. @param payload passed mb_gpt_check() @return NULL: no memory */
json_t *mb_gpt_json(const uint8_t *payload, size_t len);
