/* SPDX-License-Identifier: Apache-2.0 */
#include "color.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ql_color_wanted(const char *when, FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    if (when && strcmp(when, "always") == 0)
        return 1;
    if (when && strcmp(when, "never") == 0)
        return 0;
    if (when && strcmp(when, "auto") != 0)
        return -1;
    return !(no && *no != '\0') && !(term && strcmp(term, "dumb") == 0) && isatty(fileno(out)) ? 1 : 0;
}

const char *ql_color(bool is_wanted, enum ql_color c)
{
    if (!is_wanted)
        return "";
    switch (c) {
    case QL_COLOR_PLAIN:
        return "\x1b[0m";
    case QL_COLOR_GOOD:
        return "\x1b[32m";
    case QL_COLOR_BAD:
        return "\x1b[1;31m";
    case QL_COLOR_WARN:
        return "\x1b[33m";
    case QL_COLOR_DIM:
        return "\x1b[2m";
    }
    return "";
}
