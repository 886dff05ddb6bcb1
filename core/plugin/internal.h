/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file internal.h
 * What the files of this folder share: a loaded plugin, its host table, the registry's
 * lists. For nobody else.
 */
#pragma once
#include <stdatomic.h>

#include "registry.h"

enum {
    QL_PLUGIN_ROWS_MAX =
        128, /**< option rows of one plugin; what a configuration group can hold and more than fits a page */
    QL_PLUGIN_STRUCT_MAX =
        64 * 1024,            /**< bytes of a struct that crosses the line; a larger `size` is garbage */
    QL_PLUGIN_TEXT_MAX = 256, /**< characters of name, version, licence, summary */
    QL_PLUGIN_FIRST_OPTION =
        offsetof(struct ql_option, fields) + sizeof(void *), /**< size of a row in the first release */
    QL_PLUGIN_AFTER_MAX = 32,                                /**< names in one `after` */
    QL_PLUGIN_LOG_MAX = 1024 /**< bytes of one line of a plugin, as plugin.h promises */
};

/** Host table of one plugin with what stands behind it. Given to the plugin as its first member. */
struct ql_plugin_host {
    struct ql_host table; /* first: functions find the rest by it */
    const struct ql_registry *registry;
    char name[64];
    size_t limit;       /* bytes; allowance of alloc */
    atomic_size_t used; /* bytes handed out; what the core took over counts until it is freed */
};

void ql_plugin_host_init(struct ql_plugin_host *h, const struct ql_registry *r, const char *name,
                         size_t limit);

/** Defaults of a plugin's rows, for a process without configuration. */
struct ql_option_defaults;
int ql_option_defaults_new(const struct ql_option *rows, struct ql_option_defaults **ret, struct ql_err *err);
void ql_option_defaults_free(struct ql_option_defaults *d);
QL_DEFINE_CLEANUP(struct ql_option_defaults, ql_option_defaults_free)
const struct ql_options *ql_option_defaults_view(struct ql_option_defaults *d);

/**
 * Option rows of a plugin as this release has them, and their fields likewise.
 * @param stride  ql_plugin.option_size; 0: the first release's
 * @param[out] ret stays for the life of the process; NULL for no rows
 * @retval QL_EABI stride @retval QL_ELIMIT rows
 */
int ql_plugin_rows(const char *file, const struct ql_option *rows, uint32_t stride,
                   const struct ql_option **ret, struct ql_err *err);

struct ql_lua_script;

/** One plugin that was loaded. */
struct ql_loaded {
    char name[64], version[64];
    char license[QL_PLUGIN_TEXT_MAX], summary[QL_PLUGIN_TEXT_MAX];
    const struct ql_option *rows; /* of ql_plugin_rows(); NULL: none */
    struct ql_plugin_host host;
    struct ql_option_defaults *defaults;
    void *state; /* what init returned */
    void (*fini)(void *plugin);
    struct ql_lua_script *script; /* NULL: a library */
    size_t skipped;               /* components of kinds that this release does not know */
};

/** One component that this process uses. */
struct ql_entry {
    struct ql_component *head; /* owned: our size, what the plugin does not have is NULL */
    void *plugin;              /* first argument of its functions */
    const struct ql_loaded *from;
};

struct ql_registry {
    struct ql_registry_config config;
    struct ql_loaded *plugins[QL_PLUGINS_MAX];
    size_t plugin_count;
    struct ql_entry entries[QL_COMPONENTS_MAX];
    size_t entry_count;
    _Atomic int64_t deadline_ns;
    struct ql_lua_grants grants;
};

/**
 * Owner and mode of an open plugin file: regular, root's or ours, writable by nobody else.
 * @param what begins the message
 */
int ql_plugin_fd_check(int fd, const char *what, struct ql_err *err);

/** Load a shared object into @p p, its components into @p r. */
int ql_library_load(struct ql_registry *r, struct ql_loaded *p, const struct ql_plugin_file *file,
                    struct ql_config *config, struct ql_err *err);
/** Load a script likewise. */
int ql_lua_script_load(struct ql_registry *r, struct ql_loaded *p, const struct ql_plugin_file *file,
                       struct ql_err *err);
void ql_lua_script_free(struct ql_lua_script *s);

/** May a plugin of this name be loaded? @param file begins the message @retval QL_EEXIST */
int ql_registry_name_check(const struct ql_registry *r, const char *file, const char *name,
                           struct ql_err *err);

/**
 * Check a component and keep a full-size copy if this process uses its kind.
 * @param file    begins messages
 * @param plugin  first argument of its functions
 */
int ql_registry_keep(struct ql_registry *r, struct ql_loaded *from, const char *file,
                     const struct ql_component *head, void *plugin, struct ql_err *err);

/** @return "validator", "evidence", …; NULL for a kind that this release does not know */
const char *ql_kind_name(uint32_t kind);
