/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "json.h"
#include "log.h"
#include "paths.h"
#include "program.h"
#include "verdict.h"
#include "verify.h"

static const char usage[] =
    "Usage: quicklime-verify [OPTION]... FILE.json\n"
    "       quicklime-verify [OPTION]... --pairs DIR\n"
    "Judges a recorded attestation as the verifier would and prints the result.\n"
    "\n"
    "  --state FILE        go on from the state in FILE, if it exists, and write the new one after a pass\n"
    "  --plugin FILE       also load this plugin (.so or .lua); may be given several times\n"
    "  --plugin-dir DIR    where the plugins for Keylime's policies are\n"
    "  --set GROUP.OPTION=VALUE   an option of a plugin; may be given several times\n"
    "  --pairs DIR         judge each two files of DIR in both orders: neither may change the other's "
    "result\n"
    "  --limits            judge with a quarter of a worker's time and memory\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 valid, 1 not valid, 2 not usable (usage, unreadable file, no JSON object, no type or "
    "data).\n";

/* Validators of the policies that Keylime knows. Where one is missing, a policy for it fails. */
static const char *const own_plugins[] = {"tpm-policy", "ima", "mboot"};

static int open_named(const struct ql_verify_options *o, struct ql_verify_plugins *p, struct ql_err *err)
{
    for (size_t i = 0; i < o->plugin_count; i++) {
        int r = ql_plugin_path_open(o->plugins[i], &p->files[p->count], err);

        if (r < 0)
            return r;
        p->count++;
    }
    return QL_OK;
}

int ql_verify_open(const struct ql_verify_options *o, struct ql_verify_plugins *ret, struct ql_err *err)
{
    const char *dir = ql_plugin_dir(o->plugin_dir ? o->plugin_dir : "");
    struct ql_verify_plugins p = {.count = 0};
    int r = open_named(o, &p, err);
    const size_t named = p.count;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(own_plugins); i++) {
        bool given = false;

        for (size_t k = 0; k < named; k++)
            given = given || strcmp(p.files[k].name, own_plugins[i]) == 0;
        if (given)
            continue;
        r = ql_plugin_file_open(dir, own_plugins[i], &p.files[p.count], err);
        if (r == QL_OK)
            p.count++;
        else if (r == QL_ENOTFOUND)
            r = QL_OK;
    }
    if (r < 0) {
        ql_verify_close(&p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

void ql_verify_close(struct ql_verify_plugins *p)
{
    while (p->count > 0)
        ql_plugin_file_close(&p->files[--p->count]);
}

int ql_verify_load(const struct ql_verify_options *o, const struct ql_verify_plugins *p,
                   struct ql_registry **ret, struct ql_err *err)
{
    const struct ql_registry_config kinds = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};
    /* As long as the process: plugins read their options from it at any time. */
    static struct ql_config *config;
    ql_auto(ql_registry_freep) struct ql_registry *r = NULL;
    int result = ql_config_load_text("verify", "", o->settings, o->setting_count, &config, err);

    if (result == QL_OK)
        result = ql_registry_new(&kinds, &r, err);
    for (size_t i = 0; result == QL_OK && i < p->count; i++)
        result = ql_registry_load(r, &p->files[i], config, err);
    if (result == QL_OK)
        result = ql_config_finish(config, err);
    if (result == QL_OK)
        result = ql_registry_order(r, err);
    if (result == QL_OK)
        *ret = ql_steal(r);
    return result;
}

static int read_state(const char *path, json_t **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r;

    if (!path)
        return QL_OK;
    r = ql_file_read(path, 16u * 1024 * 1024, &text, &len, err);
    if (r == QL_ENOTFOUND)
        return QL_OK;
    return r == QL_OK ? ql_json_parse_object((const char *)text, len, len, ret, err) : r;
}

int ql_verify_read(const struct ql_verify_options *o, const char *path, struct ql_verify_input *ret,
                   struct ql_err *err)
{
    struct ql_verify_input in = {0};
    int r = ql_file_read(path, QL_VERIFY_FILE_MAX, &in.body, &in.len, err);

    if (r == QL_OK)
        r = read_state(o->state, &in.state, err);
    if (r < 0) {
        ql_verify_input_done(&in);
        return r;
    }
    *ret = in;
    return QL_OK;
}

void ql_verify_input_done(struct ql_verify_input *in)
{
    free(in->body);
    json_decref(in->state);
    *in = (struct ql_verify_input){0};
}

json_t *ql_verify_failed(const char *type, const char *message, const char *limit)
{
    return json_pack("{s:b, s:{}, s:[{s:s, s:{s:s, s:s*}}]}", "valid", 0, "claims", "failures", "type", type,
                     "context", "message", message, "limit", limit);
}

int ql_verify_body(const struct ql_registry *registry, const struct ql_verify_input *in, json_t **result,
                   json_t **new_state, struct ql_err *err)
{
    int http = 0, r = ql_verify_oneshot(registry, (const char *)in->body, in->len, true, in->state, new_state,
                                        result, &http, err);

    /* What cannot be judged for a reason of ours is not valid. */
    if (r == QL_EUNSUPPORTED)
        *result = ql_verify_failed("default.invalid_param", err->text, NULL);
    else if (r == QL_ENOMEM)
        *result = ql_verify_failed(QL_VERIFY_LIMIT_EVENT, err->text, "memory");
    else if (r < 0 && r != QL_EPARSE)
        *result = ql_verify_failed("internal.error", err->text, NULL);
    return r == QL_EPARSE ? r : *result ? QL_OK : ql_fail_nomem(err);
}

/* GROUP.OPTION=VALUE; cut in place. */
static int add_setting(struct ql_verify_options *o, char *text)
{
    char *dot = strchr(text, '.'), *equals = dot ? strchr(dot, '=') : NULL;

    if (!equals || o->setting_count == QL_VERIFY_SETTINGS_MAX) {
        fprintf(stderr, "quicklime-verify: --set takes GROUP.OPTION=VALUE, at most %d times\n",
                QL_VERIFY_SETTINGS_MAX);
        return -1;
    }
    *dot = *equals = '\0';
    o->settings[o->setting_count++] = (struct ql_setting){text, dot + 1, equals + 1};
    return 0;
}

static int read_options(int argc, char **argv, struct ql_verify_options *o, int *exit_code)
{
    enum {
        STATE = 256,
        PLUGIN,
        PLUGIN_DIR,
        PAIRS,
        LIMITS,
        SET,
        VERSION,
        HELP
    };
    static const struct option options[] = {
        {"state", required_argument, NULL, STATE},
        {"plugin", required_argument, NULL, PLUGIN},
        {"plugin-dir", required_argument, NULL, PLUGIN_DIR},
        {"pairs", required_argument, NULL, PAIRS},
        {"limits", no_argument, NULL, LIMITS},
        {"set", required_argument, NULL, SET},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int c;

    *exit_code = QL_VERIFY_UNUSABLE;
    optind = 1;
    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (c) {
        case STATE:
            o->state = optarg;
            break;
        case PLUGIN:
            if (o->plugin_count == QL_VERIFY_PLUGINS_MAX) {
                fprintf(stderr, "quicklime-verify: more than %d plugins\n", QL_VERIFY_PLUGINS_MAX);
                return -1;
            }
            o->plugins[o->plugin_count++] = optarg;
            break;
        case PLUGIN_DIR:
            o->plugin_dir = optarg;
            break;
        case PAIRS:
            o->pairs = optarg;
            break;
        case LIMITS:
            o->limits = true;
            break;
        case SET:
            if (add_setting(o, optarg) < 0)
                return -1;
            break;
        case VERSION:
            printf("quicklime-verify %s\n", ql_version());
            *exit_code = QL_VERIFY_VALID;
            return -1;
        case HELP:
            fputs(usage, stdout);
            *exit_code = QL_VERIFY_VALID;
            return -1;
        default: /* getopt has said what is wrong */
            return -1;
        }
    }
    o->file = optind < argc ? argv[optind] : NULL;
    if (argc - optind != (o->pairs ? 0 : 1)) {
        fputs(usage, stderr);
        return -1;
    }
    return 0;
}

int ql_verify_main(int argc, char **argv)
{
    struct ql_verify_options o = {0};
    struct ql_err err = QL_ERR_INIT;
    int code;

    ql_log_setup("quicklime-verify", QL_WARN, QL_LOG_LOGFMT);
    if (read_options(argc, argv, &o, &code) < 0)
        return code;
    code = o.pairs ? ql_verify_pairs(&o, &err) : ql_verify_one(&o, &err);
    if (code == QL_VERIFY_UNUSABLE)
        fprintf(stderr, "quicklime-verify: %s\n", err.text);
    return code;
}
