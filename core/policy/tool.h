/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tool.h
 * quicklime-policy: its commands, as rows; a row is chosen by the first words of the command line, or by the name that the
 * program was called by, so that Keylime's older tools are the same program.
 *
 * Exit codes: 0 done (check, diff: nothing found), 1 failed (check, diff: something found), 2 wrong use.
 */
#pragma once
#include <stdio.h>

#include <quicklime/error.h>

enum {
    QL_TOOL_OK = 0,
    QL_TOOL_FAILED = 1,
    QL_TOOL_USAGE = 2
};

/** A command. */
struct ql_tool_command {
    const char *words;                 /**< "create runtime" */
    const char *program;               /**< name of the program that does just this; NULL: none */
    const char *summary;               /**< NULL: another spelling, not listed */
    int (*run)(int argc, char **argv); /**< argv[0] is its name; getopt's state is fresh */
};

/** The whole program. */
int ql_policy_main(int argc, char **argv);

int ql_tool_create(int argc, char **argv);
int ql_tool_create_old(int argc, char **argv); /**< keylime_create_policy's flags */
int ql_tool_convert(int argc, char **argv);
int ql_tool_sign(int argc, char **argv);
int ql_tool_sign_old(int argc, char **argv); /**< keylime_sign_runtime_policy's flags */
int ql_tool_check(int argc, char **argv);
int ql_tool_check_boot(int argc, char **argv);
int ql_tool_explain(int argc, char **argv);
int ql_tool_diff(int argc, char **argv);
int ql_tool_dump_eventlog(int argc, char **argv);
int ql_tool_create_boot(int argc, char **argv);
int ql_tool_create_boot_old(int argc, char **argv); /**< create_mb_refstate's flags */

/** Print the reason to standard error. @return QL_TOOL_FAILED */
int ql_tool_fail(const struct ql_err *err);
/** Path to read an input from: "-" is standard input. */
const char *ql_tool_input(const char *path);
/** Open an output: NULL, "-" and /dev/stdout are standard output. NULL: reported */
FILE *ql_tool_open(const char *path);
/** @return QL_TOOL_OK, or QL_TOOL_FAILED after a write that failed (reported) */
int ql_tool_close(FILE *out, const char *path);
/** With an optional argument that stands apart: takes the next word unless it is a flag. */
const char *ql_tool_optional(int argc, char **argv, const char *preset);

enum {
    QL_TOOL_LIST_MAX = 64 /**< values of a repeatable flag */
};
/** Values of a repeatable flag, NULL at the end. */
struct ql_tool_list {
    const char *values[QL_TOOL_LIST_MAX + 1];
    size_t count;
};
/** @return false: too many, reported */
int ql_tool_add(struct ql_tool_list *l, const char *value);
