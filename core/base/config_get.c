/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "config_state.h"

struct ql_config_group *ql_config_find_group(const struct ql_config *c, const char *name)
{
    for (size_t i = 0; i < c->group_count; i++)
        if (strcmp(c->groups[i]->name, name) == 0)
            return c->groups[i];
    return NULL;
}

const struct ql_option *ql_config_find_row(const struct ql_config_group *g, const char *name,
                                           size_t *ret_index)
{
    for (size_t i = 0; i < g->row_count; i++)
        if (strcmp(g->rows[i].name, name) == 0) {
            *ret_index = i;
            return &g->rows[i];
        }
    return NULL;
}

const struct ql_option *ql_config_rows(const struct ql_config *c, const char *group)
{
    const struct ql_config_group *g = ql_config_find_group(c, group);

    return g ? g->rows : NULL;
}

bool ql_config_has(const struct ql_config *c, const char *group, const char *name)
{
    const struct ql_config_group *g = ql_config_find_group(c, group);
    size_t index;

    return g && ql_config_find_row(g, name, &index);
}

/* Asking for what has no row is a fault of the program, not of its input. */
static const struct ql_config_value *must_find(const struct ql_config *c, const char *group, const char *name,
                                               uint32_t type, uint32_t other_type,
                                               const struct ql_option **ret_row)
{
    const struct ql_config_group *g = ql_config_find_group(c, group);
    size_t index = 0;
    const struct ql_option *row = g ? ql_config_find_row(g, name, &index) : NULL;

    if (!row || (row->type != type && row->type != other_type))
        abort();
    if (ret_row)
        *ret_row = row;
    return &g->values[index];
}

int64_t ql_config_int(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(c, group, name, QL_OPT_INT, QL_OPT_INT, NULL)->number;
}

bool ql_config_bool(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(c, group, name, QL_OPT_BOOL, QL_OPT_BOOL, NULL)->number != 0;
}

double ql_config_float(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(c, group, name, QL_OPT_FLOAT, QL_OPT_FLOAT, NULL)->fraction;
}

const char *ql_config_string(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(c, group, name, QL_OPT_STRING, QL_OPT_STRING, NULL)->text;
}

const char *ql_config_item(const struct ql_config *c, const char *group, const char *name, size_t n)
{
    const struct ql_config_value *v = must_find(c, group, name, QL_OPT_LIST, QL_OPT_LIST, NULL);

    return n < v->count ? v->items[n] : NULL;
}

size_t ql_config_count(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(c, group, name, QL_OPT_LIST, QL_OPT_GROUPS, NULL)->count;
}

const char *ql_config_field(const struct ql_config *c, const char *group, const char *name, size_t n,
                            const char *field)
{
    const struct ql_option *row = NULL;
    const struct ql_config_value *v = must_find(c, group, name, QL_OPT_GROUPS, QL_OPT_GROUPS, &row);

    for (size_t i = 0; n < v->count && i < v->width; i++)
        if (strcmp(row->fields[i].name, field) == 0) {
            const char *text = v->items[n * v->width + i];

            if (!text)
                text = row->fields[i].preset;
            return text ? text : "";
        }
    return "";
}

const struct ql_options *ql_config_options(struct ql_config *c, const char *group)
{
    struct ql_config_group *g = ql_config_find_group(c, group);

    if (!g)
        abort(); /* the caller adds the group first */
    return &g->view;
}

/* ---- what plugins see: an unknown name is theirs to get wrong, so it yields nothing ---- */

static const struct ql_config_value *look(const struct ql_options *o, const char *name, uint32_t type,
                                          uint32_t other_type)
{
    const struct ql_config_group *g = (const struct ql_config_group *)(const void *)o;
    size_t index = 0;
    const struct ql_option *row = ql_config_find_row(g, name, &index);

    return row && (row->type == type || row->type == other_type) ? &g->values[index] : NULL;
}

static int64_t view_int(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = look(o, name, QL_OPT_INT, QL_OPT_BOOL);

    return v ? v->number : 0;
}

static double view_float(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = look(o, name, QL_OPT_FLOAT, QL_OPT_FLOAT);

    return v ? v->fraction : 0;
}

static const char *view_string(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = look(o, name, QL_OPT_STRING, QL_OPT_STRING);

    return v ? v->text : "";
}

static const char *view_item(const struct ql_options *o, const char *name, size_t n)
{
    const struct ql_config_value *v = look(o, name, QL_OPT_LIST, QL_OPT_LIST);

    return v && n < v->count ? v->items[n] : NULL;
}

struct ql_options ql_config_view(void)
{
    return (struct ql_options){.size = sizeof(struct ql_options),
                               .get_int = view_int,
                               .get_float = view_float,
                               .get_string = view_string,
                               .get_item = view_item};
}
