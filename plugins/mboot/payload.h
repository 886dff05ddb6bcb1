/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file payload.h
 * What the payload of each event type is: is it whole, and which JSON value stands for it.
 *
 * Types without a form of their own are hex of their first 1024 bytes; texts lose one NUL at their end; an empty payload
 * has no value. Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
    MB_HEX_MAX = 1024 /**< bytes of a payload without form that are shown */
};

/** @return NULL: well formed, or a type without form; else what is wrong, a text without object */
const char *mb_payload_check(uint32_t type, const uint8_t *payload, size_t len);

/** @param payload passed mb_payload_check(), @p len above 0 @return NULL: no memory */
json_t *mb_payload_value(uint32_t type, const uint8_t *payload, size_t len);

/** Is this payload of an EV_NO_ACTION event a StartupLocality? @param[out] ret the locality, as written */
bool mb_startup_locality(const uint8_t *payload, size_t len, uint8_t *ret);
