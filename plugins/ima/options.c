/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "ima.h"
#include "report.h"

const struct ql_option ima_options[] = {
    {.name = "ima_violations",
     .type = QL_OPT_STRING,
     .preset = "tolerate",
     .choices = "tolerate fail",
     .help = "files that changed while they were measured: tolerate (counted, the first is logged) or fail"},
    {.name = "ignore_tomtou_errors",
     .type = QL_OPT_STRING,
     .preset = "",
     .help = "Keylime's key for the same, with the effect it has there: true makes violations fail, false "
             "tolerates "
             "them; empty: ima_violations decides"},
    {.name = "require_ima_log",
     .type = QL_OPT_BOOL,
     .preset = "true",
     .help = "a list read from its start must begin with boot_aggregate: refuses nodes whose IMA is switched "
             "off"},
    {.name = "ima_max_failures",
     .type = QL_OPT_INT,
     .min = 1,
     .max = IMA_REPORTED_MAX,
     .preset = "100",
     .help = "failing entries of one attestation that are reported one by one; more are counted"},
    {.name = "ima_ml_path",
     .type = QL_OPT_STRING,
     .preset = "default",
     .help = "agent: measurement list to serve; default: " IMA_KERNEL_LIST},
    {0},
};

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

/* Keylime's key says the opposite of its name. It is obeyed as it acts, and the log says so in plain words. */
static int read_violations(struct ima_plugin *p, const struct ql_options *o, struct ql_err *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1", NULL}, *const no[] = {"false", "no", "off",
                                                                                      "0", NULL};
    const char *old = o->get_string(o, "ignore_tomtou_errors");

    p->violations_fail = strcmp(o->get_string(o, "ima_violations"), "fail") == 0;
    if (!*old)
        return QL_OK;
    if (!is_one_of(old, yes) && !is_one_of(old, no))
        return p->host->fail(err, QL_ERANGE, "ima: ignore_tomtou_errors is \"%.40s\", neither true nor false",
                             old);
    p->violations_fail = is_one_of(old, yes);
    p->host->log(p->host, QL_LOG_WARN,
                 p->violations_fail ? "ignore_tomtou_errors = true: files that changed while they were "
                                      "measured FAIL their node, as in "
                                      "Keylime; write ima_violations = \"fail\" instead"
                                    : "ignore_tomtou_errors = false: files that changed while they were "
                                      "measured are TOLERATED, as in "
                                      "Keylime; write ima_violations = \"tolerate\" instead");
    return QL_OK;
}

int ima_plugin_new(const struct ql_host *host, const struct ql_options *o, struct ima_plugin **ret,
                   struct ql_err *err)
{
    struct ima_plugin *p = host->alloc(host, sizeof *p);
    int r;

    if (!p)
        return host->fail(err, QL_ENOMEM, "ima: no memory");
    *p = (struct ima_plugin){.host = host,
                             .require_log = o->get_int(o, "require_ima_log") != 0,
                             .max_failures = (size_t)o->get_int(o, "ima_max_failures"),
                             .list = o->get_string(o, "ima_ml_path")};
    if (!*p->list || strcmp(p->list, "default") == 0)
        p->list = IMA_KERNEL_LIST;
    r = read_violations(p, o, err);
    if (r == QL_OK)
        r = ima_hasher_new(host, &p->hasher, err);
    if (r == QL_OK)
        r = ima_reader_new(host, &p->readers[0], err);
    if (r == QL_OK)
        r = ima_reader_new(host, &p->readers[1], err);
    if (r < 0) {
        ima_plugin_free(p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

void ima_plugin_free(struct ima_plugin *p)
{
    if (!p)
        return;
    ima_reader_free(p->readers[0]);
    ima_reader_free(p->readers[1]);
    ima_hasher_free(p->hasher);
    p->host->free(p->host, p);
}
