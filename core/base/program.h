/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file program.h
 * What all programs have in common: command line, folders, logging options, readiness.
 *
 * Common flags: --config-dir DIR, --state-dir DIR, --show-config, --check-config, --version, --help, and
 * `--set GROUP.OPTION=VALUE` (repeatable) for any option of any group.
 */
#pragma once
#include <stdbool.h>

#include "config.h"

#define QL_DEFAULT_STATE_DIR "/var/lib/quicklime"

struct ql_program {
    const char *name;                     /**< "quicklime-verifier" */
    const char *component;                /**< "verifier": configuration file and main group */
    const char *summary;                  /**< one line for --help */
    const struct ql_option_group *groups; /**< its own groups; common rows are QL_COMMON_ROWS */
};

/** Rows that every daemon's main group begins with: log_level, log_format, log_file. Paste into the table. */
#define QL_COMMON_ROWS                                                                                       \
    {.name = "log_level",                                                                                    \
     .type = QL_OPT_STRING,                                                                                  \
     .preset = "info",                                                                                       \
     .choices = "error warn info debug",                                                                     \
     .help = "least severe lines that are written"},                                                         \
        {.name = "log_format",                                                                               \
         .type = QL_OPT_STRING,                                                                              \
         .preset = "logfmt",                                                                                 \
         .choices = "logfmt json",                                                                           \
         .help = "form of log lines"},                                                                       \
    {                                                                                                        \
        .name = "log_file", .type = QL_OPT_STRING, .help = "file for log lines; empty: standard error"       \
    }

/** What the command line asked for. */
struct ql_start {
    struct ql_config *config; /**< owned: ql_start_done() */
    char *state_dir;          /**< owned, absolute */
    char *config_dir;         /**< owned, NULL: the system's */
    bool show_config;         /**< --show-config: print after plugins added their groups, then exit 0 */
    bool check_config;        /**< --check-config: exit 0 after everything was checked */
};

/**
 * Parse the command line and load the configuration; sets up logging, umask 077, SIGPIPE ignored.
 * --help and --version print and set *exit_code to 0; a usage or configuration error prints one line to stderr and sets
 * it to 2 (usage) or 1. In both cases the return is not 0 and the program ends with *exit_code.
 */
int ql_program_start(const struct ql_program *program, int argc, char **argv, struct ql_start *ret,
                     int *exit_code);
void ql_start_done(struct ql_start *s);

/** Tell the service manager (NOTIFY_SOCKET; nothing without it): "READY=1", "STOPPING=1", "RELOADING=1", "STATUS=…". */
void ql_notify(const char *state);

/** The release, "0.1.0". */
const char *ql_version(void);
