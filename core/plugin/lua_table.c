/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: an order that does not depend on where things lie in memory, and loops that are counted. */
#include <string.h>

#include "lua_call.h"

/** A key while it is being sorted; texts are kept alive by the table. */
struct key {
    int type; /* LUA_TNUMBER, LUA_TSTRING, LUA_TBOOLEAN: the order of types, too */
    bool is_integer;
    lua_Integer integer;
    lua_Number number;
    const char *text;
    size_t len;
};

static int rank(const struct key *k)
{
    return k->type == LUA_TNUMBER ? 0 : k->type == LUA_TSTRING ? 1 : 2;
}

static int compare(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    int order;

    if (rank(a) != rank(b))
        return rank(a) < rank(b) ? -1 : 1;
    switch (a->type) {
    case LUA_TNUMBER:
        if (a->is_integer && b->is_integer)
            return a->integer < b->integer ? -1 : a->integer > b->integer;
        return a->number < b->number ? -1 : a->number > b->number;
    case LUA_TSTRING:
        order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
        return order != 0 ? order : a->len < b->len ? -1 : a->len > b->len;
    default:
        return a->integer < b->integer ? -1 : a->integer > b->integer;
    }
}

static void take_key(lua_State *L, int index, struct key *k)
{
    *k = (struct key){.type = lua_type(L, index)};
    switch (k->type) {
    case LUA_TNUMBER:
        k->is_integer = lua_isinteger(L, index);
        k->integer = lua_tointeger(L, index);
        k->number = lua_tonumber(L, index);
        break;
    case LUA_TSTRING:
        k->text = lua_tolstring(L, index, &k->len);
        break;
    case LUA_TBOOLEAN:
        k->integer = lua_toboolean(L, index);
        break;
    default:
        luaL_error(L, "a key that is a %s has no order: only numbers, texts and booleans have",
                   luaL_typename(L, index));
    }
}

static void push_key(lua_State *L, const struct key *k)
{
    if (k->type == LUA_TSTRING)
        lua_pushlstring(L, k->text, k->len);
    else if (k->type == LUA_TBOOLEAN)
        lua_pushboolean(L, (int)k->integer);
    else if (k->is_integer)
        lua_pushinteger(L, k->integer);
    else
        lua_pushnumber(L, k->number);
}

/* A heap sort: needs no memory of its own, which a limit could leave behind, and no luck. */
static void sift(struct key *keys, size_t at, size_t count)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        struct key swap;

        if (child + 1 < count && compare(&keys[child], &keys[child + 1]) < 0)
            child++;
        if (compare(&keys[at], &keys[child]) >= 0)
            return;
        swap = keys[at];
        keys[at] = keys[child];
        keys[child] = swap;
    }
}

static void sort_keys(struct key *keys, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift(keys, i, count);
    for (size_t end = count; end > 1; end--) {
        struct key swap = keys[0];

        keys[0] = keys[end - 1];
        keys[end - 1] = swap;
        sift(keys, 0, end - 1);
    }
}

size_t ql_lua_push_keys(lua_State *L, int index)
{
    struct key *keys;
    size_t count = 0, n = 0;

    ql_lua_need_stack(L, 6);
    index = lua_absindex(L, index);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        count++;
    ql_lua_charge(L, count * 16);
    keys = lua_newuserdatauv(L, (count > 0 ? count : 1) * sizeof *keys, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        take_key(L, -2, &keys[n++]);
    sort_keys(keys, count);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (n = 0; n < count; n++) {
        push_key(L, &keys[n]);
        lua_rawseti(L, -2, (lua_Integer)n + 1);
    }
    lua_remove(L, -2);
    return count;
}

/* Upvalues: table, sorted keys, how many were given. Keys removed on the way are left out. */
static int next_sorted(lua_State *L)
{
    for (lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));;) {
        at++;
        if (lua_rawgeti(L, lua_upvalueindex(2), at) == LUA_TNIL)
            return 1;
        lua_pushvalue(L, -1);
        lua_rawget(L, lua_upvalueindex(1));
        if (!lua_isnil(L, -1)) {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(3));
            return 2;
        }
        lua_pop(L, 2);
    }
}

static int base_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    ql_lua_push_keys(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_sorted, 3);
    lua_insert(L, 1);
    lua_pushnil(L);
    return 3;
}

/* `next(t) == nil` asks whether a table is empty; to go on from a key is the work of pairs. */
static int base_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2))
        return luaL_error(L, "next is offered for the first key only: use pairs");
    lua_settop(L, 1);
    if (ql_lua_push_keys(L, 1) == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_rawgeti(L, 2, 1);
    lua_pushvalue(L, -1);
    lua_rawget(L, 1);
    return 2;
}

void ql_lua_add_pairs(lua_State *L)
{
    static const luaL_Reg own[] = {{"pairs", base_pairs}, {"next", base_next}, {NULL, NULL}};

    luaL_setfuncs(L, own, 0);
}

/* ---- the table library ---- */

/*
 * The library's loops run outside of the instruction count, and with metamethods written in C they could run
 * for ever: plain tables only, whose length bounds the loop.
 */
static size_t plain_len(lua_State *L, int index)
{
    static const char *const events[] = {"__index", "__newindex", "__len"};

    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 0; i < QL_ARRAY_LEN(events); i++)
        if (luaL_getmetafield(L, index, events[i]) != LUA_TNIL)
            luaL_error(L, "functions of table take plain tables, this one has %s", events[i]);
    return lua_rawlen(L, index);
}

static int call_library(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int table_whole(lua_State *L)
{
    ql_lua_charge(L, plain_len(L, 1));
    return call_library(L);
}

static int table_sort(lua_State *L)
{
    /* n log n comparisons; those of a function are counted by themselves. */
    ql_lua_charge(L, plain_len(L, 1) * 32);
    return call_library(L);
}

static int table_insert(lua_State *L)
{
    const size_t len = plain_len(L, 1);

    ql_lua_charge(L, lua_gettop(L) > 2 ? len : 1); /* in the middle: the rest moves */
    return call_library(L);
}

static int table_remove(lua_State *L)
{
    const size_t len = plain_len(L, 1);

    ql_lua_charge(L, lua_gettop(L) > 1 ? len : 1);
    return call_library(L);
}

static int table_move(lua_State *L)
{
    const lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);

    (void)plain_len(L, 1); /* only that it is plain */
    if (!lua_isnoneornil(L, 5))
        (void)plain_len(L, 5);
    if (to >= from)
        ql_lua_charge(L, (uint64_t)to - (uint64_t)from);
    return call_library(L);
}

static int table_unpack(lua_State *L)
{
    const lua_Integer from = luaL_optinteger(L, 2, 1);
    const size_t len = plain_len(L, 1);
    const lua_Integer to = luaL_optinteger(L, 3, (lua_Integer)len);

    if (to >= from)
        ql_lua_charge(L, (uint64_t)to - (uint64_t)from);
    return call_library(L);
}

void ql_lua_add_table(lua_State *L, int library)
{
    static const luaL_Reg around[] = {
        {"concat", table_whole}, {"insert", table_insert}, {"move", table_move}, {"remove", table_remove},
        {"sort", table_sort},    {"unpack", table_unpack}, {NULL, NULL}};

    for (const luaL_Reg *f = around; f->name; f++) {
        lua_getfield(L, library, f->name);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
