/* SPDX-License-Identifier: Apache-2.0 */
/* Fine: options of each type, answered back in the words of init's failure. */
#include "fixture.h"

static int start(const struct ql_host *host, const struct ql_options *o, void **plugin, struct ql_err *err)
{
    if (o->get_int(o, "fail") == 0) {
        *plugin = (void *)(uintptr_t)o->get_int(o, "count");
        return QL_OK;
    }
    return host->fail(err, QL_ERANGE, "count=%d ratio=%.2f word=%s first=%s second=%s",
                      (int)o->get_int(o, "count"), o->get_float(o, "ratio"), o->get_string(o, "word"),
                      o->get_item(o, "list", 0),
                      o->get_item(o, "list", 2) ? "more" : o->get_item(o, "list", 1));
}

static const struct ql_validator validator = IDLE_VALIDATOR("options");
static const struct ql_option rows[] = {
    {.name = "fail", .type = QL_OPT_BOOL, .preset = "false", .help = "fail in init and tell the options"},
    {.name = "count", .type = QL_OPT_INT, .min = 1, .max = 99, .preset = "7", .help = "a number"},
    {.name = "ratio", .type = QL_OPT_FLOAT, .preset = "0.5", .help = "a fraction"},
    {.name = "word", .type = QL_OPT_STRING, .preset = "blue", .choices = "red blue", .help = "a word"},
    {.name = "list", .type = QL_OPT_LIST, .preset = "a,b", .help = "some words"},
    {.name = "key", .type = QL_OPT_STRING, .flags = QL_OPT_SECRET, .help = "a secret"},
    {0}};

QL_PLUGIN(.name = "options", .version = "1.0", .license = "Apache-2.0", .summary = "has options",
          .options = rows, .init = start, .components = ONE_COMPONENT(validator));
