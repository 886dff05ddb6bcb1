/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file config.h
 * Configuration of one program: libconfig files, environment and command line over a table of option rows.
 *
 * Order, the last one wins: /usr/share/quicklime/NAME.conf, /usr/etc/quicklime/NAME.conf, /etc/quicklime/NAME.conf,
 * /etc/quicklime/NAME.conf.d/\*.conf by name, QUICKLIME_NAME_OPTION (other groups: QUICKLIME_NAME_GROUP_OPTION) from
 * the environment, options of the command line. `--config-dir DIR` replaces all the system folders by DIR.
 * An unknown group or option, a wrong type, a value out of range is an error that names file and line.
 * In a file each group is a libconfig group: `verifier = { port = 8881; };`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <quicklime/error.h>
#include <quicklime/plugin.h>

#include "cleanup.h"

enum {
    QL_CONFIG_FILE_MAX = 1024 * 1024, /**< bytes of one file */
    QL_CONFIG_HANDED_MAX = 8          /**< options handed down to plugins */
};

struct ql_config;

/** One group of options. A list of groups ends with name NULL. Rows are borrowed as long as the config lives. */
struct ql_option_group {
    const char *name;             /**< "verifier", "revocations", a plugin's name */
    const struct ql_option *rows; /**< ends with name NULL */
};

/** One setting given on the command line: wins over all files. */
struct ql_setting {
    const char *group, *name, *text;
};

/**
 * Load everything.
 * @param program    "verifier" for verifier.conf
 * @param groups     schema; more can be known only after plugins are loaded: see ql_config_add_group()
 * @param config_dir replaces the system folders; NULL: the system's
 */
int ql_config_load(const char *program, const struct ql_option_group *groups, const char *config_dir,
                   const struct ql_setting *settings, size_t setting_count, struct ql_config **ret,
                   struct ql_err *err);
void ql_config_free(struct ql_config *c);
QL_DEFINE_CLEANUP(struct ql_config, ql_config_free)

/**
 * Add a group (a plugin's rows) and check what the files say about it. Groups that no row table ever claimed are
 * errors reported by ql_config_finish(), with file and line.
 */
int ql_config_add_group(struct ql_config *c, const struct ql_option_group *group, struct ql_err *err);
int ql_config_finish(const struct ql_config *c, struct ql_err *err);
/**
 * Hand an option down to plugins: a group added from now on with an option of the same name and type takes this one's value where
 * the configuration sets it, unless it sets its own. For options that were the program's before a plugin had them.
 * @param group, name  a QL_OPT_STRING or QL_OPT_LIST option of a group that is there
 * @retval QL_ELIMIT more than QL_CONFIG_HANDED_MAX
 */
int ql_config_hand_down(struct ql_config *c, const char *group, const char *name, struct ql_err *err);

/** @return the rows that @p group was added with, NULL: no such group */
const struct ql_option *ql_config_rows(const struct ql_config *c, const char *group);
/** @return true when @p group is known and has a row @p name */
bool ql_config_has(const struct ql_config *c, const char *group, const char *name);
/** Values. Asking for an option without a row, or of another type, is a programming error: abort(). Borrowed. */
int64_t ql_config_int(const struct ql_config *c, const char *group, const char *name);
bool ql_config_bool(const struct ql_config *c, const char *group, const char *name);
double ql_config_float(const struct ql_config *c, const char *group, const char *name);
/** Never NULL. */
const char *ql_config_string(const struct ql_config *c, const char *group, const char *name);
const char *ql_config_item(const struct ql_config *c, const char *group, const char *name, size_t n);
/** Items or groups. */
size_t ql_config_count(const struct ql_config *c, const char *group, const char *name);
/** Field @p field (a string or int as text) of group number @p n of a QL_OPT_GROUPS option; when absent its default or "". */
const char *ql_config_field(const struct ql_config *c, const char *group, const char *name, size_t n,
                            const char *field);
/** The same values as a plugin sees them; borrowed from @p c, one group. */
const struct ql_options *ql_config_options(struct ql_config *c, const char *group);

/**
 * Groups as the text of a file, secrets included, for a process that has no files: what is not at its default.
 * @param names  groups; one that is not known is left out
 * @param[out] ret  owned by the caller; may hold secrets: wipe it
 */
int ql_config_text(const struct ql_config *c, const char *const *names, size_t count, char **ret,
                   struct ql_err *err);
/** Load such a text and settings: groups come by ql_config_add_group(). @param where begins messages about the text */
int ql_config_load_text(const char *where, const char *text, const struct ql_setting *settings,
                        size_t setting_count, struct ql_config **ret, struct ql_err *err);

/** --show-config: `group.option = value  # origin`, values as in a file; secrets as "***". */
void ql_config_show(const struct ql_config *c, FILE *out);
/**
 * A sample file: every row with its help and its default, commented out (installed as NAME.conf.sample, source of the
 * man page). It parses as it stands, and with the marks before the options removed.
 */
void ql_config_sample(const struct ql_option_group *groups, FILE *out);
