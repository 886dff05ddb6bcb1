/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file log.h
 * Log lines for programs: one line each to stderr, logfmt or JSON. Libraries below `http` never log.
 *
 * The level and the format are the one mutable global of the process. Control characters and invalid UTF-8 in
 * messages are escaped, a line is cut at QL_LOG_LINE_MAX bytes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_LOG_LINE_MAX = 4096 /**< bytes; one write(2) that pipes keep whole */
};

enum ql_log_level {
    QL_ERROR = 0,
    QL_WARN = 1,
    QL_INFO = 2,
    QL_DEBUG = 3
};

enum ql_log_format {
    QL_LOG_LOGFMT,
    QL_LOG_JSON,
    QL_LOG_PLAIN /**< the message alone: for a program whose output another one logs */
};

/** Set level, format and program name (borrowed for ever). Called once at start, again by SIGHUP. */
void ql_log_setup(const char *program, enum ql_log_level level, enum ql_log_format format);
/** Log to a file instead of stderr: opened for append, mode 0640; called again it reopens (log rotation). */
int ql_log_open(const char *path, struct ql_err *err);
/** "error", "warn", "info", "debug" → level. @retval QL_EPARSE */
int ql_log_level_parse(const char *text, enum ql_log_level *ret, struct ql_err *err);

/**
 * Write one line: time, level, program, area, message.
 * @param area  part of the program, a word: "http", "attest", "store", …
 */
void ql_log(enum ql_log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** @return true when lines of this level are written; guards costly arguments */
bool ql_log_on(enum ql_log_level level);
