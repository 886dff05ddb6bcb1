/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-policy create measured-boot: the reference state of the policy `example`, out of logs of boots that were good. */
#include <getopt.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "file.h"
#include "hasher.h"
#include "json.h"
#include "refstate.h"
#include "tool.h"
#include "toolhost.h"

static const struct option options[] = {{"eventlog-file", required_argument, NULL, 'e'},
                                        {"without-secureboot", no_argument, NULL, 'i'},
                                        {"output", required_argument, NULL, 'o'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

static const char usage[] = "usage: quicklime-policy create measured-boot -e LOG [-e LOG …] [flags]\n\n"
                            "  -e, --eventlog-file LOG    boot log of a node that is as it should be, or -; "
                            "several: one policy for all of them\n"
                            "  -i, --without-secureboot   the nodes boot without Secure Boot\n"
                            "  -o, --output FILE\n";

static void show_warning(void *arg, const char *text)
{
    fprintf(stderr, "%s: warning: %s\n", (const char *)arg, text);
}

/* One log's reference state. */
static int of_log(struct mb_hasher *hasher, const char *path, bool without_secureboot, json_t **ret,
                  struct ql_err *err)
{
    ql_auto_free uint8_t *bytes = NULL;
    ql_auto_free char *name = strdup(path);
    ql_auto(mb_log_freep) struct mb_log *log = NULL;
    size_t len = 0;
    int r;

    if (!name)
        return ql_fail_nomem(err);
    r = ql_file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, MB_LOG_MAX, &bytes, &len, err);
    if (r < 0)
        return r; /* names the file */
    r = mb_log_parse(&ql_tool_host, bytes, len, &log, err);
    if (r == QL_OK && mb_log_bank(log, "sha256") >= 0)
        r = mb_log_check_digests(hasher, log, mb_log_bank(log, "sha256"), NULL, err);
    if (r == QL_OK)
        r = mb_refstate_from_log(log, without_secureboot, show_warning, name, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : QL_OK;
}

static int of_logs(const struct ql_tool_list *logs, bool without_secureboot, json_t **ret, struct ql_err *err)
{
    ql_auto(mb_hasher_freep) struct mb_hasher *hasher = NULL;
    ql_auto_json json_t *all = NULL;
    int r = mb_hasher_new(&ql_tool_host, &hasher, err);

    for (size_t i = 0; r == QL_OK && i < logs->count; i++) {
        ql_auto_json json_t *one = NULL;

        r = of_log(hasher, logs->values[i], without_secureboot, &one, err);
        if (r == QL_OK && all) {
            r = mb_refstate_merge(&ql_tool_host, all, one, err);
            if (r < 0)
                r = ql_fail_context(err, r, "%s", logs->values[i]);
        } else if (r == QL_OK) {
            all = ql_steal(one);
        }
    }
    if (r == QL_OK)
        *ret = ql_steal(all);
    return r;
}

static int create(const struct ql_tool_list *logs, bool without_secureboot, const char *output)
{
    ql_auto_json json_t *state = NULL;
    struct ql_err err = QL_ERR_INIT;
    FILE *out;

    if (of_logs(logs, without_secureboot, &state, &err) < 0)
        return ql_tool_fail(&err); /* nothing was written */
    out = ql_tool_open(output);
    if (!out)
        return QL_TOOL_FAILED;
    (void)json_dumpf(state, out, JSON_COMPACT); /* ql_tool_close() reports what was not written */
    return ql_tool_close(out, output);
}

int ql_tool_create_boot(int argc, char **argv)
{
    struct ql_tool_list logs = {0};
    bool without_secureboot = false;
    const char *output = NULL;
    int flag;

    while ((flag = getopt_long(argc, argv, "e:io:h", options, NULL)) != -1) {
        switch (flag) {
        case 'e':
            if (!ql_tool_add(&logs, optarg))
                return QL_TOOL_USAGE;
            break;
        case 'i':
            without_secureboot = true;
            break;
        case 'o':
            output = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return QL_TOOL_OK;
        default:
            return QL_TOOL_USAGE;
        }
    }
    if (logs.count == 0 || optind < argc) {
        fputs(usage, stderr);
        return QL_TOOL_USAGE;
    }
    return create(&logs, without_secureboot, output);
}

int ql_tool_create_boot_old(int argc, char **argv)
{
    static const char old_usage[] = "usage: create_mb_refstate [-i] LOG OUTPUT\n";
    struct ql_tool_list logs = {0};
    bool without_secureboot = false;
    int flag;

    while ((flag = getopt_long(argc, argv, "ih", options, NULL)) != -1) {
        if (flag == 'h') {
            fputs(old_usage, stdout);
            return QL_TOOL_OK;
        }
        if (flag != 'i')
            return QL_TOOL_USAGE;
        without_secureboot = true;
    }
    if (argc - optind != 2) {
        fputs(old_usage, stderr);
        return QL_TOOL_USAGE;
    }
    (void)ql_tool_add(&logs, argv[optind]); /* one has room */
    return create(&logs, without_secureboot, argv[optind + 1]);
}
