/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-policy dump-eventlog: a boot log for people, for readers of YAML, and as policies see it. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "describe.h"
#include "dump.h"
#include "error.h"
#include "file.h"
#include "hasher.h"
#include "tool.h"
#include "toolhost.h"
#include "tree.h"

static const struct option options[] = {{"bank", required_argument, NULL, 'b'},
                                        {"eventlog-file", required_argument, NULL, 'e'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"list", no_argument, NULL, 'l'},
                                        {"output", required_argument, NULL, 'o'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

static const char usage[] = "usage: quicklime-policy dump-eventlog [flags] [LOG]\n\n"
                            "  -e, --eventlog-file LOG   the boot log, or - ; the same as LOG\n"
                            "  -j, --json                the tree that policies see\n"
                            "  -l, --list                one line an event, in words\n"
                            "  -b, --bank NAME           with --json: this bank alone, with `verified`; with "
                            "--list: check this bank\n"
                            "  -o, --output FILE\n\n"
                            "Without --json and --list: the YAML of tpm2_eventlog. Events whose data does "
                            "not agree with their digests are\n"
                            "named on standard error.\n";

/** What to do. */
struct request {
    const char *log, *bank, *output;
    int as_json, as_list;
};

static int sink_write(struct ql_text_sink *s, const void *data, size_t len)
{
    return fwrite(data, 1, len, s->ctx) == len ? QL_OK : QL_EIO; /* ql_tool_close() reports it */
}

/* Names every event whose data was altered; the log is shown all the same. */
static int check_banks(struct mb_hasher *hasher, struct mb_log *log, struct ql_err *err)
{
    for (int bank = 0; bank < (int)log->bank_count; bank++) {
        int r;

        if (!log->banks[bank].is_known)
            continue;
        r = mb_log_check_digests(hasher, log, bank, NULL, err);
        if (r < 0)
            return r;
        for (uint32_t i = 0; i < log->event_count; i++)
            if (log->events[i].status[bank] == MB_MISMATCH)
                fprintf(stderr, "event %u: the %s digest is not that of the data\n", i,
                        log->banks[bank].name);
    }
    return QL_OK;
}

static const char *status_word(const struct mb_log *log, const struct mb_event *e, int bank)
{
    if (!mb_event_digest(log, e, bank) || e->type == MB_EV_NO_ACTION)
        return "-";
    switch ((enum mb_status)e->status[bank]) {
    case MB_VERIFIED:
        return "verified";
    case MB_MISMATCH:
        return "MISMATCH";
    case MB_UNVERIFIED:
        return "unverified";
    }
    return "";
}

static int list_events(const struct mb_log *log, int bank, FILE *out, struct ql_err *err)
{
    for (uint32_t i = 0; i < log->event_count; i++) {
        const struct mb_event *e = &log->events[i];
        struct mb_text words;

        mb_text_init(&words);
        mb_event_describe(log, e, &words);
        if (words.failed)
            return ql_fail_nomem(err);
        fprintf(out, "%4u  %-10s  %.*s\n", i, status_word(log, e, bank), (int)words.len, words.p);
        mb_text_done(&words);
    }
    return QL_OK;
}

/* SHA-256 where the log has it, else the first bank that can be computed; -1: none. */
static int usual_bank(const struct mb_log *log)
{
    int bank = mb_log_bank(log, "sha256");

    for (uint32_t i = 0; bank < 0 && i < log->bank_count; i++)
        if (log->banks[i].is_known)
            bank = (int)i;
    return bank;
}

static int write_json(struct mb_hasher *hasher, const struct mb_log *log, int bank, bool has_verified,
                      FILE *out, struct ql_err *err)
{
    const struct mb_tree_options tree_options = {.bank = bank, .has_verified = has_verified};
    json_t *tree = NULL;
    int r = mb_tree_json(hasher, log, &tree_options, &tree, err);

    if (r < 0)
        return r;
    if (json_dumpf(tree, out, JSON_INDENT(1)) == 0)
        fputc('\n', out);
    json_decref(tree);
    return QL_OK;
}

static int show(const struct request *q, const uint8_t *bytes, size_t len, FILE *out, struct ql_err *err)
{
    ql_auto(mb_hasher_freep) struct mb_hasher *hasher = NULL;
    ql_auto(mb_log_freep) struct mb_log *log = NULL;
    struct ql_text_sink sink = {.size = sizeof sink, .ctx = out, .write = sink_write};
    int bank = MB_ALL_BANKS;
    int r = mb_hasher_new(&ql_tool_host, &hasher, err);

    if (r == QL_OK)
        r = mb_log_parse(&ql_tool_host, bytes, len, &log, err);
    if (r < 0 || !log)
        return r;
    r = check_banks(hasher, log, err);
    if (r < 0)
        return r;
    if (q->bank) {
        bank = mb_log_bank(log, q->bank);
        if (bank < 0)
            return ql_fail(err, QL_ENOTFOUND, "the log has no bank %s", q->bank);
    }
    if (q->as_json)
        return write_json(hasher, log, bank, q->bank != NULL, out, err);
    if (q->as_list)
        return list_events(log, bank >= 0 ? bank : usual_bank(log), out, err);
    r = mb_dump(hasher, log, &sink, err);
    return r == QL_EIO ? QL_OK : r;
}

static int dump(const struct request *q)
{
    ql_auto_free uint8_t *bytes = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;
    FILE *out;
    int r = ql_file_read(ql_tool_input(q->log), MB_LOG_MAX, &bytes, &len, &err);

    if (r < 0)
        return ql_tool_fail(&err);
    out = ql_tool_open(q->output);
    if (!out)
        return QL_TOOL_FAILED;
    r = show(q, bytes, len, out, &err);
    if (r < 0) {
        (void)ql_tool_close(out, q->output); /* the first reason counts */
        fprintf(stderr, "%s: %s\n", q->log, err.text);
        return QL_TOOL_FAILED;
    }
    return ql_tool_close(out, q->output);
}

int ql_tool_dump_eventlog(int argc, char **argv)
{
    struct request q = {0};
    int flag;

    while ((flag = getopt_long(argc, argv, "b:e:jlo:h", options, NULL)) != -1) {
        switch (flag) {
        case 'b':
            q.bank = optarg;
            break;
        case 'e':
            q.log = optarg;
            break;
        case 'j':
            q.as_json = 1;
            break;
        case 'l':
            q.as_list = 1;
            break;
        case 'o':
            q.output = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return QL_TOOL_OK;
        default:
            return QL_TOOL_USAGE;
        }
    }
    if (!q.log && optind < argc)
        q.log = argv[optind++];
    if (!q.log || optind < argc || (q.as_json && q.as_list)) {
        fputs(usage, stderr);
        return QL_TOOL_USAGE;
    }
    return dump(&q);
}
