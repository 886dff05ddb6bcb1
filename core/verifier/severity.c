/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "regex.h"
#include "severity.h"

struct rule {
    struct ql_regex *event;
    int level;
};

struct ql_severity {
    const char *labels[QL_SEVERITY_LABELS_MAX]; /* borrowed from the configuration */
    int label_count;
    struct rule *rules;
    size_t rule_count;
};

static int read_labels(const struct ql_config *config, const char *group, struct ql_severity *s,
                       struct ql_err *err)
{
    size_t count = ql_config_count(config, group, "severity_labels");

    if (count == 0 || count > QL_SEVERITY_LABELS_MAX)
        return ql_fail(err, QL_ERANGE, "severity_labels has %zu labels, 1 to %d are possible", count,
                       QL_SEVERITY_LABELS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *label = ql_config_item(config, group, "severity_labels", i);

        for (int k = 0; k < s->label_count; k++)
            if (strcmp(s->labels[k], label) == 0)
                return ql_fail(err, QL_ERANGE, "severity_labels has %s twice", label);
        s->labels[s->label_count++] = label;
    }
    return QL_OK;
}

static int read_rules(const struct ql_config *config, const char *group, struct ql_severity *s,
                      struct ql_err *err)
{
    size_t count = ql_config_count(config, group, "severity_policy");

    if (count > QL_SEVERITY_RULES_MAX)
        return ql_fail(err, QL_ERANGE, "severity_policy has %zu rules, at most %d", count,
                       QL_SEVERITY_RULES_MAX);
    s->rules = calloc(count ? count : 1, sizeof *s->rules);
    if (!s->rules)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const char *event = ql_config_field(config, group, "severity_policy", i, "event_id");
        const char *label = ql_config_field(config, group, "severity_policy", i, "severity_label");
        int r = ql_regex_new(event, strlen(event), QL_REGEX_FULL, &s->rules[i].event, err);

        if (r < 0)
            return ql_fail_context(err, r, "severity_policy, rule %zu", i + 1);
        s->rules[i].level = ql_severity_level(s, label);
        s->rule_count++;
    }
    return QL_OK;
}

int ql_severity_new(const struct ql_config *config, const char *group, struct ql_severity **ret,
                    struct ql_err *err)
{
    ql_auto(ql_severity_freep) struct ql_severity *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return ql_fail_nomem(err);
    r = read_labels(config, group, s, err);
    if (r == QL_OK)
        r = read_rules(config, group, s, err);
    if (r < 0)
        return r;
    *ret = ql_steal(s);
    return QL_OK;
}

void ql_severity_free(struct ql_severity *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->rule_count; i++)
        ql_regex_free(s->rules[i].event);
    free(s->rules);
    free(s);
}

int ql_severity_top(const struct ql_severity *s)
{
    return s->label_count - 1;
}

int ql_severity_level(const struct ql_severity *s, const char *label)
{
    for (int i = 0; label && i < s->label_count; i++)
        if (strcmp(s->labels[i], label) == 0)
            return i;
    return ql_severity_top(s);
}

const char *ql_severity_label(const struct ql_severity *s, int level)
{
    return s->labels[level < 0 || level >= s->label_count ? ql_severity_top(s) : level];
}

int ql_severity_of(const struct ql_severity *s, const char *event_id)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        int r = ql_regex_match(s->rules[i].event, event_id, strlen(event_id), NULL);

        if (r < 0)
            return ql_severity_top(s);
        if (r > 0)
            return s->rules[i].level;
    }
    return ql_severity_top(s);
}
