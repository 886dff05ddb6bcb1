/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lua_mb.h
 * The table `mb` of policy scripts: makes tests out of Lua (docs/boot-policy-scripts.md lists it), runs functions of the script that
 * a test asks, and gives helpers that parse.
 *
 * Everything that is made here during a run belongs to the run's tests or to the run itself, never to Lua: a limit may end the
 * call at any moment.
 *
 * Layer: plugin mboot.
 */
#pragma once
#include <quicklime/lua.h>

#include "test.h"

enum {
    MB_LUA_EVALS_MAX = 64 /**< evaluations that mb.run may have under way */
};

/** One run of a script; its address is the job's `arg`. */
struct mb_lua_run {
    const struct ql_host *host;
    struct mb_tests *tests; /**< what the script makes */
    struct mb_hasher *hasher;
    const struct mb_scripts *scripts; /**< for mb.policy */
    lua_State *L;
    struct mb_eval *evals[MB_LUA_EVALS_MAX]; /**< of mb.run, to be freed after a limit */
    size_t eval_count;
};

/** lua_CFunction for ql_lua_job.setup: adds `mb`. The job's `arg` begins with a struct mb_lua_run. */
int mb_lua_setup(lua_State *L);
/** The node of a test. Raises a Lua error for any other value. */
const struct mb_node *mb_lua_test(lua_State *L, int index);
/** mb_call_fn for evaluations inside of a run; `call_arg` is the struct mb_lua_run. */
int mb_lua_call_fn(struct mb_eval *e, const struct mb_node *node, const struct mb_value *v);
/** Free what mb.run left behind. */
void mb_lua_run_done(struct mb_lua_run *run);

/** lua_help.c: tag, utf16, x509 into the table on top. */
void mb_lua_add_helpers(lua_State *L);
