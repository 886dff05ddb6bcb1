/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "config_state.h"
#include "error.h"
#include "file.h"
#include "secret.h"

static void group_free(struct ql_config_group *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->row_count; i++)
        ql_config_value_done(&g->values[i]);
    free(g->name);
    free(g);
}

QL_DEFINE_CLEANUP(struct ql_config_group, group_free)

void ql_config_free(struct ql_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->group_count; i++)
        group_free(c->groups[i]);
    for (size_t i = 0; i < c->file_count; i++)
        ql_config_file_done(&c->files[i]);
    for (size_t i = 0; i < c->setting_count; i++) {
        free(c->settings[i].group);
        free(c->settings[i].name);
        if (c->settings[i].text)
            ql_wipe(c->settings[i].text, strlen(c->settings[i].text));
        free(c->settings[i].text);
    }
    free(c->settings);
    free(c->program);
    free(c);
}

/* ---- finding files ---- */

static int add_file(struct ql_config *c, const char *path, bool required, struct ql_err *err)
{
    int r;

    if (c->file_count >= QL_CONFIG_FILES_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d configuration files", QL_CONFIG_FILES_MAX);
    r = ql_config_file_read(path, &c->files[c->file_count], err);
    if (r == QL_OK)
        c->file_count++;
    return r == QL_ENOTFOUND && !required ? QL_OK : r;
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

    if (found < 0 && errno != ENOENT)
        return ql_fail(err, errno == EACCES ? QL_EACCES : QL_EIO, "configuration folder %s: %m", dir);
    for (int i = 0; i < found; i++) {
        ql_auto_free char *path = ql_path_join(dir, names[i]->d_name);

        if (r == QL_OK)
            r = path ? add_file(c, path, true, err) : ql_fail_nomem(err);
        free(names[i]);
    }
    free(names);
    return r;
}

static int add_from(struct ql_config *c, const char *dir, bool snippets, struct ql_err *err)
{
    ql_auto_free char *path = NULL;
    int r;

    if (asprintf(&path, "%s/%s.conf", dir, c->program) < 0) {
        path = NULL;
        return ql_fail_nomem(err);
    }
    r = add_file(c, path, false, err);
    if (r < 0 || !snippets)
        return r;
    free(path);
    path = NULL;
    if (asprintf(&path, "%s/%s.conf.d", dir, c->program) < 0) {
        path = NULL;
        return ql_fail_nomem(err);
    }
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

static void replace(struct ql_config_group *g, size_t index, struct ql_config_value *value)
{
    ql_config_value_done(&g->values[index]);
    g->values[index] = *value;
}

static int set_defaults(struct ql_config_group *g, struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < g->row_count; i++)
        r = ql_config_value_default(&g->rows[i], &g->values[i], err);
    return r;
}

/* What the program's own groups hand down. */
static int set_from_handed(const struct ql_config *c, struct ql_config_group *g, struct ql_err *err)
{
    for (size_t i = 0; i < c->handed_count; i++) {
        const struct ql_config_handed *h = &c->handed[i];
        const struct ql_config_value *set = &h->group->values[h->row];
        struct ql_config_value value = {0};
        size_t index;
        const struct ql_option *row = ql_config_find_row(g, h->group->rows[h->row].name, &index);
        int r;

        if (!row || row->type != h->group->rows[h->row].type || strcmp(set->origin, "default") == 0)
            continue;
        r = ql_config_value_from_text(row, set->text, set->origin, &value, err);
        if (r < 0)
            return r;
        replace(g, index, &value);
    }
    return QL_OK;
}

static int set_from_file(struct ql_config_group *g, const struct ql_config_file *f, struct ql_err *err)
{
    const config_setting_t *group = config_setting_get_member(config_root_setting(&f->config), g->name);

    if (!group)
        return QL_OK;
    if (!config_setting_is_group(group))
        return ql_fail(err, QL_EPARSE, "%s:%u: %s must be a group: %s = { ... };", f->path,
                       config_setting_source_line(group), g->name, g->name);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        struct ql_config_value value = {0};
        ql_auto_free char *where = NULL;
        const struct ql_option *row;
        size_t index;
        int r;

        if (asprintf(&where, "%s:%u", f->path, config_setting_source_line(s)) < 0)
            return ql_fail_nomem(err);
        row = ql_config_find_row(g, config_setting_name(s), &index);
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

static int set_from_command_line(struct ql_config *c, struct ql_config_group *g, struct ql_err *err)
{
    for (size_t i = 0; i < c->setting_count; i++) {
        struct ql_config_value value = {0};
        const struct ql_option *row;
        size_t index;
        int r;

        if (strcmp(c->settings[i].group, g->name) != 0)
            continue;
        row = ql_config_find_row(g, c->settings[i].name, &index);
        if (!row)
            return ql_fail(err, QL_EPARSE, "command line: unknown option %s.%s", g->name,
                           c->settings[i].name);
        r = ql_config_value_from_text(row, c->settings[i].text, "command line", &value, err);
        if (r < 0)
            return r;
        replace(g, index, &value);
    }
    return QL_OK;
}

/* Names go into files, variables and messages. */
static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= QL_CONFIG_NAME_MAX && name[0] >= 'a' && name[0] <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

static int group_new(const struct ql_option_group *group, struct ql_config_group **ret, struct ql_err *err)
{
    ql_auto(group_freep) struct ql_config_group *g = NULL;
    size_t count = 0;

    if (!name_ok(group->name))
        return ql_fail(err, QL_EPARSE, "\"%.64s\" is no name for a configuration group", group->name);
    for (; group->rows && group->rows[count].name; count++) {
        if (!name_ok(group->rows[count].name))
            return ql_fail(err, QL_EPARSE, "group %s: \"%.64s\" is no name for an option", group->name,
                           group->rows[count].name);
        if (count >= QL_CONFIG_ROWS_MAX)
            return ql_fail(err, QL_ELIMIT, "group %s has more than %d options", group->name,
                           QL_CONFIG_ROWS_MAX);
    }
    g = calloc(1, sizeof *g + count * sizeof g->values[0]);
    if (!g || !(g->name = strdup(group->name)))
        return ql_fail_nomem(err);
    g->rows = group->rows;
    g->row_count = count;
    g->view = ql_config_view();
    *ret = ql_steal(g);
    return QL_OK;
}

int ql_config_add_group(struct ql_config *c, const struct ql_option_group *group, struct ql_err *err)
{
    ql_auto(group_freep) struct ql_config_group *g = NULL;
    int r;

    if (ql_config_find_group(c, group->name))
        return ql_fail(err, QL_EEXIST, "configuration group %s is taken", group->name);
    if (c->group_count >= QL_CONFIG_GROUPS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d configuration groups", QL_CONFIG_GROUPS_MAX);
    r = group_new(group, &g, err);
    if (r == QL_OK)
        r = set_defaults(g, err);
    if (r == QL_OK)
        r = set_from_handed(c, g, err);
    for (size_t i = 0; r == QL_OK && i < c->file_count; i++)
        r = set_from_file(g, &c->files[i], err);
    if (r == QL_OK)
        r = ql_config_apply_environment(c, g, err);
    if (r == QL_OK)
        r = set_from_command_line(c, g, err);
    if (r == QL_OK)
        c->groups[c->group_count++] = ql_steal(g);
    return r;
}

int ql_config_hand_down(struct ql_config *c, const char *group, const char *name, struct ql_err *err)
{
    struct ql_config_handed h = {.group = ql_config_find_group(c, group)};
    const struct ql_option *row = h.group ? ql_config_find_row(h.group, name, &h.row) : NULL;

    if (!row || (row->type != QL_OPT_STRING && row->type != QL_OPT_LIST))
        abort(); /* as for reading an option that no row has */
    if (c->handed_count >= QL_CONFIG_HANDED_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d options are handed down to plugins",
                       QL_CONFIG_HANDED_MAX);
    c->handed[c->handed_count++] = h;
    return QL_OK;
}

static int copy_settings(struct ql_config *c, const struct ql_setting *settings, size_t count,
                         struct ql_err *err)
{
    c->settings = calloc(count > 0 ? count : 1, sizeof *c->settings);
    if (!c->settings)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        c->settings[i] = (struct ql_config_command_line){strdup(settings[i].group), strdup(settings[i].name),
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

int ql_config_load_text(const char *where, const char *text, const struct ql_setting *settings,
                        size_t setting_count, struct ql_config **ret, struct ql_err *err)
{
    ql_auto(ql_config_freep) struct ql_config *c = calloc(1, sizeof *c);
    int r;

    if (!c || !(c->program = strdup(where)))
        return ql_fail_nomem(err);
    r = copy_settings(c, settings, setting_count, err);
    if (r == QL_OK)
        r = ql_config_file_parse(where, text, strlen(text), &c->files[0], err);
    if (r < 0)
        return r;
    c->file_count = 1;
    *ret = ql_steal(c);
    return QL_OK;
}

/* ---- what nobody claimed ---- */

static int check_file_groups(const struct ql_config *c, const struct ql_config_file *f, struct ql_err *err)
{
    const config_setting_t *root = config_root_setting(&f->config);

    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);

        if (!ql_config_find_group(c, config_setting_name(s)))
            return ql_fail(err, QL_EPARSE, "%s:%u: unknown group %s", f->path, config_setting_source_line(s),
                           config_setting_name(s));
    }
    return QL_OK;
}

int ql_config_finish(const struct ql_config *c, struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < c->file_count; i++)
        r = check_file_groups(c, &c->files[i], err);
    for (size_t i = 0; r == QL_OK && i < c->setting_count; i++)
        if (!ql_config_find_group(c, c->settings[i].group))
            r = ql_fail(err, QL_EPARSE, "command line: unknown group %s", c->settings[i].group);
    return r == QL_OK ? ql_config_check_environment(c, err) : r;
}
