/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dm_policy.h"
#include "pattern.h"

enum kind {
    KIND_BOOL,
    KIND_INTEGER,
    KIND_ATTRIBUTE, /* null, a truth value, an integer, or an expression for the whole text */
    KIND_PATTERN,   /* an expression */
    KIND_TABLE,     /* an object with the rows below */
    KIND_TARGETS
};

struct row {
    const char *key;
    enum kind kind;
    const struct row *rows;
};

static const struct row rename_rows[] = {
    {"valid_name", KIND_ATTRIBUTE, NULL}, {"valid_uuid", KIND_ATTRIBUTE, NULL}, {NULL, 0, NULL}};
static const struct row remove_rows[] = {{"allow_removal", KIND_BOOL, NULL}, {NULL, 0, NULL}};
static const struct row load_rows[] = {{"allow_multiple_loads", KIND_BOOL, NULL},
                                       {"name", KIND_PATTERN, NULL},
                                       {"uuid", KIND_PATTERN, NULL},
                                       {"major", KIND_ATTRIBUTE, NULL},
                                       {"minor", KIND_ATTRIBUTE, NULL},
                                       {"minor_count", KIND_ATTRIBUTE, NULL},
                                       {"num_targets", KIND_INTEGER, NULL},
                                       {"targets", KIND_TARGETS, NULL},
                                       {NULL, 0, NULL}};
static const struct row rule_rows[] = {{"required", KIND_BOOL, NULL},
                                       {"device_resume_required", KIND_BOOL, NULL},
                                       {"allow_clear", KIND_BOOL, NULL},
                                       {"device_rename", KIND_TABLE, rename_rows},
                                       {"device_remove", KIND_TABLE, remove_rows},
                                       {"table_load", KIND_TABLE, load_rows},
                                       {NULL, 0, NULL}};

struct check {
    const struct ql_host *host;
    const char *rule;
    struct ql_err *err;
};

static int fail(const struct check *c, const char *key, const char *why)
{
    return c->host->fail(c->err, QL_EPARSE, "'ima.dm_policy': rule '%.60s': '%.60s' %s", c->rule, key, why);
}

static int check_pattern(const struct check *c, const char *key, const json_t *value)
{
    struct ima_pattern *pattern = NULL;
    struct ql_err why = QL_ERR_INIT;

    if (ima_pattern_new(c->host, (const uint8_t *)json_string_value(value), json_string_length(value), true,
                        &pattern, &why) < 0)
        return c->host->fail(c->err, QL_EPARSE, "'ima.dm_policy': rule '%.60s': '%.60s': %s", c->rule, key,
                             why.text);
    ima_pattern_free(pattern);
    return QL_OK;
}

static int check_attribute(const struct check *c, const char *key, const json_t *value)
{
    if (json_is_string(value))
        return check_pattern(c, key, value);
    if (json_is_null(value) || json_is_boolean(value) || json_is_integer(value))
        return QL_OK;
    return fail(c, key, "is neither null, a truth value, an integer nor a string");
}

static int check_targets(const struct check *c, const char *key, const json_t *list)
{
    size_t i;
    const json_t *target;
    int r = QL_OK;

    if (!json_is_array(list))
        return fail(c, key, "is not a list");
    json_array_foreach(list, i, target) {
        const char *name;
        json_t *value;

        if (!json_is_object(target))
            return fail(c, key, "holds what is not an object");
        json_object_foreach((json_t *)(uintptr_t)target, name, value)
            if (r == QL_OK)
                r = check_attribute(c, name, value);
    }
    return r;
}

static int check_table(const struct check *c, const char *key, const json_t *table, const struct row *rows);

static int check_value(const struct check *c, const struct row *row, const json_t *value)
{
    if (!value)
        return fail(c, row->key, "is a required property");
    switch (row->kind) {
    case KIND_BOOL:
        return json_is_boolean(value) ? QL_OK : fail(c, row->key, "is not true or false");
    case KIND_INTEGER:
        return json_is_integer(value) ? QL_OK : fail(c, row->key, "is not an integer");
    case KIND_ATTRIBUTE:
        return check_attribute(c, row->key, value);
    case KIND_PATTERN:
        return json_is_string(value) ? check_pattern(c, row->key, value)
                                     : fail(c, row->key, "is not a string");
    case KIND_TABLE:
        return check_table(c, row->key, value, row->rows);
    case KIND_TARGETS:
        return check_targets(c, row->key, value);
    }
    return fail(c, row->key, "is of no known kind");
}

/* Two levels of tables, given by the rows above. */
static int check_table(const struct check *c, const char *key, const json_t *table, const struct row *rows)
{
    int r = json_is_object(table) ? QL_OK : fail(c, key, "is not an object");

    for (; r == QL_OK && rows->key; rows++)
        r = check_value(c, rows, json_object_get(table, rows->key));
    return r;
}

int ima_dm_policy_check(const struct ql_host *host, const json_t *policy, struct ql_err *err)
{
    const json_t *version = json_object_get(policy, "version"), *rules = json_object_get(policy, "rules");
    const char *match_on = json_string_value(json_object_get(policy, "match_on")), *name;
    struct check c = {.host = host, .err = err};
    json_t *rule;
    int r = QL_OK;

    if (!json_is_integer(version) || json_integer_value(version) != 1)
        return host->fail(err, QL_EPARSE, "'ima.dm_policy': 'version' is not 1");
    if (!match_on || (strcmp(match_on, "name") != 0 && strcmp(match_on, "uuid") != 0))
        return host->fail(err, QL_EPARSE, "'ima.dm_policy': 'match_on' is neither \"name\" nor \"uuid\"");
    if (!json_is_object(rules))
        return host->fail(err, QL_EPARSE, "'ima.dm_policy': 'rules' is not an object");
    json_object_foreach((json_t *)(uintptr_t)rules, name, rule) {
        c.rule = name;
        if (r == QL_OK)
            r = check_table(&c, name, rule, rule_rows);
    }
    return r;
}
