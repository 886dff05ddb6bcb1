/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-policy create measured-boot: the reference state of the policy `example` or `strict`, out of logs of good boots. */
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
                                        {"policy", required_argument, NULL, 'p'},
                                        {"without-secureboot", no_argument, NULL, 'i'},
                                        {"output", required_argument, NULL, 'o'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

static const char usage[] = "usage: quicklime-policy create measured-boot -e LOG [-e LOG …] [flags]\n\n"
                            "  -e, --eventlog-file LOG    boot log of a node that is as it should be, or -; "
                            "several: one policy for all of them\n"
                            "  -p, --policy NAME          for which policy: example (default) or strict\n"
                            "  -i, --without-secureboot   the nodes boot without Secure Boot\n"
                            "  -o, --output FILE\n";

/** What is made. */
struct making {
    struct ql_tool_list logs;
    bool without_secureboot, is_strict;
};

static void show_warning(void *arg, const char *text)
{
    fprintf(stderr, "%s: warning: %s\n", (const char *)arg, text);
}

/* One log's reference state. */
static int of_log(struct mb_hasher *hasher, const char *path, const struct making *m, json_t **ret,
                  struct ql_err *err)
{
    ql_auto_free uint8_t *bytes = NULL;
    ql_auto_free char *name = strdup(path);
    ql_auto(mb_log_freep) struct mb_log *log = NULL;
    size_t len = 0;
    int r;

    if (!name)
        return ql_fail_nomem(err);
    r = ql_file_read(ql_tool_input(path), MB_LOG_MAX, &bytes, &len, err);
    if (r < 0)
        return r; /* names the file */
    r = mb_log_parse(&ql_tool_host, bytes, len, &log, err);
    if (r == QL_OK && mb_log_bank(log, "sha256") >= 0)
        r = mb_log_check_digests(hasher, log, mb_log_bank(log, "sha256"), NULL, err);
    if (r == QL_OK)
        r = mb_refstate_from_log(log, m->without_secureboot, show_warning, name, ret, err);
    if (r == QL_OK && m->is_strict)
        r = mb_refstate_add_strict(log, *ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : QL_OK;
}

/* Lists of `strict` allow what any log has; mb_refstate_merge() knows those of `example`. */
static int merge_strict(json_t *into, const json_t *other, struct ql_err *err)
{
    static const char *const names[] = {"boot_files", "grub_commands"};

    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        json_t *list = json_object_get(into, names[n]), *value, *one;
        size_t i, k;

        json_array_foreach(json_object_get(other, names[n]), i, value) {
            bool is_there = false;

            json_array_foreach(list, k, one)
                is_there |= json_equal(one, value) != 0;
            if (!is_there && json_array_append(list, value) != 0)
                return ql_fail_nomem(err);
        }
    }
    return QL_OK;
}

static int of_logs(const struct making *m, json_t **ret, struct ql_err *err)
{
    ql_auto(mb_hasher_freep) struct mb_hasher *hasher = NULL;
    ql_auto_json json_t *all = NULL;
    int r = mb_hasher_new(&ql_tool_host, &hasher, err);

    for (size_t i = 0; r == QL_OK && i < m->logs.count; i++) {
        ql_auto_json json_t *one = NULL;

        r = of_log(hasher, m->logs.values[i], m, &one, err);
        if (r == QL_OK && all) {
            r = mb_refstate_merge(&ql_tool_host, all, one, err);
            if (r == QL_OK && m->is_strict)
                r = merge_strict(all, one, err);
            if (r < 0)
                r = ql_fail_context(err, r, "%s", m->logs.values[i]);
        } else if (r == QL_OK) {
            all = ql_steal(one);
        }
    }
    if (r == QL_OK)
        *ret = ql_steal(all);
    return r;
}

static int create(const struct making *m, const char *output)
{
    ql_auto_json json_t *state = NULL;
    struct ql_err err = QL_ERR_INIT;
    FILE *out;

    if (of_logs(m, &state, &err) < 0)
        return ql_tool_fail(&err); /* nothing was written */
    out = ql_tool_open(output);
    if (!out)
        return QL_TOOL_FAILED;
    (void)json_dumpf(state, out, JSON_COMPACT); /* ql_tool_close() reports what was not written */
    return ql_tool_close(out, output);
}

int ql_tool_create_boot(int argc, char **argv)
{
    struct making m = {0};
    const char *output = NULL;
    int flag;

    while ((flag = getopt_long(argc, argv, "e:p:io:h", options, NULL)) != -1) {
        switch (flag) {
        case 'e':
            if (!ql_tool_add(&m.logs, optarg))
                return QL_TOOL_USAGE;
            break;
        case 'i':
            m.without_secureboot = true;
            break;
        case 'p':
            m.is_strict = strcmp(optarg, "strict") == 0;
            if (!m.is_strict && strcmp(optarg, "example") != 0) {
                fprintf(stderr, "no reference state is made for the policy %s\n", optarg);
                return QL_TOOL_USAGE;
            }
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
    if (m.logs.count == 0 || optind < argc) {
        fputs(usage, stderr);
        return QL_TOOL_USAGE;
    }
    return create(&m, output);
}

int ql_tool_create_boot_old(int argc, char **argv)
{
    static const char old_usage[] = "usage: create_mb_refstate [-i] LOG OUTPUT\n";
    struct making m = {0};
    int flag;

    while ((flag = getopt_long(argc, argv, "ih", options, NULL)) != -1) {
        if (flag == 'h') {
            fputs(old_usage, stdout);
            return QL_TOOL_OK;
        }
        if (flag != 'i')
            return QL_TOOL_USAGE;
        m.without_secureboot = true;
    }
    if (argc - optind != 2) {
        fputs(old_usage, stderr);
        return QL_TOOL_USAGE;
    }
    (void)ql_tool_add(&m.logs, argv[optind]); /* one has room */
    return create(&m, argv[optind + 1]);
}
