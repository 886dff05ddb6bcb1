/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pyrepr.h
 * JSON values spelt as Python prints a dictionary: scripts in the field read the tenant's output so
 * (spec/server.md 10).
 */
#pragma once
#include <jansson.h>

/** @return text, caller frees; NULL: no memory or nested deeper than QL_JSON_DEPTH */
char *ql_pyrepr(const json_t *value);
