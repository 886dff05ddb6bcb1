/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua state for one call, and its limits. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "lua_call.h"

/** Before every block of a state: all of them can be dropped at once. */
struct ql_lua_block {
    struct ql_lua_block *next, *previous;
} __attribute__((aligned(16)));

/* ---- limits ---- */

void ql_lua_kill(struct ql_lua_call *c, int code, const char *text)
{
    c->gone_code = code;
    snprintf(c->gone_text, sizeof c->gone_text, "%s", text);
    longjmp(c->gone, 1);
}

uint64_t ql_lua_work_left(const struct ql_lua_call *c)
{
    return c->work < c->work_max ? c->work_max - c->work : 0;
}

static void charge(struct ql_lua_call *c, uint64_t instructions)
{
    char text[80];

    if (instructions <= ql_lua_work_left(c)) {
        c->work += instructions;
        return;
    }
    snprintf(text, sizeof text, "instruction limit of %llu reached", (unsigned long long)c->work_max);
    ql_lua_kill(c, QL_ELIMIT, text);
}

void ql_lua_charge(lua_State *L, uint64_t instructions)
{
    charge(ql_lua_call_of(L), instructions);
}

void ql_lua_kill_for_memory(struct ql_lua_call *c)
{
    char text[80];

    snprintf(text, sizeof text, "memory limit of %zu bytes reached", c->memory_max);
    ql_lua_kill(c, QL_ENOMEM, text);
}

void ql_lua_need_stack(lua_State *L, int slots)
{
    /* Fails for lack of memory, or at a million slots, which is one. */
    if (!lua_checkstack(L, slots))
        ql_lua_kill_for_memory(ql_lua_call_of(L));
}

static void on_count(lua_State *L, lua_Debug *ar)
{
    struct ql_lua_call *c = ql_lua_call_of(L);

    (void)ar;
    charge(c, QL_LUA_STEP);
    if (c->deadline_ns != INT64_MAX && ql_mono_ns() > c->deadline_ns)
        ql_lua_kill(c, QL_ETIMEOUT, "deadline passed");
}

static void unlink_block(struct ql_lua_call *c, const struct ql_lua_block *b)
{
    if (b->previous)
        b->previous->next = b->next;
    else
        c->blocks = b->next;
    if (b->next)
        b->next->previous = b->previous;
}

static void link_block(struct ql_lua_call *c, struct ql_lua_block *b)
{
    b->previous = NULL;
    b->next = c->blocks;
    if (b->next)
        b->next->previous = b;
    c->blocks = b;
}

/* lua_Alloc. NULL makes Lua collect garbage and ask again, and only then raise its memory error. */
static void *allocate(void *arg, void *p, size_t old_len, size_t len)
{
    struct ql_lua_call *c = arg;
    struct ql_lua_block *b = p ? (struct ql_lua_block *)p - 1 : NULL, *moved;
    const size_t held = b ? old_len : 0; /* without a block, Lua passes a type there */

    if (len == 0) {
        if (b) {
            unlink_block(c, b);
            c->memory -= held;
            free(b);
        }
        return NULL;
    }
    if (len > held) {
        if (len - held > c->memory_max - c->memory)
            return NULL;
        charge(c, len / QL_LUA_BYTES_PER_INSTRUCTION);
    }
    if (b)
        unlink_block(c, b);
    moved = realloc(b, len + sizeof *b);
    if (!moved) {
        if (b)
            link_block(c, b);
        return NULL;
    }
    link_block(c, moved);
    c->memory += len - held; /* modulo 2^64: the sum is right when it shrinks */
    return moved + 1;
}

static void drop_all(struct ql_lua_call *c)
{
    while (c->blocks) {
        struct ql_lua_block *next = c->blocks->next;

        free(c->blocks);
        c->blocks = next;
    }
    c->L = NULL;
    json_decref(c->scratch);
    c->scratch = NULL;
    free(c->buffer);
    c->buffer = NULL;
}

/* ---- the environment ---- */

/*
 * What the script has set while it was loaded stays visible, and nothing can be added: the table is emptied
 * into another one, which it shows.
 */
static void seal(lua_State *L, int env)
{
    lua_newtable(L); /* what the script has set */
    lua_pushnil(L);
    while (lua_next(L, env)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_pushnil(L);
    while (lua_next(L, env)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, env); /* clearing a field does not disturb lua_next */
    }
    lua_getmetatable(L, env);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3); /* behind it the library, as before */
    lua_pop(L, 1);
    lua_newtable(L);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ql_lua_refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, env);
}

/* Push what the script returns. */
static void run_script(lua_State *L, const struct ql_lua_call *c)
{
    const struct ql_lua_script *s = c->script;
    char chunk[80];
    int env;

    lua_newtable(L);
    env = lua_gettop(L);
    lua_newtable(L);
    ql_lua_push_globals(L);
    if (c->setup) {
        lua_pushcfunction(L, c->setup);
        lua_pushvalue(L, -2);
        lua_pushlightuserdata(L, c->arg);
        lua_call(L, 2, 0);
    }
    ql_lua_freeze(L);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, env);
    lua_pushvalue(L, env);
    lua_setfield(L, env, "_G");

    snprintf(chunk, sizeof chunk, "=%s", s->name);
    /* Bytecode only if it is ours. */
    if (luaL_loadbufferx(L, (const char *)s->code, s->code_len, chunk, c->component ? "b" : "t") != LUA_OK)
        lua_error(L);
    lua_pushvalue(L, env);
    if (!lua_setupvalue(L, -2, 1))
        luaL_error(L, "%s: chunk without environment", s->name);
    if (!c->component) {
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, "quicklime.chunk"); /* for the loader, which keeps its code */
    }
    lua_call(L, 0, 1);
    seal(L, env);
    lua_remove(L, env);
}

/* The component's table in what the script returned. */
static void pick_component(lua_State *L, const struct ql_lua_component *component)
{
    if (!lua_istable(L, -1))
        luaL_error(L, "script returned no table");
    lua_pushliteral(L, "kind");
    if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    if (lua_rawgeti(L, -1, component->index) != LUA_TTABLE)
        luaL_error(L, "script no longer returns component %d", component->index);
    lua_remove(L, -2);
}

static int start(lua_State *L)
{
    const struct ql_lua_call *c = ql_lua_call_of(L);
    lua_CFunction body = lua_tocfunction(L, 1);

    ql_lua_need_stack(L, 100);
    run_script(L, c);
    if (c->component)
        pick_component(L, c->component);
    lua_pushcfunction(L, body);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, c->arg);
    lua_call(L, 2, 0);
    return 0;
}

/* Error objects may be anything; none of them gets to run code of its own. */
static int on_error(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        lua_pushfstring(L, "error without text (a %s value)", luaL_typename(L, 1));
    return 1;
}

static int finish(struct ql_lua_call *c, int status, struct ql_err *err)
{
    const char *function = c->function ? c->function : "loading";
    const char *text;

    if (status == LUA_OK)
        return QL_OK;
    if (status == LUA_ERRMEM)
        return ql_fail(err, QL_ENOMEM, "%s: %s: memory limit of %zu bytes reached", c->script->name, function,
                       c->memory_max);
    text = lua_tostring(c->L, -1);
    return ql_fail(err, QL_EPARSE, "%s: %s: %s", c->script->name, function,
                   text ? text : "error without text");
}

int ql_lua_run(struct ql_lua_call *c, lua_CFunction body, struct ql_err *err)
{
    int r;

    c->deadline_ns = c->script->registry->deadline_ns;
    if (c->memory_max == 0 || c->memory_max > c->script->registry->config.lua_memory)
        c->memory_max = c->script->registry->config.lua_memory;
    if (c->work_max == 0 || c->work_max > c->script->registry->config.lua_instructions)
        c->work_max = c->script->registry->config.lua_instructions;
    if (setjmp(c->gone) == 0) {
        c->L = lua_newstate(allocate, c);
        if (!c->L) {
            drop_all(c);
            return ql_fail(err, QL_ENOMEM, "%s: memory limit of %zu bytes reached", c->script->name,
                           c->memory_max);
        }
        *(struct ql_lua_call **)lua_getextraspace(c->L) = c;
        lua_sethook(c->L, on_count, LUA_MASKCOUNT, QL_LUA_STEP);
        lua_pushcfunction(c->L, on_error); /* light functions: nothing here needs memory */
        lua_pushcfunction(c->L, start);
        lua_pushcfunction(c->L, body);
        r = finish(c, lua_pcall(c->L, 1, 0, 1), err);
    } else {
        r = ql_fail(err, c->gone_code, "%s: %s: %s", c->script->name, c->function ? c->function : "loading",
                    c->gone_text);
    }
    drop_all(c);
    return r;
}
