/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lua.h
 * Lua for plugins that have a script language of their own: the host's sandbox, its limits and its libraries.
 *
 * A job is one protected run in a Lua state of its own: the host makes the state, lets the plugin add to the globals, runs
 * the script, hands what it returned to the plugin's body and throws everything away. Nothing that a script keeps in
 * variables outlives the job. A script sees what the plugin author's guide lists ("Lua"): no files, clock, random numbers,
 * bytecode, addresses; sorted pairs; patterns under a limit; `ql` without rights; globals cannot be written from outside of the
 * script's own environment.
 *
 * Memory, instructions and time are limited. A limit is no Lua error, which a script could catch: it leaves the state by
 * longjmp, and the state's memory is dropped. Therefore no C function called from Lua may own anything across a call into Lua
 * or into these slots: what it makes hangs on `arg`, and the caller of lua_run frees it, whatever came out.
 *
 * The plugin links the same Lua library as the host (5.4); it makes no state itself.
 */
#pragma once
#include <jansson.h>
#include <lauxlib.h>
#include <lua.h>

#include <quicklime/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One run of a script; for ql_host.lua_run. Everything is borrowed for the call. */
struct ql_lua_job {
    uint32_t size;         /**< sizeof(struct ql_lua_job) of the author */
    const char *name;      /**< the script's, begins messages; at most 63 bytes are used */
    const char *function;  /**< what is being done, for messages; NULL: "loading" */
    const char *source;    /**< text; compiled Lua is refused */
    size_t source_len;     /**< at most 1 MiB */
    lua_CFunction setup;   /**< arguments: the table of globals, to be added to, and `arg`; NULL: nothing */
    lua_CFunction body;    /**< arguments: what the script returned, and `arg`; results are dropped */
    void *arg;             /**< handed to setup and body as light userdata; ql_host.lua_arg answers it, too */
    size_t memory;         /**< bytes; 0, or more than the host's own limit: that */
    uint64_t instructions; /**< likewise; memory traffic and work of library functions count, too */
};

/**
 * Slots of ql_host, all present when `size` reaches past lua_error_limit. `L` is always a state of a job under way.
 *
 * lua_run(host, job, err): QL_OK; QL_EPARSE an error of the script or one that setup or body raised; QL_ELIMIT, QL_ENOMEM,
 *   QL_ETIMEOUT (the deadline of the plugin's call) a limit. The text begins with name and function.
 * lua_arg(L): the job's `arg`.
 * lua_charge(L, n): count n instructions of work that Lua does not see; ends the job at the limit.
 * lua_push_json(L, value): push a JSON value; null becomes ql.json.null, an empty array stays one.
 * lua_to_json(L, index): JSON of a value; borrowed, and valid until the next conversion or the end of the job. Raises a Lua
 *   error for what is no JSON.
 * lua_push_keys(L, index): push the sorted list of a table's keys; returns how many.
 * lua_freeze(L): replace the table on top by one that shows the same and cannot be written.
 * lua_error_limit(L, code, text): end the job with this code, not to be caught by the script.
 */

#ifdef __cplusplus
}
#endif
