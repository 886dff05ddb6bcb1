/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins of one process and their components. */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "internal.h"
#include "log.h"
#include "parse.h"

#define PLUGIN_MEMORY ((size_t)1024 * 1024 * 1024)

/**
 * What core knows of a kind. The functions up to `least` are required, later ones are NULL where a plugin has
 * none.
 */
static const struct kind_row {
    const char *name;
    size_t size;         /* of this release */
    size_t least;        /* of the first release of this ABI major */
    size_t required[12]; /* offsets of functions that must be there; 0 at the end */
} KINDS[] = {
#define END_OF(type, field) (offsetof(struct type, field) + sizeof(((struct type *)0)->field))
    [QL_KIND_VALIDATOR] = {"validator",
                           sizeof(struct ql_validator),
                           END_OF(ql_validator, validate),
                           {offsetof(struct ql_validator, prepare), offsetof(struct ql_validator, release),
                            offsetof(struct ql_validator, needs), offsetof(struct ql_validator, validate)}},
    [QL_KIND_EVIDENCE] = {"evidence",
                          sizeof(struct ql_evidence),
                          END_OF(ql_evidence, close),
                          {offsetof(struct ql_evidence, open), offsetof(struct ql_evidence, collect),
                           offsetof(struct ql_evidence, close)}},
    [QL_KIND_STORE] = {"store",
                       sizeof(struct ql_store_backend),
                       END_OF(ql_store_backend, yield),
                       {offsetof(struct ql_store_backend, open), offsetof(struct ql_store_backend, close),
                        offsetof(struct ql_store_backend, tables), offsetof(struct ql_store_backend, begin),
                        offsetof(struct ql_store_backend, commit),
                        offsetof(struct ql_store_backend, rollback), offsetof(struct ql_store_backend, get),
                        offsetof(struct ql_store_backend, put), offsetof(struct ql_store_backend, del),
                        offsetof(struct ql_store_backend, scan)}},
    [QL_KIND_ACTION] = {"action",
                        sizeof(struct ql_action),
                        END_OF(ql_action, run),
                        {offsetof(struct ql_action, run)}},
};

static const struct kind_row *kind_row(uint32_t kind)
{
    return kind < QL_ARRAY_LEN(KINDS) && KINDS[kind].name ? &KINDS[kind] : NULL;
}

const char *ql_kind_name(uint32_t kind)
{
    const struct kind_row *row = kind_row(kind);

    return row ? row->name : NULL;
}

int ql_registry_new(const struct ql_registry_config *config, struct ql_registry **ret, struct ql_err *err)
{
    struct ql_registry *r = calloc(1, sizeof *r);

    if (!r)
        return ql_fail_nomem(err);
    r->config = *config;
    if (r->config.plugin_memory == 0)
        r->config.plugin_memory = PLUGIN_MEMORY;
    if (r->config.lua_memory == 0)
        r->config.lua_memory = QL_LUA_MEMORY;
    if (r->config.lua_instructions == 0)
        r->config.lua_instructions = QL_LUA_INSTRUCTIONS;
    if (r->config.sites == 0)
        r->config.sites = UINT32_MAX;
    if (r->config.rows_only)
        r->config.sites = 0;
    r->deadline_ns = INT64_MAX;
    *ret = r;
    return QL_OK;
}

static void loaded_free(struct ql_loaded *p)
{
    if (p->fini)
        p->fini(p->state);
    ql_lua_script_free(p->script);
    ql_option_defaults_free(p->defaults);
    free(p);
}

void ql_registry_free(struct ql_registry *r)
{
    if (!r)
        return;
    /* The other way round: what was loaded first may be what a later one rests on. */
    while (r->plugin_count > 0)
        loaded_free(r->plugins[--r->plugin_count]);
    for (size_t i = 0; i < r->entry_count; i++)
        free(r->entries[i].head);
    free(r);
}

/* ---- components ---- */

static int check_required(const char *file, const struct kind_row *row, const struct ql_component *head,
                          struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(row->required) && row->required[i] != 0; i++) {
        void (*function)(void);

        memcpy(&function, (const char *)head + row->required[i], sizeof function);
        if (!function)
            return ql_fail(err, QL_EABI, "%s: %s %s: function %zu of its table: wanted, found none", file,
                           row->name, head->name, i + 1);
    }
    return QL_OK;
}

static int check_after(const char *file, const struct ql_component *head, struct ql_err *err)
{
    for (size_t i = 0; head->after && head->after[i]; i++) {
        if (i >= QL_PLUGIN_AFTER_MAX)
            return ql_fail(err, QL_ELIMIT, "%s: validator %s: after: wanted at most %d names", file,
                           head->name, QL_PLUGIN_AFTER_MAX);
        if (!ql_component_name_ok(head->after[i], strnlen(head->after[i], 64)))
            return ql_fail(err, QL_ERANGE,
                           "%s: validator %s: after: wanted names of 1 to 32 of a-z, 0-9 and -", file,
                           head->name);
    }
    return QL_OK;
}

static int check_component(const struct ql_registry *r, const char *file, const struct kind_row *row,
                           const struct ql_component *head, struct ql_err *err)
{
    int e;

    if (!head->name || !ql_component_name_ok(head->name, strnlen(head->name, 64)))
        return ql_fail(err, QL_ERANGE, "%s: %s: name: wanted 1 to 32 of a-z, 0-9 and -", file, row->name);
    if (head->kind == QL_KIND_VALIDATOR) {
        /* Core publishes its own facts and events under that name. */
        if (strcmp(head->name, "core") == 0)
            return ql_fail(err, QL_ERANGE, "%s: validator: name: \"core\" is taken by the host", file);
        e = check_after(file, head, err);
        if (e < 0)
            return e;
    }
    for (size_t i = 0; i < r->entry_count; i++)
        if (r->entries[i].head->kind == head->kind && strcmp(r->entries[i].head->name, head->name) == 0)
            return ql_fail(err, QL_EEXIST, "%s: %s %s: name: taken by plugin %s", file, row->name, head->name,
                           r->entries[i].from->name);
    return check_required(file, row, head, err);
}

int ql_registry_keep(struct ql_registry *r, struct ql_loaded *from, const char *file,
                     const struct ql_component *head, void *plugin, struct ql_err *err)
{
    const struct kind_row *row;
    ql_auto_free struct ql_component *copy = NULL;
    int e;

    if (head->size < sizeof *head || head->size > QL_PLUGIN_STRUCT_MAX)
        return ql_fail(err, QL_EABI, "%s: component: size: wanted %zu to %d bytes, found %u", file,
                       sizeof *head, QL_PLUGIN_STRUCT_MAX, head->size);
    row = kind_row(head->kind);
    if (!row) {
        ql_log(QL_INFO, "plugin", "%s: component %.32s of kind %u is of no use here and was skipped", file,
               head->name ? head->name : "without name", head->kind);
        from->skipped++;
        return QL_OK;
    }
    if (head->size < row->least)
        return ql_fail(err, QL_EABI, "%s: %s %.32s: size: wanted at least %zu bytes, found %u", file,
                       row->name, head->name ? head->name : "without name", row->least, head->size);
    copy = calloc(1, row->size);
    if (!copy)
        return ql_fail_nomem(err);
    memcpy(copy, head, head->size < row->size ? head->size : row->size);
    copy->size = (uint32_t)row->size;
    e = check_component(r, file, row, copy, err);
    if (e < 0)
        return e;
    if (!(r->config.sites & (UINT32_C(1) << head->kind)))
        return QL_OK;
    if (r->entry_count >= QL_COMPONENTS_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: more than %d components are loaded", file, QL_COMPONENTS_MAX);
    r->entries[r->entry_count++] = (struct ql_entry){ql_steal(copy), plugin, from};
    return QL_OK;
}

/* ---- loading ---- */

int ql_registry_name_check(const struct ql_registry *r, const char *file, const char *name,
                           struct ql_err *err)
{
    for (size_t i = 0; i < r->plugin_count; i++)
        if (strcmp(r->plugins[i]->name, name) == 0)
            return ql_fail(err, QL_EEXIST, "%s: name: a plugin %s is loaded already", file, name);
    return QL_OK;
}

int ql_registry_load(struct ql_registry *r, const struct ql_plugin_file *file, struct ql_config *config,
                     struct ql_err *err)
{
    const size_t entries_before = r->entry_count;
    struct ql_loaded *p;
    int e;

    if (r->plugin_count >= QL_PLUGINS_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: more than %d plugins", file->name, QL_PLUGINS_MAX);
    /* Again: descriptors come from a parent, too, and what is checked twice is not missed once. */
    e = ql_plugin_fd_check(file->fd, file->name, err);
    if (e < 0)
        return e;
    p = calloc(1, sizeof *p);
    if (!p)
        return ql_fail_nomem(err);
    e = file->is_lua ? ql_lua_script_load(r, p, file, err) : ql_library_load(r, p, file, config, err);
    if (e < 0) {
        while (r->entry_count > entries_before)
            free(r->entries[--r->entry_count].head);
        loaded_free(p);
        return e;
    }
    r->plugins[r->plugin_count++] = p;
    return QL_OK;
}

int ql_registry_load_all(struct ql_registry *r, const char *dir, const char *const *names, size_t count,
                         struct ql_config *config, struct ql_err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct ql_plugin_file file = {.fd = -1};
        int e = ql_plugin_file_open(dir, names[i], &file, err);

        if (e == QL_OK)
            e = ql_registry_load(r, &file, config, err);
        ql_plugin_file_close(&file);
        if (e < 0)
            return e;
    }
    return ql_registry_order(r, err);
}

/* ---- finding ---- */

struct ql_found ql_registry_find(const struct ql_registry *r, uint32_t kind, const char *name)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct ql_entry *e = &r->entries[i];

        if (e->head->kind == kind && strcmp(e->head->name, name) == 0)
            return (struct ql_found){e->head, e->plugin, e->from->name};
    }
    return (struct ql_found){NULL, NULL, NULL};
}

struct ql_found ql_registry_at(const struct ql_registry *r, uint32_t kind, size_t n)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct ql_entry *e = &r->entries[i];

        if (e->head->kind == kind && n-- == 0)
            return (struct ql_found){e->head, e->plugin, e->from->name};
    }
    return (struct ql_found){NULL, NULL, NULL};
}

int ql_registry_config_text(const struct ql_registry *r, const struct ql_config *config, char **ret,
                            struct ql_err *err)
{
    const char *names[QL_PLUGINS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < r->plugin_count; i++)
        if (r->plugins[i]->rows)
            names[count++] = r->plugins[i]->name;
    return ql_config_text(config, names, count, ret, err);
}

void ql_registry_set_deadline(struct ql_registry *r, int64_t deadline_ns)
{
    r->deadline_ns = deadline_ns;
}

void ql_registry_set_grants(struct ql_registry *r, const struct ql_lua_grants *grants)
{
    r->grants = grants ? *grants : (struct ql_lua_grants){0};
}
