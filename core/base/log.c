/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "error.h"
#include "log.h"
#include "utf8.h"

/* The one mutable global of a process (log.h). Lines come from the loop, the store thread and the TPM thread. */
static struct {
    _Atomic(const char *) program;
    _Atomic(enum ql_log_level) level;
    _Atomic(enum ql_log_format) format;
    atomic_int fd;
} logger = {.program = "quicklime", .level = QL_INFO, .format = QL_LOG_LOGFMT, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

enum {
    ESCAPE_MAX = 8, /**< room that one escaped character needs */
    END_ROOM = 4    /**< room for what closes a line */
};

void ql_log_setup(const char *program, enum ql_log_level level, enum ql_log_format format)
{
    logger.program = program;
    logger.level = level;
    logger.format = format;
}

/* 0640 whatever the umask, but only for a file that did not exist: an administrator's mode stays. */
static int open_log(const char *path)
{
    const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    int fd = open(path, flags | O_CREAT | O_EXCL, 0640);

    if (fd >= 0)
        (void)fchmod(fd, 0640); /* a stricter mode is no reason to go without a log */
    else if (errno == EEXIST)
        fd = open(path, flags);
    return fd;
}

int ql_log_open(const char *path, struct ql_err *err)
{
    ql_auto_close int fd = open_log(path);

    if (fd < 0)
        return ql_fail(err, errno == EACCES || errno == EPERM ? QL_EACCES : QL_EIO, "log file %s: %m", path);
    if (logger.fd == STDERR_FILENO) {
        logger.fd = ql_steal_fd(fd);
        return QL_OK;
    }
    /* The number stays and the file behind it changes at once: no other thread ever writes to a closed number. */
    if (dup3(fd, logger.fd, O_CLOEXEC) < 0)
        return ql_fail(err, QL_EIO, "log file %s: %m", path);
    return QL_OK;
}

int ql_log_level_parse(const char *text, enum ql_log_level *ret, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(level_names); i++)
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

/* What would steer a terminal or break a line: C0, DEL, C1, and the separators and direction marks U+2028 to U+202e. */
static bool is_control(const unsigned char *p, size_t step)
{
    if (step == 1)
        return *p < 0x20 || *p == 0x7f;
    if (step == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    return step == 3 && p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae;
}

static unsigned code_point(const unsigned char *p, size_t step)
{
    switch (step) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    default:
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
}

/*
 * Append text between quotes, escaped as both formats understand it. A byte that is not UTF-8 becomes \\xNN, that is a
 * literal backslash to whoever unescapes the line.
 */
static size_t add_quoted(char *line, size_t at, size_t room, const char *text)
{
    size_t left = strlen(text);

    while (left > 0 && room - at > ESCAPE_MAX) {
        const unsigned char *p = (const unsigned char *)text;
        size_t step = ql_utf8_step(text, left);

        if (step == 0) {
            at += (size_t)snprintf(line + at, room - at, "\\\\x%02x", p[0]);
            step = 1;
        } else if (step == 1 && (*p == '"' || *p == '\\')) {
            line[at++] = '\\';
            line[at++] = *text;
        } else if (*p == '\n') {
            line[at++] = '\\';
            line[at++] = 'n';
        } else if (is_control(p, step)) {
            at += (size_t)snprintf(line + at, room - at, "\\u%04x", code_point(p, step));
        } else {
            memcpy(line + at, text, step);
            at += step;
        }
        text += step;
        left -= step;
    }
    return at;
}

static int start_line(char *line, size_t room, bool json, const char *level, const char *area)
{
    const char *program = logger.program;
    char stamp[32];

    if (logger.format == QL_LOG_PLAIN)
        return 0;
    ql_time_rfc3339(ql_now_ns(), stamp);
    if (json)
        return snprintf(line, room,
                        "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"area\":\"%s\",\"msg\":\"",
                        stamp, level, program, area);
    return snprintf(line, room, "time=%s level=%s program=%s area=%s msg=\"", stamp, level, program, area);
}

void ql_log(enum ql_log_level level, const char *area, const char *fmt, ...)
{
    char line[QL_LOG_LINE_MAX], text[QL_LOG_LINE_MAX];
    bool json = logger.format == QL_LOG_JSON;
    const char *end = json ? "\"}\n" : logger.format == QL_LOG_PLAIN ? "\n" : "\"\n";
    int n, saved = errno;
    size_t at;
    va_list ap;

    if (!ql_log_on(level))
        return;
    va_start(ap, fmt);
    n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    n = start_line(line, sizeof line, json, level_names[level], area);
    if (n < 0 || (size_t)n >= sizeof line / 2)
        return;
    at = add_quoted(line, (size_t)n, sizeof line - END_ROOM, text);
    memcpy(line + at, end, strlen(end));
    while (write(logger.fd, line, at + strlen(end)) < 0 && errno == EINTR)
        ; /* any other failure has nowhere to be reported to */
    errno = saved;
}
