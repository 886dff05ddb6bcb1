/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_file.h  One libconfig file, checked for what libconfig itself takes without a word. Internal to base. */
#pragma once
#include <libconfig.h>

#include <quicklime/error.h>

struct ql_config_file {
    char *path;
    config_t config;
};

/**
 * Read and parse. Refused besides grammar errors: files above QL_CONFIG_FILE_MAX, `@include` (conf.d folders merge), what
 * is not UTF-8, and integer literals that libconfig's releases read differently or wrap: ten or more digits, more than
 * 31 bits in hex, a leading zero (write them as text).
 * @retval QL_ENOTFOUND @retval QL_EACCES @retval QL_EPARSE with file and line
 */
int ql_config_file_read(const char *path, struct ql_config_file *ret, struct ql_err *err);
void ql_config_file_done(struct ql_config_file *f);
/** The same checks on bytes in memory (fuzzing, tests). @param path only for messages */
int ql_config_file_parse(const char *path, const char *text, size_t len, struct ql_config_file *ret,
                         struct ql_err *err);
