/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector.h"
#include "plugin.h"

const struct ql_option mb_options[] = {
    {.name = MB_LOG_OPTION,
     .type = QL_OPT_STRING,
     .preset = MB_LOG_PATH,
     .help = "agent: UEFI event log to serve"},
    {.name = "measured_boot_policy_name",
     .type = QL_OPT_STRING,
     .preset = "accept-all",
     .help = "policy that judges boot logs: a bundled one, or the name of an imported script"},
    {.name = "measured_boot_imports",
     .type = QL_OPT_LIST,
     .preset = "",
     .help = "paths of policy scripts NAME.lua"},
    {.name = "measured_boot_evaluate",
     .type = QL_OPT_STRING,
     .preset = "once",
     .choices = "once always",
     .help = "once: one evaluation for each boot, log and policy; always: one for every quote"},
    {.name = "measured_boot_digest_check",
     .type = QL_OPT_STRING,
     .preset = "strict",
     .choices = "strict log",
     .help = "event data that does not agree with its digest: strict (fails) or log (a line in the log)"},
    {.name = NULL},
};

static const char *import_at(const void *arg, size_t n)
{
    const struct ql_options *o = arg;

    return o->get_item(o, "measured_boot_imports", n);
}

/* One digest over every script by name and text. */
static int digest_scripts(struct mb_plugin *p, struct ql_err *err)
{
    const struct mb_script *s;

    for (size_t n = 0; (s = mb_scripts_at(p->scripts, n)) != NULL; n++) {
        uint8_t pieces[3][MB_DIGEST_MAX] = {0};
        int r = mb_hash(p->shop.hasher, MB_ALG_SHA256, s->name, strlen(s->name), NULL, 0, pieces[0]);

        if (r == QL_OK)
            r = mb_hash(p->shop.hasher, MB_ALG_SHA256, s->text, s->len, NULL, 0, pieces[1]);
        memcpy(pieces[2], p->scripts_digest, sizeof p->scripts_digest);
        if (r == QL_OK)
            r = mb_hash(p->shop.hasher, MB_ALG_SHA256, pieces, sizeof pieces, NULL, 0, pieces[0]);
        if (r < 0)
            return p->host->fail(err, r, "SHA-256 is not to be had");
        memcpy(p->scripts_digest, pieces[0], sizeof p->scripts_digest);
    }
    return QL_OK;
}

int mb_plugin_new(const struct ql_host *host, const struct ql_options *o, struct mb_plugin **ret,
                  struct ql_err *err)
{
    struct mb_plugin *p = host->alloc(host, sizeof *p);
    int r;

    if (!p)
        return host->fail(err, QL_ENOMEM, "out of memory");
    *p = (struct mb_plugin){
        .host = host,
        .options = o,
        .shop = {.host = host},
        .policy_name = o->get_string(o, "measured_boot_policy_name"),
        .forget = strcmp(o->get_string(o, "measured_boot_evaluate"), "always") == 0,
        .tolerate_mismatch = strcmp(o->get_string(o, "measured_boot_digest_check"), "log") == 0,
    };
    r = mb_hasher_new(host, &p->shop.hasher, err);
    if (r == QL_OK)
        r = mb_scripts_new(host, import_at, o, &p->scripts, err);
    p->shop.scripts = p->scripts;
    if (r == QL_OK)
        r = digest_scripts(p, err);
    if (r < 0) {
        mb_plugin_free(p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

void mb_plugin_free(struct mb_plugin *p)
{
    if (!p)
        return;
    mb_scripts_free(p->scripts);
    mb_hasher_free(p->shop.hasher);
    p->host->free(p->host, p);
}
