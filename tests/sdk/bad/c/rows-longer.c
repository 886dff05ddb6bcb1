/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: rows of a later release, whose tails mean nothing to this one. */
#include <quicklime/validator.h>

struct longer_option {
    const char *name;
    uint32_t type, flags;
    int64_t min, max;
    const char *preset, *help, *choices;
    const struct longer_option *fields;
    const char *unit;
    uint64_t later[3];
};
struct longer_need {
    uint32_t size;
    const char *evidence;
    uint32_t bound, pcr;
    const char *parameters;
    uint32_t flags;
    uint64_t later[2];
};
#define OPTION      struct longer_option
#define NEED        struct longer_need
#define MORE_OPTION , .unit = "m", .later = {UINT64_MAX, 1, 2}
#define MORE_NEED   , .parameters = "{\"n\": 1}", .later = {UINT64_MAX, UINT64_MAX}
#define ROWS_NAME   "rows-longer"
#define ROWS_INIT   rows_start
#include "rows.h"
