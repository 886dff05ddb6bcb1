/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file severity.h
 * From event ids to labels: severity_labels and severity_policy (spec/server.md 4).
 */
#pragma once
#include "config.h"

enum {
    QL_SEVERITY_LABELS_MAX = 64, /**< labels */
    QL_SEVERITY_RULES_MAX = 1024 /**< rules; each costs one match for an event */
};

struct ql_severity;
/**
 * From the options of group @p group. Without rules each event has the top label.
 * @retval QL_ERANGE no labels, a label twice, too many @retval QL_EPARSE an expression, with the rule's number
 */
int ql_severity_new(const struct ql_config *config, const char *group, struct ql_severity **ret,
                    struct ql_err *err);
void ql_severity_free(struct ql_severity *s);
QL_DEFINE_CLEANUP(struct ql_severity, ql_severity_free)

/** @return number of the top label */
int ql_severity_top(const struct ql_severity *s);
/** Number of a label; one that is not listed is the top one. NULL: the top one. */
int ql_severity_level(const struct ql_severity *s, const char *label);
/** Label of a number, borrowed. */
const char *ql_severity_label(const struct ql_severity *s, int level);
/** Level that the rules give an event. An expression that cannot be matched within its limits gives the top label. */
int ql_severity_of(const struct ql_severity *s, const char *event_id);
