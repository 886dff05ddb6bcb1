/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lua_call.h
 * One call into a script. Internal to the Lua host.
 *
 * Every call gets a Lua state of its own, made from the script's compiled text and thrown away afterwards:
 * nothing that a script keeps in variables outlives the judgement of one agent, and what a limit cut short is
 * never used again.
 *
 * Memory, instructions and time are limited. A limit does not raise a Lua error, which the script could
 * catch: it leaves the state by longjmp and the state's memory is dropped as it is. Therefore no function
 * that is called from Lua may own memory, descriptors or anything else of C across a call into Lua; what a
 * JSON conversion needs hangs on `scratch`.
 */
#pragma once
#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>

#include "internal.h"

enum {
    QL_LUA_STEP = 1000, /**< instructions between two looks at the limits */
    QL_LUA_JSON_MAX =
        4 * 1024 * 1024,             /**< bytes of JSON text, either way; parsed it may be 40 times larger */
    QL_LUA_JSON_NODES = 1000 * 1000, /**< values in one conversion to JSON: shared tables count each time */
    QL_LUA_LOG_LINES = 100,          /**< lines that one call may log */
    QL_LUA_COMPONENTS_MAX = 16,      /**< tables that a script returns */
    QL_LUA_NEEDS_MAX = 32,           /**< evidence items of one policy, as core allows */
    QL_LUA_BYTES_PER_INSTRUCTION = 16, /**< memory traffic is work: so many bytes count as one instruction */
};

struct ql_lua_component;

/** A script, loaded. */
struct ql_lua_script {
    const struct ql_registry *registry;
    struct ql_plugin_host *host;
    char name[64]; /* with ending, begins messages */
    uint8_t *code; /* compiled by us from text */
    size_t code_len;
    struct ql_lua_component *components[QL_LUA_COMPONENTS_MAX];
    size_t component_count;
};

/** One component of a script: its table of functions and where it stands in the script. */
struct ql_lua_component {
    struct ql_lua_script *script;
    int index; /* in the list that the script returns, from 1 */
    char name[33];
    uint32_t state_version;
    char after_names[QL_PLUGIN_AFTER_MAX][33];
    const char *after[QL_PLUGIN_AFTER_MAX + 1];
    union {
        struct ql_component head;
        struct ql_validator validator;
        struct ql_action action;
    } table;
};

struct ql_lua_block;

/** A call under way. Zero but for what stands before `L` when it is given to ql_lua_run(). */
struct ql_lua_call {
    struct ql_lua_script *script;
    const struct ql_lua_component *component; /* NULL while the script is being loaded */
    const char *function;                     /* name for messages */
    void *arg;                                /* for the body */
    const struct ql_attest *attest;
    struct ql_report *report;
    const struct ql_lua_grants *grants; /* NULL: no rights */
    lua_CFunction setup;                /* a plugin's: adds to the globals */
    size_t memory_max;                  /* bytes; 0: the registry's */
    uint64_t work_max;                  /* likewise */

    lua_State *L;
    struct ql_lua_block *blocks; /* all memory of the state */
    size_t memory;
    uint64_t work; /* instructions and what counts as such */
    int64_t deadline_ns;
    unsigned log_lines;
    json_t *scratch; /* freed at the end, whatever happens */
    void *buffer;    /* likewise */
    json_t *mark;    /* where a conversion writes to */
    jmp_buf gone;
    int gone_code;
    char gone_text[128];
};

/**
 * Run @p body in a new state, with the component's table as its only argument (while loading: what the script
 * returned).
 * @retval QL_OK @retval QL_ELIMIT @retval QL_ETIMEOUT @retval QL_ENOMEM a limit @retval QL_EPARSE an error of
 * the script;
 *         the text begins with script and function
 */
int ql_lua_run(struct ql_lua_call *c, lua_CFunction body, struct ql_err *err);

static inline struct ql_lua_call *ql_lua_call_of(lua_State *L)
{
    return *(struct ql_lua_call **)lua_getextraspace(L);
}

/** Count work that the instruction hook does not see; ends the call at the limit. */
void ql_lua_charge(lua_State *L, uint64_t instructions);
/** Room on Lua's stack for so many values more; without, the call ends. */
void ql_lua_need_stack(lua_State *L, int slots);
/** End the call: not to be caught by the script. */
_Noreturn void ql_lua_kill(struct ql_lua_call *c, int code, const char *text);
_Noreturn void ql_lua_kill_for_memory(struct ql_lua_call *c);
/** Instructions that are left. */
uint64_t ql_lua_work_left(const struct ql_lua_call *c);

/* ---- what a script sees: each pushes one table ---- */

/** lua_base.c: the globals, as a plain table (to be frozen by the caller). */
void ql_lua_push_globals(lua_State *L);
/**
 * lua_string.c: string functions around or in place of those of the library (at that index), into the table
 * on top.
 */
void ql_lua_add_string(lua_State *L, int library);
/** lua_table.c: table functions likewise. */
void ql_lua_add_table(lua_State *L, int library);
/** lua_table.c: pairs and next. */
void ql_lua_add_pairs(lua_State *L);
/** lua_ql.c: the table `ql`. */
void ql_lua_push_ql(lua_State *L);
/** lua_json.c: the table `ql.json`. */
void ql_lua_push_json_library(lua_State *L);
/** lua_exec.c, lua_files.c, lua_http.c: add what the grants allow to the table on top. */
void ql_lua_add_exec(lua_State *L);
void ql_lua_add_files(lua_State *L);
void ql_lua_add_http(lua_State *L);
/** In a dry run: log what would be done. @return false: it is none, do it */
bool ql_lua_dry(lua_State *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** lua_attest.c: the argument `attest`. */
void ql_lua_push_attest(lua_State *L);
/**
 * Iterator over the lines of a text that something else keeps alive (value at @p anchor). Pushes one
 * function.
 */
void ql_lua_push_lines(lua_State *L, const char *data, size_t len, int anchor);

/** Replace the table on top by one that shows the same and cannot be written. */
void ql_lua_freeze(lua_State *L);
/** Is it a table that ql_lua_freeze() or the host made unwritable? */
bool ql_lua_is_frozen(lua_State *L, int index);
/** Raises "is read-only"; also the mark of frozen tables. */
int ql_lua_refuse_write(lua_State *L);
/** Text of any value without an address; pushes it. */
const char *ql_lua_text(lua_State *L, int index, size_t *len);

/**
 * Push the keys of a table as a sorted list: numbers, then texts by bytes, then booleans. Other keys are
 * errors.
 */
size_t ql_lua_push_keys(lua_State *L, int index);

/** Push a JSON value. */
void ql_lua_push_json(lua_State *L, const json_t *value);
/**
 * Make JSON of a value; owned by the call's scratch until the next conversion: json_incref() what is to stay.
 */
json_t *ql_lua_to_json(lua_State *L, int index);
/** JSON text of a value, keys sorted, at most @p max_len bytes; owned by the call's buffer likewise. */
const char *ql_lua_to_json_text(lua_State *L, int index, size_t max_len, size_t *ret_len);

/* ---- plugins ---- */

/** lua_job.c: the slots of ql_host for scripts of plugins (quicklime/lua.h). */
void ql_lua_slots(struct ql_host *table);

/* ---- kinds ---- */

void ql_lua_validator_init(struct ql_lua_component *c);
void ql_lua_action_init(struct ql_lua_component *c, uint32_t sites);
