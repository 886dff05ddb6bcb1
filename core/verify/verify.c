/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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
    "  --pairs DIR         judge each two files of DIR in both orders: neither may change the other's "
    "result\n"
    "  --limits            judge with a quarter of a worker's time and memory\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 valid, 1 not valid, 2 not usable (usage, unreadable file, no JSON object, no type or "
    "data).\n";

/* Validators of the policies that Keylime knows. Where one is missing, a policy for it fails. */
static const char *const own_plugins[] = {"tpm-policy", "ima", "mboot"};

static int load_named(const struct ql_verify_options *o, struct ql_registry *r, bool *own, struct ql_err *err)
{
    for (size_t i = 0; i < o->plugin_count; i++) {
        struct ql_plugin_file f = {.fd = -1};
        int result = ql_plugin_path_open(o->plugins[i], &f, err);

        if (result == QL_OK)
            result = ql_registry_load(r, &f, NULL, err);
        for (size_t k = 0; k < QL_ARRAY_LEN(own_plugins); k++)
            own[k] = own[k] || strcmp(f.name, own_plugins[k]) == 0;
        ql_plugin_file_close(&f);
        if (result < 0)
            return result;
    }
    return QL_OK;
}

int ql_verify_load(const struct ql_verify_options *o, struct ql_registry **ret, struct ql_err *err)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};
    ql_auto(ql_registry_freep) struct ql_registry *r = NULL;
    const char *dir = ql_plugin_dir(o->plugin_dir ? o->plugin_dir : "");
    bool given[QL_ARRAY_LEN(own_plugins)] = {false};
    int result = ql_registry_new(&config, &r, err);

    if (result == QL_OK)
        result = load_named(o, r, given, err);
    for (size_t i = 0; result == QL_OK && i < QL_ARRAY_LEN(own_plugins); i++) {
        struct ql_plugin_file f = {.fd = -1};

        if (given[i])
            continue;
        result = ql_plugin_file_open(dir, own_plugins[i], &f, err);
        if (result == QL_OK)
            result = ql_registry_load(r, &f, NULL, err);
        else if (result == QL_ENOTFOUND)
            result = QL_OK;
        ql_plugin_file_close(&f);
    }
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

static int write_state(const char *path, const json_t *state, struct ql_err *err)
{
    ql_auto_free char *text = NULL;

    if (!path || !state)
        return QL_OK;
    text = json_dumps(state, JSON_INDENT(2));
    return text ? ql_file_write(path, 0600, text, strlen(text), err) : ql_fail_nomem(err);
}

/* What cannot be judged for a reason of ours is not valid. */
static json_t *failure_object(const char *type, const char *message)
{
    return json_pack("{s:b, s:{}, s:[{s:s, s:{s:s}}]}", "valid", 0, "claims", "failures", "type", type,
                     "context", "message", message);
}

int ql_verify_file(const struct ql_verify_options *o, const struct ql_registry *registry, const char *path,
                   json_t **result, struct ql_err *err)
{
    ql_auto_free uint8_t *body = NULL;
    ql_auto_json json_t *state = NULL, *new_state = NULL;
    size_t len = 0;
    int http = 0, r = ql_file_read(path, QL_VERIFY_FILE_MAX, &body, &len, err);

    if (r == QL_OK)
        r = read_state(o->state, &state, err);
    if (r < 0)
        return QL_VERIFY_UNUSABLE;
    r = ql_verify_oneshot(registry, (const char *)body, len, true, state, &new_state, result, &http, err);
    if (r == QL_EPARSE)
        return QL_VERIFY_UNUSABLE;
    if (r == QL_EUNSUPPORTED)
        *result = failure_object("default.invalid_param", err->text);
    else if (r < 0)
        *result = failure_object("internal.error", err->text);
    if (r == QL_OK && write_state(o->state, new_state, err) < 0)
        return QL_VERIFY_UNUSABLE;
    return *result && json_is_true(json_object_get(*result, "valid")) ? QL_VERIFY_VALID : QL_VERIFY_INVALID;
}

static int read_options(int argc, char **argv, struct ql_verify_options *o, int *exit_code)
{
    enum {
        STATE = 256,
        PLUGIN,
        PLUGIN_DIR,
        PAIRS,
        LIMITS,
        VERSION,
        HELP
    };
    static const struct option options[] = {
        {"state", required_argument, NULL, STATE},
        {"plugin", required_argument, NULL, PLUGIN},
        {"plugin-dir", required_argument, NULL, PLUGIN_DIR},
        {"pairs", required_argument, NULL, PAIRS},
        {"limits", no_argument, NULL, LIMITS},
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

static int judge_here(const struct ql_verify_options *o, struct ql_err *err)
{
    ql_auto_json json_t *result = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *registry = NULL;
    int code;

    if (ql_verify_load(o, &registry, err) < 0)
        return QL_VERIFY_UNUSABLE;
    code = ql_verify_file(o, registry, o->file, &result, err);
    if (result &&
        (json_dumpf(result, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF || fflush(stdout) != 0)) {
        (void)ql_fail(err, QL_EIO, "result cannot be written: %s", strerror(errno)); /* the code says it */
        return QL_VERIFY_UNUSABLE;
    }
    return code;
}

int ql_verify_main(int argc, char **argv)
{
    struct ql_verify_options o = {0};
    struct ql_err err = QL_ERR_INIT;
    int code;

    ql_log_setup("quicklime-verify", QL_WARN, QL_LOG_LOGFMT);
    if (read_options(argc, argv, &o, &code) < 0)
        return code;
    code = o.pairs ? ql_verify_pairs(&o, &err) : o.limits ? ql_verify_limits(&o, &err) : judge_here(&o, &err);
    if (code == QL_VERIFY_UNUSABLE)
        fprintf(stderr, "quicklime-verify: %s\n", err.text);
    return code;
}
