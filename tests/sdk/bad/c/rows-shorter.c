/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: rows that end before what a release appended. */
#include <quicklime/validator.h>

struct shorter_option {
    const char *name;
    uint32_t type, flags;
    int64_t min, max;
    const char *preset, *help;
};
struct shorter_need {
    uint32_t size;
    const char *evidence;
    uint32_t bound, pcr;
};
#define OPTION struct shorter_option
#define NEED   struct shorter_need
#define MORE_OPTION
#define MORE_NEED
#define ROWS_NAME "rows-shorter"
#define ROWS_INIT rows_start
#include "rows.h"
