/* SPDX-License-Identifier: Apache-2.0 */
/** @file utf8.h  One step through text of unknown quality. */
#pragma once
#include <stddef.h>

/**
 * Length of the well-formed UTF-8 sequence at @p text: shortest form, no surrogates, at most U+10FFFF (RFC 3629).
 * @return 1 to 4; 0: malformed, or cut short by @p left
 */
size_t ql_utf8_step(const char *text, size_t left);
