/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua state for one call, and its limits. */
#include <lualib.h>
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
    const uint64_t limit = c->script->registry->config.lua_instructions;

    return c->work < limit ? limit - c->work : 0;
}

static void charge(struct ql_lua_call *c, uint64_t instructions)
{
    char text[80];

    if (instructions <= ql_lua_work_left(c)) {
        c->work += instructions;
        return;
    }
    snprintf(text, sizeof text, "instruction limit of %llu reached",
             (unsigned long long)c->script->registry->config.lua_instructions);
    ql_lua_kill(c, QL_ELIMIT, text);
}

void ql_lua_charge(lua_State *L, uint64_t instructions)
{
    charge(ql_lua_call_of(L), instructions);
}

static void kill_for_memory(struct ql_lua_call *c)
{
    char text[80];

    snprintf(text, sizeof text, "memory limit of %zu bytes reached", c->script->registry->config.lua_memory);
    ql_lua_kill(c, QL_ENOMEM, text);
}

void ql_lua_need_stack(lua_State *L, int slots)
{
    /* Fails for lack of memory, or at a million slots, which is one. */
    if (!lua_checkstack(L, slots))
        kill_for_memory(ql_lua_call_of(L));
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
        if (len - held > c->script->registry->config.lua_memory - c->memory)
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
 * What the script has set while it was loaded stays visible, and nothing can be added: the table is emptied into another
 * one, which it shows.
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
    lua_call(L, 1, 0);
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
    const char *function = c->component ? c->function : "loading";
    const char *text;

    if (status == LUA_OK)
        return QL_OK;
    if (status == LUA_ERRMEM)
        return ql_fail(err, QL_ENOMEM, "%s: %s: memory limit of %zu bytes reached", c->script->name, function,
                       c->script->registry->config.lua_memory);
    text = lua_tostring(c->L, -1);
    return ql_fail(err, QL_EPARSE, "%s: %s: %s", c->script->name, function,
                   text ? text : "error without text");
}

int ql_lua_run(struct ql_lua_call *c, lua_CFunction body, struct ql_err *err)
{
    int r;

    c->deadline_ns = c->script->registry->deadline_ns;
    if (setjmp(c->gone) == 0) {
        c->L = lua_newstate(allocate, c);
        if (!c->L) {
            drop_all(c);
            return ql_fail(err, QL_ENOMEM, "%s: memory limit of %zu bytes reached", c->script->name,
                           c->script->registry->config.lua_memory);
        }
        *(struct ql_lua_call **)lua_getextraspace(c->L) = c;
        lua_sethook(c->L, on_count, LUA_MASKCOUNT, QL_LUA_STEP);
        lua_pushcfunction(c->L, on_error); /* light functions: nothing here needs memory */
        lua_pushcfunction(c->L, start);
        lua_pushcfunction(c->L, body);
        r = finish(c, lua_pcall(c->L, 1, 0, 1), err);
    } else {
        r = ql_fail(err, c->gone_code, "%s: %s: %s", c->script->name, c->component ? c->function : "loading",
                    c->gone_text);
    }
    drop_all(c);
    return r;
}

/* ---- base library ---- */

static int base_pcall(lua_State *L)
{
    int status;

    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    /* The limit is the call's end, not an error among others. */
    if (status == LUA_ERRMEM)
        kill_for_memory(ql_lua_call_of(L));
    if (status == LUA_OK)
        return lua_gettop(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int base_xpcall(lua_State *L)
{
    const int count = lua_gettop(L);
    int status;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    status = lua_pcall(L, count - 2, LUA_MULTRET, 2);
    if (status == LUA_ERRMEM)
        kill_for_memory(ql_lua_call_of(L));
    if (status == LUA_OK)
        return lua_gettop(L) - 2;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/* No finalizers: they would run at the collector's time, with errors that nobody sees. */
static int base_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not offered here");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int base_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 3);
    if (ql_lua_is_frozen(L, 1))
        return ql_lua_refuse_write(L);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static int base_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    (void)ql_lua_text(L, 1, NULL); /* wanted on the stack */
    return 1;
}

const char *ql_lua_text(lua_State *L, int index, size_t *len)
{
    const int type = lua_type(L, index);

    index = lua_absindex(L, index);
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA) {
        /* luaL_tolstring() would print where the value lies. */
        if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL) {
            lua_pushstring(L, type == LUA_TLIGHTUSERDATA ? "null" : lua_typename(L, type));
            return lua_tolstring(L, -1, len);
        }
        lua_pop(L, 1);
    }
    return luaL_tolstring(L, index, len);
}

int ql_lua_refuse_write(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING)
        return luaL_error(L, "'%s' cannot be set: globals and libraries are read-only here",
                          lua_tostring(L, 2));
    return luaL_error(L, "globals and libraries are read-only here");
}

bool ql_lua_is_frozen(lua_State *L, int index)
{
    bool is;

    if (!lua_getmetatable(L, index))
        return false;
    lua_pushliteral(L, "__newindex");
    lua_rawget(L, -2);
    is = lua_tocfunction(L, -1) == ql_lua_refuse_write;
    lua_pop(L, 2);
    return is;
}

/* pairs() over a frozen table goes over what it shows. */
static int frozen_pairs(lua_State *L)
{
    lua_getglobal(L, "pairs");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 1, 3);
    return 3;
}

static int frozen_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, lua_upvalueindex(1)));
    return 1;
}

void ql_lua_freeze(lua_State *L)
{
    const int table = lua_gettop(L);

    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, table);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ql_lua_refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, table);
    lua_pushcclosure(L, frozen_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushvalue(L, table);
    lua_pushcclosure(L, frozen_len, 1);
    lua_setfield(L, -2, "__len");
    lua_setmetatable(L, -2);
    lua_replace(L, table);
}

/* Take a library's functions by name; what is not named is not there. Into the table on top. */
static void copy_named(lua_State *L, int from, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, -2, *names);
    }
}

/* ("x"):upper() finds our table, and nobody gets at the metatable. The new string table is on top. */
static void protect_strings(lua_State *L)
{
    lua_pushliteral(L, "");
    if (!lua_getmetatable(L, -1))
        luaL_error(L, "strings without metatable");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

/** What of a library a script sees: some functions as they are, others of ours around or instead of its own. */
static void add_library(lua_State *L, const char *name, lua_CFunction open, const char *const *names,
                        void (*add)(lua_State *L, int library))
{
    int library;

    luaL_requiref(L, name, open, 0);
    library = lua_gettop(L);
    lua_newtable(L);
    copy_named(L, library, names);
    if (add)
        add(L, library);
    lua_remove(L, library);
    if (open == luaopen_string)
        protect_strings(L);
    ql_lua_freeze(L);
    lua_setfield(L, -2, name);
}

void ql_lua_push_globals(lua_State *L)
{
    static const char *const base[] = {"assert", "error",  "getmetatable", "ipairs", "rawequal", "rawget",
                                       "rawlen", "select", "tonumber",     "type",   "_VERSION", NULL};
    static const char *const string[] = {"byte",    "char", "len",    "lower", "pack", "packsize",
                                         "reverse", "sub",  "unpack", "upper", NULL};
    static const char *const table[] = {"pack", NULL};
    static const char *const utf8[] = {"char", "charpattern", "codepoint", "codes", "len", "offset", NULL};
    static const char *const math[] = {"abs", "acos",       "asin", "atan", "ceil", "cos", "deg",
                                       "exp", "floor",      "fmod", "huge", "log",  "max", "maxinteger",
                                       "min", "mininteger", "modf", "pi",   "rad",  "sin", "sqrt",
                                       "tan", "tointeger",  "type", "ult",  NULL};
    static const luaL_Reg own[] = {{"pcall", base_pcall},       {"xpcall", base_xpcall},
                                   {"rawset", base_rawset},     {"setmetatable", base_setmetatable},
                                   {"tostring", base_tostring}, {NULL, NULL}};

    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    lua_newtable(L);
    copy_named(L, lua_gettop(L) - 1, base);
    lua_remove(L, -2);
    luaL_setfuncs(L, own, 0);
    ql_lua_add_pairs(L);
    lua_getfield(L, -1, "pairs");
    lua_setglobal(L, "pairs"); /* for frozen_pairs(); no script sees that table */
    add_library(L, LUA_STRLIBNAME, luaopen_string, string, ql_lua_add_string);
    add_library(L, LUA_TABLIBNAME, luaopen_table, table, ql_lua_add_table);
    add_library(L, LUA_UTF8LIBNAME, luaopen_utf8, utf8, NULL);
    add_library(L, LUA_MATHLIBNAME, luaopen_math, math, NULL);
    ql_lua_push_ql(L);
    lua_setfield(L, -2, "ql");
}
