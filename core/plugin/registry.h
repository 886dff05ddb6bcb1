/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file registry.h
 * Loading plugins (`.so`, `.lua`) and finding their components. Rules of loading: design
 * section 5, decision 16: a file is named in the configuration, found in plugin_dir, owned by root or the
 * daemon's user and not writable by others (the same for each parent folder), opened once and loaded through
 * that descriptor, RTLD_NOW | RTLD_LOCAL, never unloaded.
 */
#pragma once
#include <quicklime/action.h>
#include <quicklime/evidence.h>
#include <quicklime/store.h>
#include <quicklime/validator.h>

#include "cleanup.h"
#include "config.h"

enum {
    QL_PLUGINS_MAX = 64,                     /**< plugins a process loads */
    QL_COMPONENTS_MAX = 256,                 /**< components over all of them */
    QL_NEEDS_MAX = 32,                       /**< evidence items of one policy */
    QL_LUA_MEMORY = 64 * 1024 * 1024,        /**< bytes of one Lua state */
    QL_LUA_INSTRUCTIONS = 100 * 1000 * 1000, /**< VM instructions of one call */
    QL_LUA_SOURCE_MAX = 1024 * 1024          /**< bytes of a script */
};

/** An opened and checked plugin file; the descriptor may be handed to a worker. */
struct ql_plugin_file {
    char name[64]; /**< as configured, without ending */
    int fd;        /**< owned */
    bool is_lua;
};
/**
 * Find NAME.so or NAME.lua in @p dir and check owner and modes.
 * @retval QL_ENOTFOUND @retval QL_EACCES names file, mode and rule @retval QL_ERANGE name
 */
int ql_plugin_file_open(const char *dir, const char *name, struct ql_plugin_file *ret, struct ql_err *err);
/** The same for a path that ends in .so or .lua (tools that are given a file). */
int ql_plugin_path_open(const char *path, struct ql_plugin_file *ret, struct ql_err *err);
/** As ql_plugin_path_open() for an action: its name may hold capitals, `_` and `.`, which become what a plugin's may. */
int ql_plugin_action_open(const char *path, struct ql_plugin_file *ret, struct ql_err *err);
void ql_plugin_file_close(struct ql_plugin_file *f);

/** All plugins of this process. */
struct ql_registry;
struct ql_registry_config {
    /** QL_KIND bits (1 << kind) that this process uses (0: all); others are loaded but not kept */
    uint32_t sites;
    size_t plugin_memory;      /**< allowance of each plugin's host->alloc, bytes; 0: 1 GiB */
    size_t lua_memory;         /**< 0: QL_LUA_MEMORY */
    uint64_t lua_instructions; /**< 0: QL_LUA_INSTRUCTIONS */
    /**
     * Check plugins and learn their options, no more: init is not called, no component is kept. For a daemon whose
     * workers run them.
     */
    bool rows_only;
};
int ql_registry_new(const struct ql_registry_config *config, struct ql_registry **ret, struct ql_err *err);
/** Calls fini of each plugin; libraries stay mapped. */
void ql_registry_free(struct ql_registry *r);
QL_DEFINE_CLEANUP(struct ql_registry, ql_registry_free)

/**
 * Load one file. Refusals name file, field, wanted and found.
 * @param config  the program's configuration: the plugin's rows are added as a group and checked; NULL:
 * defaults only
 */
int ql_registry_load(struct ql_registry *r, const struct ql_plugin_file *file, struct ql_config *config,
                     struct ql_err *err);
/** Open and load each of `names` from @p dir, then check `after` (cycles and unknown names are errors). */
int ql_registry_load_all(struct ql_registry *r, const char *dir, const char *const *names, size_t count,
                         struct ql_config *config, struct ql_err *err);
/**
 * Order validators by `after`. Called by ql_registry_load_all().
 * @retval QL_ERANGE names the cycle or the unknown name
 */
int ql_registry_order(struct ql_registry *r, struct ql_err *err);

/**
 * Free memory that a component handed over (made with host->alloc: new state, …); NULL is allowed. Before
 * ql_registry_free().
 */
void ql_plugin_memory_free(void *p);

/** A component as found. */
struct ql_found {
    /**
     * NULL: not found. A copy of this release's full size: functions that an older or smaller plugin does not
     * have are NULL, those its kind requires are always there.
     */
    const struct ql_component *head;
    void *plugin; /**< first argument of its functions */
    const char *plugin_name;
};
struct ql_found ql_registry_find(const struct ql_registry *r, uint32_t kind, const char *name);
/** Component number @p n of a kind; validators in the order they must run. head NULL past the end. */
struct ql_found ql_registry_at(const struct ql_registry *r, uint32_t kind, size_t n);

/**
 * What `needs` answered, item by item in this release's size: fields that the author's struct does not have are zero.
 * @param needs     as filled by the validator
 * @param[out] ret  room for QL_NEEDS_MAX; item_count of them are set; strings as borrowed as before
 * @retval QL_EABI size of an item @retval QL_ELIMIT too many, or none where some are counted
 */
int ql_needs_items(const char *validator, const struct ql_needs *needs, struct ql_need *ret,
                   struct ql_err *err);

/**
 * Set the deadline (monotonic ns) that host->deadline_ns() answers for calls from now on; INT64_MAX: none.
 */
void ql_registry_set_deadline(struct ql_registry *r, int64_t deadline_ns);
/** Rights of Lua actions (decisions 6, 33; none by default). Lists end with NULL; borrowed. */
struct ql_lua_grants {
    const char *const *exec;       /**< absolute paths of programs that ql.exec may start */
    const char *const *file_dirs;  /**< folders below which ql.file may read and write */
    const char *const *http_hosts; /**< hosts that ql.http may post to */
    /**
     * Does the posting for ql.http.post, whose URL's host was found granted; NULL: not offered. Blocks until @p end_ns
     * (monotonic). @param[out] status of the answer @param[out] answer its body, caller frees
     */
    int (*http_post)(void *arg, const char *url, const void *body, size_t len, const char *type,
                     int64_t end_ns, int *status, char **answer, size_t *answer_len, struct ql_err *err);
    void *http_arg;
    bool dry_run; /**< nothing is run, written or posted: a log line says what would be */
};
void ql_registry_set_grants(struct ql_registry *r, const struct ql_lua_grants *grants);
/**
 * What the configuration says about the options of these plugins, as text for the worker that runs them
 * (ql_config_load_text()). @p ret may hold secrets; owned by the caller
 */
int ql_registry_config_text(const struct ql_registry *r, const struct ql_config *config, char **ret,
                            struct ql_err *err);
/**
 * A host table for plugin code that a program links itself (tools, tests): with Lua, in the registry's limits.
 * @param r      outlives the host @param name begins its log lines @param limit bytes of alloc
 * @param[out] ret owned by the caller: ql_host_free()
 */
int ql_host_new(const struct ql_registry *r, const char *name, size_t limit, const struct ql_host **ret,
                struct ql_err *err);
void ql_host_free(const struct ql_host *h);
QL_DEFINE_CLEANUP(const struct ql_host, ql_host_free)
/** Print plugins, versions, components, options, for `quicklime-plugin check`. */
void ql_registry_describe(const struct ql_registry *r, FILE *out);
