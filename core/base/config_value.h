/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_value.h  The value of one option and how it is read from text or from a file. Internal to base. */
#pragma once
#include <libconfig.h>
#include <stdbool.h>
#include <stdio.h>

#include <quicklime/plugin.h>

enum {
    QL_CONFIG_ITEMS_MAX = 1024, /**< items of a list, groups of a list of groups */
    QL_CONFIG_FIELDS_MAX = 16   /**< fields of such a group */
};

struct ql_config_value {
    int64_t number;  /**< QL_OPT_BOOL, QL_OPT_INT */
    double fraction; /**< QL_OPT_FLOAT */
    char *text;      /**< canonical text; of a list its items with ", " between */
    char **items;    /**< QL_OPT_LIST: texts; QL_OPT_GROUPS: `width` texts a group, NULL: field not given */
    size_t count;    /**< items or groups */
    size_t width;    /**< texts an item: 1, or the number of fields */
    char *origin;    /**< "default", "FILE:LINE", "environment NAME", "command line" */
};

/** Free; texts are wiped, they may be secrets. */
void ql_config_value_done(struct ql_config_value *v);
/** What an option without a default has: false, 0, empty. */
int ql_config_value_default(const struct ql_option *row, struct ql_config_value *ret, struct ql_err *err);
/** From text (environment, command line). @param where begins messages; becomes the origin */
int ql_config_value_from_text(const struct ql_option *row, const char *text, const char *where,
                              struct ql_config_value *ret, struct ql_err *err);
/** From a setting of a file. */
int ql_config_value_from_setting(const struct ql_option *row, const config_setting_t *setting,
                                 const char *where, struct ql_config_value *ret, struct ql_err *err);
/** Write as it stands in a file; a secret that is not empty as "***" unless @p reveal. */
void ql_config_value_show(const struct ql_option *row, const struct ql_config_value *v, bool reveal,
                          FILE *out);
