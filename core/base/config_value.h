/* SPDX-License-Identifier: Apache-2.0 */
/** @file config_value.h  The value of one option and how it is read from text or from a file. Internal to base. */
#pragma once
#include <libconfig.h>

#include <quicklime/plugin.h>

enum {
    QL_CONFIG_ITEMS_MAX = 256, /**< items of a list, groups of a list of groups */
    QL_CONFIG_FIELDS_MAX = 8   /**< fields of such a group */
};

struct ql_config_value {
    int64_t number;  /**< QL_OPT_BOOL, QL_OPT_INT */
    double fraction; /**< QL_OPT_FLOAT */
    char *text;      /**< QL_OPT_STRING; also the value as it is shown */
    char **items;    /**< QL_OPT_LIST: texts; QL_OPT_GROUPS: QL_CONFIG_FIELDS_MAX texts a group */
    size_t count;    /**< items or groups */
    char *origin;    /**< "default", "FILE:LINE", "environment NAME", "command line" */
};

void ql_config_value_done(struct ql_config_value *v);
/** From text (default, environment, command line). @param where begins messages; becomes the origin */
int ql_config_value_from_text(const struct ql_option *row, const char *text, const char *where,
                              struct ql_config_value *ret, struct ql_err *err);
/** From a setting of a file. */
int ql_config_value_from_setting(const struct ql_option *row, const config_setting_t *setting,
                                 const char *where, struct ql_config_value *ret, struct ql_err *err);
