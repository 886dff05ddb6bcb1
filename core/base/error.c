/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "utf8.h"

/* Room for text in a ql_err of the size that its maker saw; 0 in `size` means a zeroed struct of our own. */
static size_t text_room(const struct ql_err *err)
{
    size_t size = err->size;

    if (size == 0 || size > sizeof *err)
        size = sizeof *err;
    return size > offsetof(struct ql_err, text) ? size - offsetof(struct ql_err, text) : 0;
}

/* Copy as one line of UTF-8: what is neither becomes '?', and a cut never splits a character. */
static void put_line(char *out, size_t room, const char *text)
{
    size_t at = 0, left = strlen(text);

    if (room == 0)
        return;
    while (left > 0) {
        size_t step = ql_utf8_step(text, left);
        unsigned char c = (unsigned char)*text;
        bool clean = step > 1 || (step == 1 && c >= 0x20 && c != 0x7f);

        /* U+0080 to U+009F are control characters to a terminal. */
        if (step == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0)
            clean = false;
        if (step == 0)
            step = 1;
        if (room - at <= (clean ? step : 1))
            break;
        if (clean) {
            memcpy(out + at, text, step);
            at += step;
        } else {
            out[at++] = '?';
        }
        text += step;
        left -= step;
    }
    out[at] = '\0';
}

int(ql_fail)(struct ql_err *err, int code, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list ap;

    if (!err)
        return code;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    err->code = code;
    put_line(err->text, text_room(err), text);
    return code;
}

int(ql_fail_context)(struct ql_err *err, int code, const char *fmt, ...)
{
    char text[sizeof err->text], whole[2 * sizeof err->text + 2];
    size_t room;
    va_list ap;

    if (!err)
        return code;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        text[0] = '\0';
    va_end(ap);
    room = text_room(err);
    (void)snprintf(whole, sizeof whole, "%s: %.*s", text, (int)(room > 0 ? room - 1 : 0), /* cut is fine */
                   room > 0 ? err->text : "");
    put_line(err->text, room, whole);
    if (err->code == QL_OK)
        err->code = code;
    return err->code;
}

int(ql_fail_nomem)(struct ql_err *err)
{
    return ql_fail(err, QL_ENOMEM, "out of memory");
}

const char *ql_err_name(int code)
{
    static const char *const names[] = {"OK",        "EPARSE",    "ERANGE",  "ELIMIT",   "ENOMEM",
                                        "ENOTFOUND", "EEXIST",    "EACCES",  "EIO",      "ETIMEOUT",
                                        "EAGAIN",    "ECONFLICT", "EFULL",   "ECORRUPT", "EUNSUPPORTED",
                                        "ECRYPTO",   "EABI",      "ECLOSED", "EINTERNAL"};

    if (code > 0 || code < QL_EINTERNAL)
        return "E?";
    return names[-code];
}
