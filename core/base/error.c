/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/* One line: whatever a peer put into a text must not start another. */
static void flatten(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static int fill(struct ql_err *err, int code, const char *fmt, va_list ap)
{
    if (err) {
        err->code = code;
        if (vsnprintf(err->text, sizeof err->text, fmt, ap) < 0)
            err->text[0] = '\0';
        flatten(err->text);
    }
    return code;
}

int ql_fail(struct ql_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fill(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int ql_fail_context(struct ql_err *err, int code, const char *fmt, ...)
{
    char text[sizeof err->text];
    size_t used;
    va_list ap;

    if (!err)
        return code;
    memcpy(text, err->text, sizeof text);
    text[sizeof text - 1] = '\0';
    if (err->code != 0)
        code = err->code;
    va_start(ap, fmt);
    fill(err, code, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", text);
    return code;
}

int ql_fail_nomem(struct ql_err *err)
{
    return ql_fail(err, QL_ENOMEM, "out of memory");
}

const char *ql_err_name(int code)
{
    static const char *const names[] = {
        "OK",           "EPARSE",  "ERANGE",   "ELIMIT",  "ENOMEM",    "ENOTFOUND", "EEXIST",
        "EACCES",       "EIO",     "ETIMEOUT", "EAGAIN",  "ECONFLICT", "EFULL",     "ECORRUPT",
        "EUNSUPPORTED", "ECRYPTO", "EABI",     "ECLOSED", "EINTERNAL",
    };

    return code <= 0 && -code < (int)(sizeof names / sizeof names[0]) ? names[-code] : "E?";
}
