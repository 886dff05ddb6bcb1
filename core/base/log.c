/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "log.h"
#include "parse.h"

/* The one mutable global of a process (log.h). Lines come from the loop, the store thread and the TPM thread. */
static struct {
    const char *program;
    _Atomic(enum ql_log_level) level;
    enum ql_log_format format;
    atomic_int fd;
} logger = {.program = "quicklime", .level = QL_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void ql_log_setup(const char *program, enum ql_log_level level, enum ql_log_format format)
{
    logger.program = program;
    logger.level = level;
    logger.format = format;
}

int ql_log_open(const char *path, struct ql_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640), old;

    if (fd < 0)
        return ql_fail(err, QL_EIO, "log file %s: %m", path);
    old = atomic_exchange(&logger.fd, fd);
    if (old != STDERR_FILENO)
        (void)close(old); /* nothing is buffered */
    return QL_OK;
}

int ql_log_level_parse(const char *text, enum ql_log_level *ret, struct ql_err *err)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcasecmp(text, level_names[i]) == 0) {
            *ret = (enum ql_log_level)i;
            return QL_OK;
        }
    return ql_fail(err, QL_EPARSE, "\"%.40s\" is no log level (error, warn, info, debug)", text);
}

bool ql_log_on(enum ql_log_level level)
{
    return level <= logger.level;
}

/* Append text between quotes; quotes, backslashes and control characters are escaped in the way both formats share. */
static size_t add_quoted(char *line, size_t at, size_t room, const char *text)
{
    size_t len = strlen(text);
    bool utf8 = ql_utf8_ok(text, len);

    for (size_t i = 0; i < len && at + 8 < room; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\') {
            line[at++] = '\\';
            line[at++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
            at += (size_t)snprintf(line + at, room - at, "\\u%04x", c);
        } else {
            line[at++] = (char)c;
        }
    }
    /* A cut inside a character leaves no half of it behind. */
    while (utf8 && at > 0 && !ql_utf8_ok(line, at))
        at--;
    return at;
}

static int start_line(char *line, size_t room, const char *level, const char *area)
{
    char stamp[32];

    ql_time_rfc3339(ql_now_ns(), stamp);
    if (logger.format == QL_LOG_JSON)
        return snprintf(line, room,
                        "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"area\":\"%s\",\"msg\":\"",
                        stamp, level, logger.program, area);
    return snprintf(line, room, "time=%s level=%s program=%s area=%s msg=\"", stamp, level, logger.program,
                    area);
}

void ql_log(enum ql_log_level level, const char *area, const char *fmt, ...)
{
    char line[QL_LOG_LINE_MAX], text[QL_LOG_LINE_MAX];
    const char *end = logger.format == QL_LOG_JSON ? "\"}\n" : "\"\n";
    size_t at;
    va_list ap;
    int n;

    if (!ql_log_on(level))
        return;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    n = start_line(line, sizeof line, level_names[level], area);
    if (n < 0 || (size_t)n >= sizeof line / 2)
        return;
    at = add_quoted(line, (size_t)n, sizeof line - 4, text);
    memcpy(line + at, end, strlen(end));
    /* Nowhere to report to when the log itself cannot be written. */
    if (write(logger.fd, line, at + strlen(end)) < 0)
        return;
}
