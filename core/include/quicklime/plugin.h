/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plugin.h
 * What every plugin exports, and what the host offers it. A plugin includes this header and that of each kind of
 * component it has (validator.h, evidence.h, store.h, action.h); it links nothing of Quicklime.
 *
 * Growth rule: every struct that crosses the line begins with its `size` as the author's compiler saw it. Fields
 * are only appended; what lies beyond `size` is absent. Enumerations travel as uint32_t, unknown values are errors.
 * Rows of an array have the size of the author's struct, too: the reader goes from one to the next by that size (of
 * option rows `ql_plugin.option_size`, of needs the first item's `size`).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QL_PLUGIN_MAGIC UINT32_C(0x514c504c) /**< "QLPL" */
#define QL_ABI_MAJOR    1u                   /**< another major is refused */
#define QL_ABI_MINOR    0u                   /**< an older minor is accepted */

/** Kinds of component. A kind that this release does not know is skipped with a log line. */
#define QL_KIND_VALIDATOR UINT32_C(1)
#define QL_KIND_EVIDENCE  UINT32_C(2)
#define QL_KIND_STORE     UINT32_C(3)
#define QL_KIND_ACTION    UINT32_C(4)
#define QL_KIND_AUTHZ     UINT32_C(5) /**< reserved */
#define QL_KIND_RECORDER  UINT32_C(6) /**< reserved */

/** Log levels of ql_host.log. */
#define QL_LOG_ERR   UINT32_C(0)
#define QL_LOG_WARN  UINT32_C(1)
#define QL_LOG_INFO  UINT32_C(2)
#define QL_LOG_DEBUG UINT32_C(3)

/** Types of an option row. */
#define QL_OPT_BOOL   UINT32_C(1)
#define QL_OPT_INT    UINT32_C(2) /**< 64 bits; files may also give text such as "10M", "0x400" */
#define QL_OPT_FLOAT  UINT32_C(3)
#define QL_OPT_STRING UINT32_C(4)
#define QL_OPT_LIST   UINT32_C(5) /**< list of strings; a lone string counts as a list of one */
#define QL_OPT_GROUPS UINT32_C(6) /**< list of groups, each with `fields` */

/** Flags of an option row. */
#define QL_OPT_SECRET UINT32_C(1) /**< value is shown as "***" and never logged */

/**
 * One option: the single source of help, manual page, sample file, --show-config and range checks.
 * A table of rows ends with a row whose name is NULL. A row may grow in a later minor: ql_plugin.option_size.
 */
struct ql_option {
    const char *name;    /**< lower case, Keylime's name where it has one */
    uint32_t type;       /**< QL_OPT_… */
    uint32_t flags;      /**< QL_OPT_SECRET or 0 */
    int64_t min, max;    /**< QL_OPT_INT and QL_OPT_FLOAT: range; both 0: none */
    const char *preset;  /**< default as it would stand in a file: "true", "30", "text", "a,b"; NULL: empty */
    const char *help;    /**< one line, with the unit */
    const char *choices; /**< QL_OPT_STRING: allowed words, separated by blanks; NULL: any text */
    const struct ql_option *fields; /**< QL_OPT_GROUPS: rows of each group; else NULL */
};

/** A plugin's own configuration, checked against its rows before `init`. Valid until `fini`. */
struct ql_options {
    uint32_t size;
    /** @return value of an int or bool (0/1) option; the default when not set; 0 for an unknown name */
    int64_t (*get_int)(const struct ql_options *o, const char *name);
    double (*get_float)(const struct ql_options *o, const char *name);
    /** @return value of a string option, never NULL ("" when empty); borrowed */
    const char *(*get_string)(const struct ql_options *o, const char *name);
    /** @return item n of a list option, NULL past the end; borrowed */
    const char *(*get_item)(const struct ql_options *o, const char *name, size_t n);
};

struct ql_lua_job;
struct lua_State;
struct json_t;

/** Services of the host. Ask `size` before using a slot that a later minor added. */
struct ql_host {
    uint32_t size;
    uint32_t abi_minor; /**< the host's */
    /** Write one log line; @p text is cut at 1024 bytes, control characters are escaped. */
    void (*log)(const struct ql_host *h, uint32_t level, const char *text);
    int64_t (*now_ns)(const struct ql_host *h);  /**< wall clock, ns since the epoch */
    int64_t (*mono_ns)(const struct ql_host *h); /**< monotonic clock, ns */
    int64_t (*deadline_ns)(
        const struct ql_host *h); /**< monotonic end of the call under way; INT64_MAX: none */
    /** Memory counted against the plugin; NULL when the allowance is used up. */
    void *(*alloc)(const struct ql_host *h, size_t len);
    void *(*realloc)(const struct ql_host *h, void *p, size_t len);
    void (*free)(const struct ql_host *h, void *p);
    /** Fill @p err (may be NULL) by a printf format and return @p code, so that one can `return host->fail(…)`. */
    int (*fail)(struct ql_err *err, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
    /* Lua in the host's sandbox: see lua.h, which says what each slot does. */
    int (*lua_run)(const struct ql_host *h, const struct ql_lua_job *job, struct ql_err *err);
    void *(*lua_arg)(struct lua_State *L);
    void (*lua_charge)(struct lua_State *L, uint64_t instructions);
    void (*lua_push_json)(struct lua_State *L, const struct json_t *value);
    struct json_t *(*lua_to_json)(struct lua_State *L, int index);
    size_t (*lua_push_keys)(struct lua_State *L, int index);
    void (*lua_freeze)(struct lua_State *L);
    void (*lua_error_limit)(struct lua_State *L, int32_t code, const char *text);
};

/** Head of every component; the table of its kind follows in one struct. */
struct ql_component {
    uint32_t size;            /**< sizeof the whole component struct */
    uint32_t kind;            /**< QL_KIND_… */
    const char *name;         /**< `[a-z0-9-]{1,32}`, unique among its kind */
    const char *const *after; /**< validators: names that must run first, NULL at the end; NULL: none */
    uint32_t flags;           /**< meaning by kind */
};

/** The one exported symbol: `const struct ql_plugin ql_plugin`. */
struct ql_plugin {
    uint32_t magic;     /**< QL_PLUGIN_MAGIC */
    uint32_t size;      /**< sizeof(struct ql_plugin) */
    uint32_t abi_major; /**< QL_ABI_MAJOR */
    uint32_t abi_minor; /**< QL_ABI_MINOR */
    const char *name;   /**< also the name of its configuration group */
    const char *version;
    const char *license;                          /**< SPDX expression */
    const char *summary;                          /**< one line */
    const struct ql_option *options;              /**< rows, name NULL at the end; NULL: none */
    const struct ql_component *const *components; /**< NULL at the end */
    /**
     * Called once a process, before any component. May be NULL.
     * @param host, options  valid until fini
     * @param[out] plugin    handed to every component function
     */
    int (*init)(const struct ql_host *host, const struct ql_options *options, void **plugin,
                struct ql_err *err);
    /** Called once at the end; may be NULL. */
    void (*fini)(void *plugin);
    /**
     * sizeof(struct ql_option) of the author, for rows and their `fields`; QL_PLUGIN sets it. 0 or absent: that of the
     * first release.
     */
    uint32_t option_size;
};

/** Define the exported symbol: QL_PLUGIN(.name = "x", .version = "1.0", …). */
#define QL_PLUGIN(...)                                                                                       \
    extern const struct ql_plugin ql_plugin;                                                                 \
    __attribute__((visibility("default")))                                                                   \
    const struct ql_plugin ql_plugin = {.magic = QL_PLUGIN_MAGIC,                                            \
                                        .size = sizeof(struct ql_plugin),                                    \
                                        .abi_major = QL_ABI_MAJOR,                                           \
                                        .abi_minor = QL_ABI_MINOR,                                           \
                                        __VA_ARGS__,                                                         \
                                        .option_size = sizeof(struct ql_option)}

#ifdef __cplusplus
}
#endif
