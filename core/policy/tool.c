/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "tool.h"

static const struct ql_tool_command commands[] = {
    {"create runtime", NULL, "make a runtime policy of lists, files and images", ql_tool_create},
    {"create list", "keylime_create_policy", "make one of a list alone, with the older tool's flags",
     ql_tool_create_old},
    {"create measured-boot", NULL, "make a reference state of boot logs", ql_tool_create_boot},
    {"create refstate", "create_mb_refstate", "make one with the older tool's flags",
     ql_tool_create_boot_old},
    {"sign runtime", NULL, "sign a runtime policy", ql_tool_sign},
    {"sign file", "keylime_sign_runtime_policy", "sign a file as it is, with the older tool's flags",
     ql_tool_sign_old},
    {"convert", "keylime_convert_runtime_policy", "make a runtime policy of an allow-list", ql_tool_convert},
    {"check measured-boot", NULL, "say what is wrong in a measured boot policy; judge a boot log by it",
     ql_tool_check_boot},
    {"check mboot", NULL, NULL, ql_tool_check_boot},
    {"check", NULL, "say what is wrong in a runtime policy; judge a measurement list by it", ql_tool_check},
    {"diff", NULL, "say what differs between two runtime policies", ql_tool_diff},
    {"explain", NULL, "judge a boot log and say of each event what it was compared with", ql_tool_explain},
    {"dump-eventlog", NULL, "print a boot log as tpm2_eventlog does, as JSON or in words",
     ql_tool_dump_eventlog},
};

enum {
    COMMAND_COUNT = sizeof commands / sizeof commands[0]
};

int ql_tool_fail(const struct ql_err *err)
{
    fprintf(stderr, "%s\n", err->text);
    return QL_TOOL_FAILED;
}

const char *ql_tool_input(const char *path)
{
    return strcmp(path, "-") == 0 ? "/dev/stdin" : path;
}

FILE *ql_tool_open(const char *path)
{
    FILE *out;

    if (!path || strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0)
        return stdout;
    out = fopen(path, "we");
    if (!out)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return out;
}

int ql_tool_close(FILE *out, const char *path)
{
    int failed = fflush(out) != 0 || ferror(out);

    if (out != stdout)
        failed |= fclose(out) != 0;
    if (failed)
        fprintf(stderr, "%s: not written: %s\n", path ? path : "standard output", strerror(errno));
    return failed ? QL_TOOL_FAILED : QL_TOOL_OK;
}

const char *ql_tool_optional(int argc, char **argv, const char *preset)
{
    if (optarg)
        return optarg;
    if (optind < argc && argv[optind][0] != '-')
        return argv[optind++];
    return preset;
}

int ql_tool_add(struct ql_tool_list *l, const char *value)
{
    if (l->count == QL_TOOL_LIST_MAX) {
        fprintf(stderr, "more than %d values for one flag\n", QL_TOOL_LIST_MAX);
        return 0;
    }
    l->values[l->count++] = value;
    return 1;
}

static void help(FILE *out)
{
    fprintf(out, "usage: quicklime-policy COMMAND …\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].summary)
            fprintf(out, "  %-20s %s\n", commands[i].words, commands[i].summary);
    fprintf(out, "\nquicklime-policy COMMAND --help lists a command's flags.\n");
}

/* Words of a row that the command line begins with; 0: another command. */
static int words_match(const char *words, int argc, char **argv)
{
    int n = 1;

    for (const char *at = words; *at; n++) {
        size_t len = strcspn(at, " ");

        if (n >= argc || strlen(argv[n]) != len || strncmp(argv[n], at, len) != 0)
            return 0;
        at += len + (at[len] == ' ');
    }
    return n - 1;
}

int ql_policy_main(int argc, char **argv)
{
    const char *name = basename(argv[0]);
    int words;

    optind = 0; /* GNU: begin anew, also where a test calls twice */
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].program && strcmp(name, commands[i].program) == 0)
            return commands[i].run(argc, argv);
        words = words_match(commands[i].words, argc, argv);
        if (words > 0)
            return commands[i].run(argc - words, argv + words);
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("quicklime-policy %s\n", ql_version());
        return QL_TOOL_OK;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help(stdout);
        return QL_TOOL_OK;
    }
    help(stderr);
    return QL_TOOL_USAGE;
}
