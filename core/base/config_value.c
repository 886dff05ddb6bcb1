/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "config.h"
#include "config_value.h"
#include "error.h"
#include "parse.h"
#include "secret.h"

enum {
    TEXT_MAX = QL_CONFIG_FILE_MAX /**< bytes of a list as one text; it came from a file or from less */
};

static void text_done(char *text)
{
    if (text)
        ql_wipe(text, strlen(text));
    free(text);
}

void ql_config_value_done(struct ql_config_value *v)
{
    for (size_t i = 0; i < v->count * v->width; i++)
        text_done(v->items[i]);
    free(v->items);
    text_done(v->text);
    free(v->origin);
    memset(v, 0, sizeof *v);
}

static bool has_range(const struct ql_option *row)
{
    return row->min != 0 || row->max != 0;
}

/* A secret's text and what it was expected to be stay out of messages. */
static int unfit(const struct ql_option *row, const char *where, struct ql_err *err, int code)
{
    if (row->flags & QL_OPT_SECRET)
        return ql_fail(err, code, "%s: %s: the value is unfit", where, row->name);
    return ql_fail_context(err, code, "%s: %s", where, row->name);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);

    for (const char *c = choices; *c != '\0';) {
        size_t n = strcspn(c, " ");

        if (n == len && strncmp(c, text, n) == 0)
            return true;
        c += n;
        c += strspn(c, " ");
    }
    return false;
}

static int set_text(const struct ql_option *row, const char *text, struct ql_config_value *v,
                    struct ql_err *err)
{
    bool is_unset = *text == '\0' && (!row->preset || *row->preset == '\0');

    if (row->choices && !is_unset && !is_choice(row->choices, text))
        return ql_fail(err, QL_ERANGE, "\"%.80s\" is none of: %s", text, row->choices);
    v->text = strdup(text);
    return v->text ? QL_OK : ql_fail_nomem(err);
}

static int set_number(const struct ql_option *row, int64_t number, struct ql_config_value *v,
                      struct ql_err *err)
{
    char shown[32];

    if (row->type == QL_OPT_INT && has_range(row) && (number < row->min || number > row->max))
        return ql_fail(err, QL_ERANGE, "%lld is not between %lld and %lld", (long long)number,
                       (long long)row->min, (long long)row->max);
    v->number = number;
    if (row->type == QL_OPT_BOOL)
        snprintf(shown, sizeof shown, "%s", number ? "true" : "false");
    else
        snprintf(shown, sizeof shown, "%lld", (long long)number);
    v->text = strdup(shown);
    return v->text ? QL_OK : ql_fail_nomem(err);
}

static int set_fraction(const struct ql_option *row, double fraction, struct ql_config_value *v,
                        struct ql_err *err)
{
    char shown[64];

    /* Written so that not-a-number fails too. */
    if (has_range(row) ? !(fraction >= (double)row->min && fraction <= (double)row->max)
                       : !(fraction >= -DBL_MAX && fraction <= DBL_MAX))
        return ql_fail(err, QL_ERANGE, "%g is not between %lld and %lld", fraction, (long long)row->min,
                       (long long)row->max);
    v->fraction = fraction;
    snprintf(shown, sizeof shown, "%.15g", fraction);
    v->text = strdup(shown);
    return v->text ? QL_OK : ql_fail_nomem(err);
}

/* Room for one more item of @p width texts, all NULL. */
static int add_room(struct ql_config_value *v, size_t width, struct ql_err *err)
{
    char **items;

    if (v->count >= QL_CONFIG_ITEMS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d items", QL_CONFIG_ITEMS_MAX);
    items = reallocarray(v->items, v->count + 1, width * sizeof *items);
    if (!items)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < width; i++)
        items[v->count * width + i] = NULL;
    v->items = items;
    v->width = width;
    v->count++;
    return QL_OK;
}

static int add_item(const struct ql_option *row, struct ql_config_value *v, const char *text, size_t len,
                    struct ql_err *err)
{
    int r = add_room(v, 1, err);
    char *item;

    if (r < 0)
        return r;
    item = v->items[v->count - 1] = strndup(text, len);
    if (!item)
        return ql_fail_nomem(err);
    if (row->choices && !is_choice(row->choices, item))
        return ql_fail(err, QL_ERANGE, "\"%.80s\" is none of: %s", item, row->choices);
    return QL_OK;
}

/* Items with ", " between. */
static int show_items(struct ql_config_value *v, struct ql_err *err)
{
    ql_auto(ql_buf_wipe) struct ql_buf shown = ql_buf_init(TEXT_MAX);

    for (size_t i = 0; i < v->count; i++)
        (void)ql_buf_addf(&shown, "%s%s", i > 0 ? ", " : "", v->items[i]); /* checked below */
    if (shown.failed)
        return ql_fail(err, QL_ELIMIT, "a list of more than %d bytes", TEXT_MAX);
    v->text = shown.data ? (char *)ql_buf_take(&shown, NULL) : strdup("");
    return v->text ? QL_OK : ql_fail_nomem(err);
}

static int split_items(const struct ql_option *row, const char *text, struct ql_config_value *v,
                       struct ql_err *err)
{
    int r = QL_OK;

    while (r == QL_OK && *text != '\0') {
        size_t len = strcspn(text, ","), from = strspn(text, " "), to;

        from = from < len ? from : len;
        for (to = len; to > from && text[to - 1] == ' '; to--)
            ;
        if (to > from)
            r = add_item(row, v, text + from, to - from, err);
        text += len;
        text += *text == ',';
    }
    return r == QL_OK ? show_items(v, err) : r;
}

static int parse_int(const char *text, int64_t *ret, struct ql_err *err)
{
    uint64_t size;
    int r;

    if (*text == '-')
        return ql_parse_i64(text, strlen(text), INT64_MIN, 0, ret, err);
    r = ql_parse_size(text, strlen(text), 0, INT64_MAX, &size, err);
    if (r == QL_OK)
        *ret = (int64_t)size;
    return r;
}

static int convert_text(const struct ql_option *row, const char *text, struct ql_config_value *v,
                        struct ql_err *err)
{
    int64_t number = 0;
    double fraction = 0;
    bool flag = false, negative;
    int r;

    switch (row->type) {
    case QL_OPT_BOOL:
        r = ql_parse_bool(text, strlen(text), &flag, err);
        return r < 0 ? r : set_number(row, flag, v, err);
    case QL_OPT_INT:
        r = parse_int(text, &number, err);
        return r < 0 ? r : set_number(row, number, v, err);
    case QL_OPT_FLOAT:
        negative = *text == '-';
        r = ql_parse_float(text + negative, strlen(text) - negative, 0, 1e15, &fraction, err);
        return r < 0 ? r : set_fraction(row, negative ? -fraction : fraction, v, err);
    case QL_OPT_STRING:
        return set_text(row, text, v, err);
    case QL_OPT_LIST:
        return split_items(row, text, v, err);
    case QL_OPT_GROUPS:
        if (*text != '\0')
            return ql_fail(err, QL_EUNSUPPORTED, "a list of groups can only be set in a file");
        return show_items(v, err);
    default:
        return ql_fail(err, QL_EINTERNAL, "option type %u is unknown", row->type);
    }
}

static int finish(const struct ql_option *row, const char *where, int r, struct ql_config_value *v,
                  struct ql_config_value *ret, struct ql_err *err)
{
    if (r == QL_OK && !(v->origin = strdup(where)))
        r = ql_fail_nomem(err);
    if (r < 0) {
        ql_config_value_done(v);
        return unfit(row, where, err, r);
    }
    *ret = *v;
    return QL_OK;
}

int ql_config_value_default(const struct ql_option *row, struct ql_config_value *ret, struct ql_err *err)
{
    struct ql_config_value v = {0};
    int r;

    switch (row->type) {
    case QL_OPT_BOOL:
    case QL_OPT_INT:
    case QL_OPT_FLOAT:
        /* Without a default 0 stands for "not set", even where a file must not say 0. */
        v.text = strdup(row->type == QL_OPT_BOOL ? "false" : "0");
        r = v.text ? QL_OK : ql_fail_nomem(err);
        if (row->preset) {
            text_done(v.text);
            v.text = NULL;
            r = convert_text(row, row->preset, &v, err);
        }
        break;
    default:
        r = convert_text(row, row->preset ? row->preset : "", &v, err);
        break;
    }
    return finish(row, "default", r, &v, ret, err);
}

int ql_config_value_from_text(const struct ql_option *row, const char *text, const char *where,
                              struct ql_config_value *ret, struct ql_err *err)
{
    struct ql_config_value v = {0};
    int r = convert_text(row, text, &v, err);

    return finish(row, where, r, &v, ret, err);
}

/* ---- settings of files ---- */

static const char *type_name(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "an integer";
    case CONFIG_TYPE_FLOAT:
        return "a fraction";
    case CONFIG_TYPE_BOOL:
        return "a boolean";
    case CONFIG_TYPE_STRING:
        return "a text";
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY:
        return "a list";
    default:
        return "of an unknown type";
    }
}

static int wrong_type(const config_setting_t *s, const char *wanted, struct ql_err *err)
{
    return ql_fail(err, QL_EPARSE, "is %s, not %s", type_name(s), wanted);
}

static bool is_int(const config_setting_t *s)
{
    return config_setting_type(s) == CONFIG_TYPE_INT || config_setting_type(s) == CONFIG_TYPE_INT64;
}

static int list_setting(const struct ql_option *row, const config_setting_t *s, struct ql_config_value *v,
                        struct ql_err *err)
{
    int r = QL_OK;

    if (config_setting_type(s) == CONFIG_TYPE_STRING) {
        const char *text = config_setting_get_string(s);

        r = *text == '\0' ? QL_OK : add_item(row, v, text, strlen(text), err);
        return r == QL_OK ? show_items(v, err) : r;
    }
    if (!config_setting_is_array(s) && !config_setting_is_list(s))
        return wrong_type(s, "a list of texts", err);
    for (int i = 0; r == QL_OK && i < config_setting_length(s); i++) {
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);

        if (config_setting_type(item) != CONFIG_TYPE_STRING)
            return wrong_type(item, "a text", err);
        r = add_item(row, v, config_setting_get_string(item), strlen(config_setting_get_string(item)), err);
    }
    return r == QL_OK ? show_items(v, err) : r;
}

static size_t field_count(const struct ql_option *row)
{
    size_t n = 0;

    while (n < QL_CONFIG_FIELDS_MAX && row->fields && row->fields[n].name)
        n++;
    return n;
}

static int convert_setting(const struct ql_option *row, const config_setting_t *s, struct ql_config_value *v,
                           struct ql_err *err);

/* One field as text, after the checks of its row. An integer will do where a text is asked for. */
static int field_setting(const struct ql_option *field, const config_setting_t *s, char **ret,
                         struct ql_err *err)
{
    ql_auto(ql_config_value_done) struct ql_config_value v = {0};
    struct ql_option as = *field;
    int r;

    if (field->type == QL_OPT_LIST || field->type == QL_OPT_GROUPS)
        return ql_fail(err, QL_EINTERNAL, "a field cannot be a list");
    if (field->type == QL_OPT_STRING && is_int(s) && !field->choices)
        as = (struct ql_option){.name = field->name, .type = QL_OPT_INT};
    r = convert_setting(&as, s, &v, err);
    if (r == QL_OK)
        *ret = ql_steal(v.text);
    return r;
}

static int group_fields(const struct ql_option *row, const config_setting_t *group, struct ql_config_value *v,
                        struct ql_err *err)
{
    size_t width = field_count(row);
    int r = add_room(v, width, err);

    for (int i = 0; r == QL_OK && i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(s);
        size_t at = 0;

        while (at < width && strcmp(row->fields[at].name, name) != 0)
            at++;
        if (at == width)
            return ql_fail(err, QL_EPARSE, "unknown field %s in line %u", name,
                           config_setting_source_line(s));
        r = field_setting(&row->fields[at], s, &v->items[(v->count - 1) * width + at], err);
        if (r < 0 && row->fields[at].flags & QL_OPT_SECRET)
            return ql_fail(err, r, "field %s in line %u: the value is unfit", name,
                           config_setting_source_line(s));
        if (r < 0)
            return ql_fail_context(err, r, "field %s in line %u", name, config_setting_source_line(s));
    }
    return r;
}

static int groups_setting(const struct ql_option *row, const config_setting_t *s, struct ql_config_value *v,
                          struct ql_err *err)
{
    int r = QL_OK;

    if (!config_setting_is_list(s))
        return wrong_type(s, "a list of groups", err);
    if (field_count(row) == 0)
        return ql_fail(err, QL_EINTERNAL, "a list of groups without fields");
    for (int i = 0; r == QL_OK && i < config_setting_length(s); i++) {
        const config_setting_t *group = config_setting_get_elem(s, (unsigned)i);

        r = config_setting_is_group(group) ? group_fields(row, group, v, err)
                                           : wrong_type(group, "a group", err);
    }
    return r == QL_OK && !(v->text = strdup("")) ? ql_fail_nomem(err) : r;
}

static int convert_setting(const struct ql_option *row, const config_setting_t *s, struct ql_config_value *v,
                           struct ql_err *err)
{
    switch (row->type) {
    case QL_OPT_BOOL:
        if (config_setting_type(s) != CONFIG_TYPE_BOOL)
            return wrong_type(s, "true or false", err);
        return set_number(row, config_setting_get_bool(s) != 0, v, err);
    case QL_OPT_INT:
        if (config_setting_type(s) == CONFIG_TYPE_STRING)
            return convert_text(row, config_setting_get_string(s), v, err);
        return is_int(s) ? set_number(row, config_setting_get_int64(s), v, err)
                         : wrong_type(s, "an integer", err);
    case QL_OPT_FLOAT:
        if (is_int(s))
            return set_fraction(row, (double)config_setting_get_int64(s), v, err);
        if (config_setting_type(s) != CONFIG_TYPE_FLOAT)
            return wrong_type(s, "a number", err);
        return set_fraction(row, config_setting_get_float(s), v, err);
    case QL_OPT_STRING:
        if (config_setting_type(s) != CONFIG_TYPE_STRING)
            return wrong_type(s, "a text", err);
        return set_text(row, config_setting_get_string(s), v, err);
    case QL_OPT_LIST:
        return list_setting(row, s, v, err);
    case QL_OPT_GROUPS:
        return groups_setting(row, s, v, err);
    default:
        return ql_fail(err, QL_EINTERNAL, "option type %u is unknown", row->type);
    }
}

int ql_config_value_from_setting(const struct ql_option *row, const config_setting_t *setting,
                                 const char *where, struct ql_config_value *ret, struct ql_err *err)
{
    struct ql_config_value v = {0};
    int r = convert_setting(row, setting, &v, err);

    return finish(row, where, r, &v, ret, err);
}
