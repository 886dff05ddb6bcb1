/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file variable.h
 * UEFI variables as events measure them, and their values by event type and name.
 * Source: TCG PC Client Platform Firmware Profile, "UEFI_VARIABLE_DATA"; UEFI specification, "EFI_LOAD_OPTION".
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/** The parts of a variable event's payload; pointers lead into it. */
struct mb_variable {
    const uint8_t *guid; /**< 16 bytes */
    const uint8_t *name; /**< UTF-16LE, usually without NUL */
    size_t name_units;   /**< 16-bit units */
    const uint8_t *data;
    size_t data_len;
};

/** Take a payload apart. @return NULL: done; else what is wrong, a text without object, and @p ret is unset */
const char *mb_variable_read(const uint8_t *payload, size_t len, struct mb_variable *ret);

/** mb_variable_read(), and is the value well formed, as far as an event of @p type with this name has a form? */
const char *mb_variable_check(uint32_t type, const uint8_t *payload, size_t len);

/**
 * {VariableName, UnicodeNameLength, VariableDataLength, UnicodeName, VariableData}.
 * @param payload passed mb_variable_check() with the same type
 * @return NULL: no memory
 */
json_t *mb_variable_json(uint32_t type, const uint8_t *payload, size_t len);

/** As mb_variable_json(), without VariableData. */
json_t *mb_variable_head_json(const uint8_t *payload, size_t len);

/**
 * Is the value of such an event one of signature lists, and not empty?
 * @param payload passed mb_variable_check() with the same type
 * @param[out] ret  the lists, in the payload
 */
bool mb_variable_siglists(uint32_t type, const uint8_t *payload, size_t len, const uint8_t **ret,
                          size_t *ret_len);

/** @return true when the name, up to its first NUL, is the ASCII text @p text */
bool mb_variable_is(const struct mb_variable *v, const char *text);
