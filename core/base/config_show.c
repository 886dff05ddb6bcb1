/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cleanup.h"
#include "config_state.h"
#include "error.h"
#include "secret.h"

/* A text as libconfig reads it back. */
static void show_text(const char *text, FILE *out)
{
    static const char special[] = "\"\\\n\r\t\f", letter[] = "\"\\nrtf";

    fputc('"', out);
    for (; *text != '\0'; text++) {
        const char *found = strchr(special, *text);
        unsigned char c = (unsigned char)*text;

        if (found)
            fprintf(out, "\\%c", letter[found - special]);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* A number of any size: beyond what a literal may be, as text. */
static void show_int(const char *text, FILE *out)
{
    size_t len = strlen(text) - (*text == '-');

    if (len > 9)
        show_text(text, out);
    else
        fputs(text, out);
}

static void show_scalar(const struct ql_option *row, const char *text, bool reveal, FILE *out)
{
    if (!reveal && (row->flags & QL_OPT_SECRET) && *text != '\0') {
        fputs("\"***\"", out);
        return;
    }
    switch (row->type) {
    case QL_OPT_BOOL:
        fputs(text, out);
        break;
    case QL_OPT_INT:
        show_int(text, out);
        break;
    case QL_OPT_FLOAT:
        fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
        break;
    default:
        show_text(text, out);
        break;
    }
}

static void show_group(const struct ql_option *row, char *const *fields, size_t width, bool reveal, FILE *out)
{
    fputc('{', out);
    for (size_t i = 0; i < width; i++)
        if (fields[i]) {
            fprintf(out, " %s = ", row->fields[i].name);
            show_scalar(&row->fields[i], fields[i], reveal, out);
            fputc(';', out);
        }
    fputs(" }", out);
}

void ql_config_value_show(const struct ql_option *row, const struct ql_config_value *v, bool reveal,
                          FILE *out)
{
    switch (row->type) {
    case QL_OPT_LIST:
        fputc('[', out);
        for (size_t i = 0; i < v->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            show_scalar(row, v->items[i], reveal, out);
        }
        fputc(']', out);
        break;
    case QL_OPT_GROUPS:
        fputc('(', out);
        for (size_t i = 0; i < v->count; i++) {
            fputs(i > 0 ? ", " : "", out);
            if (!reveal && (row->flags & QL_OPT_SECRET))
                fputs("\"***\"", out);
            else
                show_group(row, v->items + i * v->width, v->width, reveal, out);
        }
        fputc(')', out);
        break;
    default:
        show_scalar(row, v->text, reveal, out);
        break;
    }
}

void ql_config_show(const struct ql_config *c, FILE *out)
{
    for (size_t i = 0; i < c->group_count; i++) {
        const struct ql_config_group *g = c->groups[i];

        for (size_t n = 0; n < g->row_count; n++) {
            fprintf(out, "%s.%s = ", g->name, g->rows[n].name);
            ql_config_value_show(&g->rows[n], &g->values[n], false, out);
            fprintf(out, "  # %s\n", g->values[n].origin);
        }
    }
}

int ql_config_text(const struct ql_config *c, const char *const *names, size_t count, char **ret,
                   struct ql_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool failed;

    if (!out)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct ql_config_group *g = ql_config_find_group(c, names[i]);

        fprintf(out, "%s = {\n", names[i]);
        for (size_t n = 0; g && n < g->row_count; n++) {
            if (strcmp(g->values[n].origin, "default") == 0)
                continue;
            fprintf(out, "  %s = ", g->rows[n].name);
            ql_config_value_show(&g->rows[n], &g->values[n], true, out);
            fputs(";\n", out);
        }
        fputs("};\n", out);
    }
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        if (text)
            ql_wipe(text, len);
        free(text);
        return ql_fail_nomem(err);
    }
    *ret = text;
    return QL_OK;
}

/* ---- the sample file ---- */

static const char *type_name(uint32_t type)
{
    switch (type) {
    case QL_OPT_BOOL:
        return "true or false";
    case QL_OPT_INT:
        return "integer";
    case QL_OPT_FLOAT:
        return "number";
    case QL_OPT_STRING:
        return "text";
    case QL_OPT_LIST:
        return "list of texts";
    case QL_OPT_GROUPS:
        return "list of groups";
    default:
        return "unknown type";
    }
}

static void describe(const struct ql_option *row, const char *indent, FILE *out)
{
    fprintf(out, "%s# %s (%s", indent, row->help ? row->help : row->name, type_name(row->type));
    if (row->min != 0 || row->max != 0)
        fprintf(out, ", %lld to %lld", (long long)row->min, (long long)row->max);
    if (row->choices)
        fprintf(out, ", one of: %s", row->choices);
    fprintf(out, "%s)\n", row->flags & QL_OPT_SECRET ? ", secret" : "");
    for (const struct ql_option *field = row->fields; row->type == QL_OPT_GROUPS && field && field->name;
         field++)
        fprintf(out, "%s#   %s: %s (%s)\n", indent, field->name, field->help ? field->help : "",
                type_name(field->type));
}

void ql_config_sample(const struct ql_option_group *groups, FILE *out)
{
    for (; groups->name; groups++) {
        fprintf(out, "%s = {\n", groups->name);
        for (const struct ql_option *row = groups->rows; row && row->name; row++) {
            ql_auto(ql_config_value_done) struct ql_config_value v = {0};
            struct ql_option open = *row;

            open.flags = 0; /* a default is public */
            describe(row, "    ", out);
            fprintf(out, "    #%s = ", row->name);
            if (ql_config_value_default(row, &v, NULL) == 0)
                ql_config_value_show(&open, &v, false, out);
            fputs(";\n\n", out);
        }
        fputs("};\n\n", out);
    }
}
