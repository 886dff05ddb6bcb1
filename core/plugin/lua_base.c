/* SPDX-License-Identifier: Apache-2.0 */
/* The globals of a script: what is named here is there, and nothing of it can be changed. */
#include <lualib.h>

#include "lua_call.h"

static int base_pcall(lua_State *L)
{
    int status;

    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    /* The limit is the call's end, not an error among others. */
    if (status == LUA_ERRMEM)
        ql_lua_kill_for_memory(ql_lua_call_of(L));
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
        ql_lua_kill_for_memory(ql_lua_call_of(L));
    if (status == LUA_OK)
        return lua_gettop(L) - 2;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/*
 * No finalizers, no weak tables: both let the collector's timing be seen, and errors of finalizers are seen
 * by nobody.
 */
static int base_setmetatable(lua_State *L)
{
    static const char *const refused[] = {"__gc", "__mode"};

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    for (size_t i = 0; lua_istable(L, 2) && i < QL_ARRAY_LEN(refused); i++) {
        lua_pushstring(L, refused[i]);
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "%s is not offered here", refused[i]);
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

/**
 * What of a library a script sees: some functions as they are, others of ours around or instead of its own.
 */
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
