/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "config.h"
#include "config_file.h"
#include "config_value.h"
#include "error.h"
#include "file.h"

enum {
    FILES_MAX = 256,
    GROUPS_MAX = 72,
    ROWS_MAX = 160,
    NAME_MAX_LEN = 128
};

extern char **environ;

/** One group of options with its values; also what a plugin sees of it. */
struct group {
    struct ql_options view; /* first: get_… functions find the group by it */
    const char *name;
    const struct ql_option *rows;
    size_t row_count;
    struct ql_config_value values[ROWS_MAX];
};

struct ql_config {
    char *program;
    struct ql_config_file files[FILES_MAX];
    size_t file_count;
    struct group *groups[GROUPS_MAX];
    size_t group_count;
    struct ql_setting *settings; /* copies; their texts too */
    size_t setting_count;
};

static void group_free(struct group *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->row_count; i++)
        ql_config_value_done(&g->values[i]);
    free(g);
}

void ql_config_free(struct ql_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->group_count; i++)
        group_free(c->groups[i]);
    for (size_t i = 0; i < c->file_count; i++)
        ql_config_file_done(&c->files[i]);
    for (size_t i = 0; i < c->setting_count; i++) {
        free((char *)(uintptr_t)c->settings[i].group);
        free((char *)(uintptr_t)c->settings[i].name);
        free((char *)(uintptr_t)c->settings[i].text);
    }
    free(c->settings);
    free(c->program);
    free(c);
}

/* ---- finding files ---- */

static int add_file(struct ql_config *c, const char *path, struct ql_err *err)
{
    int r;

    if (c->file_count >= FILES_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d configuration files", FILES_MAX);
    r = ql_config_file_read(path, &c->files[c->file_count], err);
    if (r == QL_OK)
        c->file_count++;
    return r == QL_ENOTFOUND ? QL_OK : r; /* no folder must hold one */
}

static int is_snippet(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* Plain byte order, whatever the locale says. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_snippets(struct ql_config *c, const char *dir, struct ql_err *err)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, is_snippet, by_bytes), r = QL_OK;

    for (int i = 0; i < found; i++) {
        ql_auto_free char *path = ql_path_join(dir, names[i]->d_name);

        if (r == QL_OK)
            r = path ? add_file(c, path, err) : ql_fail_nomem(err);
        free(names[i]);
    }
    free(names);
    return r;
}

static int add_from(struct ql_config *c, const char *dir, bool snippets, struct ql_err *err)
{
    ql_auto_free char *path = NULL;
    int r;

    if (asprintf(&path, "%s/%s.conf", dir, c->program) < 0)
        return ql_fail_nomem(err);
    r = add_file(c, path, err);
    if (r < 0 || !snippets)
        return r;
    free(path);
    path = NULL;
    if (asprintf(&path, "%s/%s.conf.d", dir, c->program) < 0)
        return ql_fail_nomem(err);
    return add_snippets(c, path, err);
}

static int add_files(struct ql_config *c, const char *config_dir, struct ql_err *err)
{
    struct stat st;
    int r;

    if (config_dir) {
        if (stat(config_dir, &st) != 0 || !S_ISDIR(st.st_mode))
            return ql_fail(err, QL_ENOTFOUND, "configuration folder %s does not exist", config_dir);
        return add_from(c, config_dir, true, err);
    }
    r = add_from(c, "/usr/share/quicklime", false, err);
    if (r == QL_OK)
        r = add_from(c, "/usr/etc/quicklime", false, err);
    return r == QL_OK ? add_from(c, "/etc/quicklime", true, err) : r;
}

/* ---- values of one group ---- */

static const struct ql_option *find_row(const struct group *g, const char *name, size_t *index)
{
    for (size_t i = 0; i < g->row_count; i++)
        if (strcmp(g->rows[i].name, name) == 0) {
            *index = i;
            return &g->rows[i];
        }
    return NULL;
}

static void replace(struct group *g, size_t index, struct ql_config_value *value)
{
    ql_config_value_done(&g->values[index]);
    g->values[index] = *value;
}

static int set_from_text(struct group *g, size_t index, const char *text, const char *where,
                         struct ql_err *err)
{
    struct ql_config_value value = {0};
    int r = ql_config_value_from_text(&g->rows[index], text, where, &value, err);

    if (r == QL_OK)
        replace(g, index, &value);
    return r;
}

static int set_defaults(struct group *g, struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < g->row_count; i++) {
        const char *preset = g->rows[i].preset;

        if (!preset)
            preset = g->rows[i].type == QL_OPT_BOOL                                     ? "false"
                     : g->rows[i].type == QL_OPT_INT || g->rows[i].type == QL_OPT_FLOAT ? "0"
                                                                                        : "";
        if (g->rows[i].type == QL_OPT_STRING && *preset == '\0')
            g->values[i] = (struct ql_config_value){.text = strdup(""), .origin = strdup("default")};
        else
            r = set_from_text(g, i, preset, "default", err);
        if (r == QL_OK && (!g->values[i].text || !g->values[i].origin))
            r = ql_fail_nomem(err);
    }
    return r;
}

static int set_from_file(struct group *g, const struct ql_config_file *f, struct ql_err *err)
{
    const config_setting_t *group = config_setting_get_member(config_root_setting(&f->config), g->name);

    if (!group)
        return QL_OK;
    if (!config_setting_is_group(group))
        return ql_fail(err, QL_EPARSE, "%s:%u: %s is not a group", f->path, config_setting_source_line(group),
                       g->name);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        struct ql_config_value value = {0};
        ql_auto_free char *where = NULL;
        const struct ql_option *row;
        size_t index;
        int r;

        if (asprintf(&where, "%s:%u", f->path, config_setting_source_line(s)) < 0)
            return ql_fail_nomem(err);
        row = find_row(g, config_setting_name(s), &index);
        if (!row)
            return ql_fail(err, QL_EPARSE, "%s: unknown option %s in group %s", where, config_setting_name(s),
                           g->name);
        r = ql_config_value_from_setting(row, s, where, &value, err);
        if (r < 0)
            return r;
        replace(g, index, &value);
    }
    return QL_OK;
}

static void add_upper(struct ql_buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        (void)ql_buf_add_u8(
            out, *text == '-' ? '_' : (uint8_t)toupper((unsigned char)*text)); /* poisons on failure */
}

/* QUICKLIME_VERIFIER_PORT, QUICKLIME_VERIFIER_REVOCATIONS_ZMQ_PORT. @return borrowed from @p out, NULL: no memory */
static const char *variable_name(const struct ql_config *c, const struct group *g, const char *option,
                                 struct ql_buf *out)
{
    out->len = 0;
    (void)ql_buf_add_text(out, "QUICKLIME_"); /* a failed append poisons the buffer, which is checked below */
    add_upper(out, c->program);
    (void)ql_buf_add_u8(out, '_');
    if (strcmp(g->name, c->program) != 0) {
        add_upper(out, g->name);
        (void)ql_buf_add_u8(out, '_');
    }
    add_upper(out, option);
    return out->failed ? NULL : (const char *)out->data;
}

static int set_from_environment(struct ql_config *c, struct group *g, struct ql_err *err)
{
    ql_auto_buf struct ql_buf name = ql_buf_init(4 * NAME_MAX_LEN);

    for (size_t i = 0; i < g->row_count; i++) {
        const char *variable = variable_name(c, g, g->rows[i].name, &name);
        const char *text = variable ? getenv(variable) : NULL;
        ql_auto_free char *where = NULL;
        int r;

        if (!variable)
            return ql_fail_nomem(err);
        if (!text)
            continue;
        if (asprintf(&where, "environment %s", variable) < 0)
            return ql_fail_nomem(err);
        r = set_from_text(g, i, text, where, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int set_from_command_line(struct ql_config *c, struct group *g, struct ql_err *err)
{
    for (size_t i = 0; i < c->setting_count; i++) {
        size_t index;
        int r;

        if (strcmp(c->settings[i].group, g->name) != 0)
            continue;
        if (!find_row(g, c->settings[i].name, &index))
            return ql_fail(err, QL_EPARSE, "command line: unknown option %s.%s", g->name,
                           c->settings[i].name);
        r = set_from_text(g, index, c->settings[i].text, "command line", err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static struct group *find_group(const struct ql_config *c, const char *name)
{
    for (size_t i = 0; i < c->group_count; i++)
        if (strcmp(c->groups[i]->name, name) == 0)
            return c->groups[i];
    return NULL;
}

/* ---- what plugins see ---- */

/* Asking for what has no row is a fault of the program, not of its input. */
static const struct ql_config_value *must_find(const struct group *g, const char *name, uint32_t type,
                                               uint32_t other_type)
{
    size_t index;
    const struct ql_option *row = g ? find_row(g, name, &index) : NULL;

    if (!row || (row->type != type && row->type != other_type))
        abort();
    return &g->values[index];
}

static int64_t view_int(const struct ql_options *o, const char *name)
{
    const struct group *g = (const struct group *)(const void *)o;
    size_t index;

    return find_row(g, name, &index) ? g->values[index].number : 0;
}

static double view_float(const struct ql_options *o, const char *name)
{
    const struct group *g = (const struct group *)(const void *)o;
    size_t index;

    return find_row(g, name, &index) ? g->values[index].fraction : 0;
}

static const char *view_string(const struct ql_options *o, const char *name)
{
    const struct group *g = (const struct group *)(const void *)o;
    size_t index;

    return find_row(g, name, &index) ? g->values[index].text : "";
}

static const char *view_item(const struct ql_options *o, const char *name, size_t n)
{
    const struct group *g = (const struct group *)(const void *)o;
    size_t index;
    const struct ql_option *row = find_row(g, name, &index);

    return row && row->type == QL_OPT_LIST && n < g->values[index].count ? g->values[index].items[n] : NULL;
}

int ql_config_add_group(struct ql_config *c, const struct ql_option_group *group, struct ql_err *err)
{
    struct group *g;
    int r;

    if (find_group(c, group->name))
        return ql_fail(err, QL_EEXIST, "configuration group %s is taken", group->name);
    if (c->group_count >= GROUPS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d configuration groups", GROUPS_MAX);
    g = calloc(1, sizeof *g);
    if (!g)
        return ql_fail_nomem(err);
    g->name = group->name;
    g->rows = group->rows;
    g->view = (struct ql_options){sizeof g->view, view_int, view_float, view_string, view_item};
    while (g->rows && g->rows[g->row_count].name && g->row_count < ROWS_MAX)
        g->row_count++;
    r = set_defaults(g, err);
    for (size_t i = 0; r == QL_OK && i < c->file_count; i++)
        r = set_from_file(g, &c->files[i], err);
    if (r == QL_OK)
        r = set_from_environment(c, g, err);
    if (r == QL_OK)
        r = set_from_command_line(c, g, err);
    if (r < 0) {
        group_free(g);
        return r;
    }
    c->groups[c->group_count++] = g;
    return QL_OK;
}

static int copy_settings(struct ql_config *c, const struct ql_setting *settings, size_t count,
                         struct ql_err *err)
{
    c->settings = calloc(count > 0 ? count : 1, sizeof *c->settings);
    if (!c->settings)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        c->settings[i] = (struct ql_setting){strdup(settings[i].group), strdup(settings[i].name),
                                             strdup(settings[i].text)};
        c->setting_count++;
        if (!c->settings[i].group || !c->settings[i].name || !c->settings[i].text)
            return ql_fail_nomem(err);
    }
    return QL_OK;
}

int ql_config_load(const char *program, const struct ql_option_group *groups, const char *config_dir,
                   const struct ql_setting *settings, size_t setting_count, struct ql_config **ret,
                   struct ql_err *err)
{
    ql_auto(ql_config_freep) struct ql_config *c = calloc(1, sizeof *c);
    int r;

    if (!c || !(c->program = strdup(program)))
        return ql_fail_nomem(err);
    r = copy_settings(c, settings, setting_count, err);
    if (r == QL_OK)
        r = add_files(c, config_dir, err);
    for (; r == QL_OK && groups->name; groups++)
        r = ql_config_add_group(c, groups, err);
    if (r < 0)
        return r;
    *ret = ql_steal(c);
    return QL_OK;
}

/* ---- what nobody claimed ---- */

static int check_file_groups(const struct ql_config *c, const struct ql_config_file *f, struct ql_err *err)
{
    const config_setting_t *root = config_root_setting(&f->config);

    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);

        if (!find_group(c, config_setting_name(s)))
            return ql_fail(err, QL_EPARSE, "%s:%u: unknown group %s", f->path, config_setting_source_line(s),
                           config_setting_name(s));
    }
    return QL_OK;
}

static bool is_variable(const struct ql_config *c, const char *variable, size_t len)
{
    ql_auto_buf struct ql_buf name = ql_buf_init(4 * NAME_MAX_LEN);

    for (size_t g = 0; g < c->group_count; g++)
        for (size_t i = 0; i < c->groups[g]->row_count; i++) {
            const char *known = variable_name(c, c->groups[g], c->groups[g]->rows[i].name, &name);

            if (known && strlen(known) == len && strncmp(known, variable, len) == 0)
                return true;
        }
    return false;
}

static int check_environment(const struct ql_config *c, struct ql_err *err)
{
    ql_auto_buf struct ql_buf prefix = ql_buf_init(NAME_MAX_LEN);

    (void)ql_buf_add_text(&prefix, "QUICKLIME_"); /* checked below */
    add_upper(&prefix, c->program);
    if (ql_buf_add_u8(&prefix, '_') < 0)
        return ql_fail_nomem(err);
    for (char **v = environ; *v; v++) {
        size_t len = strcspn(*v, "=");

        if (strncmp(*v, (const char *)prefix.data, prefix.len) == 0 && !is_variable(c, *v, len))
            return ql_fail(err, QL_EPARSE, "environment: unknown option %.*s", len > 200 ? 200 : (int)len,
                           *v);
    }
    return QL_OK;
}

int ql_config_finish(const struct ql_config *c, struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < c->file_count; i++)
        r = check_file_groups(c, &c->files[i], err);
    for (size_t i = 0; r == QL_OK && i < c->setting_count; i++)
        if (!find_group(c, c->settings[i].group))
            r = ql_fail(err, QL_EPARSE, "command line: unknown group %s", c->settings[i].group);
    return r == QL_OK ? check_environment(c, err) : r;
}

/* ---- values ---- */

int64_t ql_config_int(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(find_group(c, group), name, QL_OPT_INT, QL_OPT_INT)->number;
}

bool ql_config_bool(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(find_group(c, group), name, QL_OPT_BOOL, QL_OPT_BOOL)->number != 0;
}

double ql_config_float(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(find_group(c, group), name, QL_OPT_FLOAT, QL_OPT_FLOAT)->fraction;
}

const char *ql_config_string(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(find_group(c, group), name, QL_OPT_STRING, QL_OPT_STRING)->text;
}

const char *ql_config_item(const struct ql_config *c, const char *group, const char *name, size_t n)
{
    const struct ql_config_value *v = must_find(find_group(c, group), name, QL_OPT_LIST, QL_OPT_LIST);

    return n < v->count ? v->items[n] : NULL;
}

size_t ql_config_count(const struct ql_config *c, const char *group, const char *name)
{
    return must_find(find_group(c, group), name, QL_OPT_LIST, QL_OPT_GROUPS)->count;
}

const char *ql_config_field(const struct ql_config *c, const char *group, const char *name, size_t n,
                            const char *field)
{
    const struct group *g = find_group(c, group);
    const struct ql_config_value *v = must_find(g, name, QL_OPT_GROUPS, QL_OPT_GROUPS);
    size_t row;

    (void)find_row(g, name, &row); /* must_find() has just found it */
    for (size_t i = 0; n < v->count && i < QL_CONFIG_FIELDS_MAX && g->rows[row].fields[i].name; i++)
        if (strcmp(g->rows[row].fields[i].name, field) == 0) {
            const char *text = v->items[n * QL_CONFIG_FIELDS_MAX + i];

            return text ? text : "";
        }
    return "";
}

const struct ql_options *ql_config_options(struct ql_config *c, const char *group)
{
    struct group *g = find_group(c, group);

    if (!g)
        abort(); /* the caller adds the group first */
    return &g->view;
}

/* ---- showing ---- */

void ql_config_show(const struct ql_config *c, FILE *out)
{
    for (size_t i = 0; i < c->group_count; i++) {
        const struct group *g = c->groups[i];

        for (size_t n = 0; n < g->row_count; n++) {
            bool hidden = (g->rows[n].flags & QL_OPT_SECRET) && g->values[n].text[0] != '\0';

            fprintf(out, "%s.%s = %s  # %s\n", g->name, g->rows[n].name, hidden ? "***" : g->values[n].text,
                    g->values[n].origin);
        }
    }
}

/* A default as it stands in a file. */
static void show_preset(const struct ql_option *row, FILE *out)
{
    const char *preset = row->preset ? row->preset : "";

    switch (row->type) {
    case QL_OPT_BOOL:
        fputs(row->preset ? preset : "false", out);
        return;
    case QL_OPT_INT:
        if (strlen(preset) > 9 || strspn(preset, "0123456789") != strlen(preset))
            fprintf(out, "\"%s\"", preset);
        else
            fputs(row->preset ? preset : "0", out);
        return;
    case QL_OPT_FLOAT:
        fprintf(out, "%s%s", row->preset ? preset : "0", strchr(preset, '.') ? "" : ".0");
        return;
    case QL_OPT_LIST:
        fputs("[ ", out);
        for (const char *at = preset, *separator = ""; *at != '\0'; separator = ", ") {
            size_t len = strcspn(at, ",");

            fprintf(out, "%s\"%.*s\"", separator, (int)len, at);
            at += len;
            at += *at == ',';
        }
        fputs(" ]", out);
        return;
    case QL_OPT_GROUPS:
        fputs("()", out);
        return;
    default:
        fprintf(out, "\"%s\"", preset);
        return;
    }
}

void ql_config_sample(const struct ql_option_group *groups, FILE *out)
{
    for (; groups->name; groups++) {
        fprintf(out, "%s = {\n", groups->name);
        for (const struct ql_option *row = groups->rows; row->name; row++) {
            fprintf(out, "  # %s%s%s\n  # %s = ", row->help, row->choices ? "; one of: " : "",
                    row->choices ? row->choices : "", row->name);
            show_preset(row, out);
            fputs(";\n\n", out);
        }
        fputs("};\n", out);
    }
}
