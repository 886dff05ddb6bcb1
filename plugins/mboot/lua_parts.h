/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lua_parts.h
 * What the files of the Lua module `mb` share. All of it raises Lua errors and is called inside of a run only.
 *
 * Layer: plugin mboot; for lua_*.c alone.
 */
#pragma once
#include "lua_mb.h"

/** Where the registry holds the table of globals. */
#define MB_GLOBALS_KEY "mb.globals"

/** The run, first upvalue of every function of the module. */
struct mb_lua_run *mb_lua_run_of(lua_State *L);
_Noreturn void mb_lua_raise(lua_State *L, const char *text);
/** @return @p p, which is not NULL: else an error is raised */
void *mb_lua_need(lua_State *L, void *p);
/** Push a new test. @return its node, to be filled */
struct mb_node *mb_lua_push_node(lua_State *L, struct mb_lua_run *run, enum mb_kind kind);
/** The text at @p index, kept as long as the tests. */
struct mb_str mb_lua_copy_text(lua_State *L, struct mb_lua_run *run, int index);
struct mb_rows *mb_lua_new_rows(lua_State *L, struct mb_lua_run *run);
/** Add the text or integer at @p index to a row's keys. */
void mb_lua_take_key(lua_State *L, int index, struct mb_tuple *t);
/** Add a row to a dispatcher; a second one with the same keys raises. */
void mb_lua_add_row(lua_State *L, struct mb_lua_run *run, struct mb_rows *rows, const struct mb_tuple *t,
                    const struct mb_node *test);

/** Functions that lua_mb.c puts into the module; name NULL at the end. */
extern const luaL_Reg mb_lua_value_tests[];
extern const luaL_Reg mb_lua_calls[];
