/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_state.h  What a loaded configuration holds. Internal to base. */
#pragma once
#include "config.h"
#include "config_file.h"
#include "config_value.h"

enum {
    QL_CONFIG_FILES_MAX = 256,  /**< three plain ones and a conf.d folder */
    QL_CONFIG_GROUPS_MAX = 128, /**< a program's own and one a plugin */
    QL_CONFIG_ROWS_MAX = 512,   /**< options of one group */
    QL_CONFIG_NAME_MAX = 64     /**< characters of a group's or option's name */
};

/** One group of options with its values; also what a plugin sees of it. */
struct ql_config_group {
    struct ql_options view; /**< first: get_… functions find the group by it */
    char *name;
    const struct ql_option *rows;
    size_t row_count;
    struct ql_config_value values[]; /**< row_count of them */
};

struct ql_config {
    char *program;
    struct ql_config_file files[QL_CONFIG_FILES_MAX];
    size_t file_count;
    struct ql_config_group *groups[QL_CONFIG_GROUPS_MAX];
    size_t group_count;
    struct ql_config_command_line {
        char *group, *name, *text;
    } * settings; /**< of the command line */
    size_t setting_count;
    struct ql_config_handed {
        const struct ql_config_group *group;
        size_t row;
    } handed[QL_CONFIG_HANDED_MAX]; /**< options that groups to come may take over */
    size_t handed_count;
};

struct ql_config_group *ql_config_find_group(const struct ql_config *c, const char *name);
/** @param[out] ret_index of the row, untouched when there is none */
const struct ql_option *ql_config_find_row(const struct ql_config_group *g, const char *name,
                                           size_t *ret_index);
/** The functions that a plugin calls. */
struct ql_options ql_config_view(void);

/** Apply the environment to @p g, which is not yet in @p c. @retval QL_EPARSE with the variable's name */
int ql_config_apply_environment(const struct ql_config *c, struct ql_config_group *g, struct ql_err *err);
/** @retval QL_EPARSE a variable of this program that no option has */
int ql_config_check_environment(const struct ql_config *c, struct ql_err *err);
