/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "config_state.h"
#include "error.h"

enum {
    VARIABLE_ROOM = 4 * QL_CONFIG_NAME_MAX, /**< "QUICKLIME_", program, group, option */
    SHOWN_MAX = 200                         /**< characters of a foreign variable's name in a message */
};

/* Upper case without a locale; '-' cannot stand in a variable's name. */
static void add_upper(char *out, const char *text)
{
    size_t at = strlen(out);

    for (; *text != '\0' && at < VARIABLE_ROOM - 1; text++)
        out[at++] = *text == '-' ? '_' : *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
    out[at] = '\0';
}

/* QUICKLIME_VERIFIER_ */
static void prefix_of(const struct ql_config *c, char *out)
{
    out[0] = '\0';
    add_upper(out, "QUICKLIME_");
    add_upper(out, c->program);
    add_upper(out, "_");
}

/* QUICKLIME_VERIFIER_PORT for the main group, QUICKLIME_VERIFIER_REVOCATIONS_ZMQ_PORT for others. */
static void variable_of(const struct ql_config *c, const struct ql_config_group *g, const char *option,
                        char *out)
{
    prefix_of(c, out);
    if (strcmp(g->name, c->program) != 0) {
        add_upper(out, g->name);
        add_upper(out, "_");
    }
    add_upper(out, option);
}

static bool group_has_variable(const struct ql_config *c, const struct ql_config_group *g,
                               const char *variable, size_t len)
{
    char known[VARIABLE_ROOM];

    for (size_t i = 0; i < g->row_count; i++) {
        variable_of(c, g, g->rows[i].name, known);
        if (strlen(known) == len && strncmp(known, variable, len) == 0)
            return true;
    }
    return false;
}

static const struct ql_config_group *group_of_variable(const struct ql_config *c, const char *variable,
                                                       size_t len)
{
    for (size_t i = 0; i < c->group_count; i++)
        if (group_has_variable(c, c->groups[i], variable, len))
            return c->groups[i];
    return NULL;
}

int ql_config_apply_environment(const struct ql_config *c, struct ql_config_group *g, struct ql_err *err)
{
    char variable[VARIABLE_ROOM], where[VARIABLE_ROOM + sizeof "environment "];

    for (size_t i = 0; i < g->row_count; i++) {
        struct ql_config_value value = {0};
        const struct ql_config_group *other;
        const char *text;
        int r;

        variable_of(c, g, g->rows[i].name, variable);
        text = getenv(variable);
        if (!text)
            continue;
        other = group_of_variable(c, variable, strlen(variable));
        if (other)
            return ql_fail(err, QL_EPARSE, "environment %s: may mean an option of group %s or of group %s",
                           variable, other->name, g->name);
        (void)snprintf(where, sizeof where, "environment %s", variable); /* has room for both */
        r = ql_config_value_from_text(&g->rows[i], text, where, &value, err);
        if (r < 0)
            return r;
        ql_config_value_done(&g->values[i]);
        g->values[i] = value;
    }
    return QL_OK;
}

int ql_config_check_environment(const struct ql_config *c, struct ql_err *err)
{
    char prefix[VARIABLE_ROOM];

    prefix_of(c, prefix);
    for (char **v = environ; v && *v; v++) {
        size_t len = strcspn(*v, "=");

        if (strncmp(*v, prefix, strlen(prefix)) == 0 && !group_of_variable(c, *v, len))
            return ql_fail(err, QL_EPARSE, "environment %.*s: no such option",
                           (int)(len < SHOWN_MAX ? len : SHOWN_MAX), *v);
    }
    return QL_OK;
}
