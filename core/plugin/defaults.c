/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's options where there is no configuration (offline tools): the defaults of its rows. */
#include <string.h>

#include "config_value.h"
#include "error.h"
#include "internal.h"

struct ql_option_defaults {
    struct ql_options view; /* first: getters find the rest by it */
    const struct ql_option *rows;
    size_t count;
    struct ql_config_value values[QL_PLUGIN_ROWS_MAX];
};

static const struct ql_config_value *find(const struct ql_options *o, const char *name, uint32_t type)
{
    const struct ql_option_defaults *d = (const struct ql_option_defaults *)(const void *)o;

    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->rows[i].name, name) == 0)
            return type == 0 || d->rows[i].type == type ? &d->values[i] : NULL;
    return NULL;
}

static int64_t get_int(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = find(o, name, 0);

    return v ? v->number : 0;
}

static double get_float(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = find(o, name, QL_OPT_FLOAT);

    return v ? v->fraction : 0;
}

static const char *get_string(const struct ql_options *o, const char *name)
{
    const struct ql_config_value *v = find(o, name, 0);

    return v && v->text ? v->text : "";
}

static const char *get_item(const struct ql_options *o, const char *name, size_t n)
{
    const struct ql_config_value *v = find(o, name, QL_OPT_LIST);

    return v && n < v->count ? v->items[n] : NULL;
}

static const char *preset_of(const struct ql_option *row)
{
    if (row->preset)
        return row->preset;
    switch (row->type) {
    case QL_OPT_BOOL:
        return "false";
    case QL_OPT_INT:
    case QL_OPT_FLOAT:
        return "0";
    default:
        return "";
    }
}

int ql_option_defaults_new(const struct ql_option *rows, struct ql_option_defaults **ret, struct ql_err *err)
{
    ql_auto(ql_option_defaults_freep) struct ql_option_defaults *d = calloc(1, sizeof *d);

    if (!d)
        return ql_fail_nomem(err);
    d->view = (struct ql_options){sizeof d->view, get_int, get_float, get_string, get_item};
    d->rows = rows;
    for (; rows && rows[d->count].name; d->count++) {
        const struct ql_option *row = &rows[d->count];
        const char *preset = preset_of(row);
        int r;

        /* No text is a value of every string and list, whatever the choices. */
        if (*preset == '\0')
            continue;
        r = ql_config_value_from_text(row, preset, "default", &d->values[d->count], err);
        if (r < 0)
            return r;
    }
    *ret = ql_steal(d);
    return QL_OK;
}

void ql_option_defaults_free(struct ql_option_defaults *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        ql_config_value_done(&d->values[i]);
    free(d);
}

const struct ql_options *ql_option_defaults_view(struct ql_option_defaults *d)
{
    return &d->view;
}
